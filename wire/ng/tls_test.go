package ng

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"math/big"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// selfSigned is a certificate for whoever does not look.
func selfSigned(t *testing.T) *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
}

// Half a handshake is not waited for long, at either listener, and stops nobody.
func TestHalfAHandshake(t *testing.T) {
	s := NewServer(ServerConfig{Message: 300 * time.Millisecond}, func(netip.AddrPort, Command) Reply { return Reply{Result: ResultPong} })
	stream, web := listenTCP(t), listenTCP(t)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 3)
	go func() { ended <- s.Run(ctx) }()
	go func() { ended <- s.ServeStream(ctx, stream, selfSigned(t)) }()
	go func() { ended <- s.ServeWeb(ctx, web, selfSigned(t)) }()
	var silent []net.Conn
	for _, l := range []net.Listener{stream, web} {
		for i := range 20 {
			c := dialConn(t, "tcp", l.Addr().String())
			if i%2 == 0 {
				if _, err := io.WriteString(c, "\x16\x03\x01\x02\x00\x01"); err != nil {
					t.Fatal(err)
				}
			}
			silent = append(silent, c)
		}
	}
	c, err := tls.Dial("tcp", stream.Addr().String(), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, "c d7:command4:pinge"); err != nil {
		t.Fatal(err)
	}
	if m, err := readReply(c, &framer{max: maxReply}); err != nil || !strings.HasPrefix(m, "c ") {
		t.Errorf("%q %v", m, err)
	}
	for i, c := range silent {
		if _, ok := closed(t, c); !ok {
			t.Errorf("%d is open", i)
		}
	}
	stop()
	for range 3 {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}
