package edge_test

import (
	"bytes"
	"crypto/tls"
	"net/netip"
	"testing"

	"github.com/lindero/lindero/edge"
	"github.com/lindero/lindero/wire/sip/transport"
)

// A renewed certificate is shown without a restart. That a broken file changes
// nothing is tested where files are read: wire/sip/transport.
func TestCertificateIsReadAnew(t *testing.T) {
	files, _ := certificate(t)
	l := setup(t, func(_ *lab, c *edge.Config) {
		c.SIPS, c.TLS = netip.MustParseAddrPort("127.0.0.1:0"), files
	})
	shown := func() []byte {
		c, err := tls.Dial("tcp", l.addr.TLS.String(), &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		return c.ConnectionState().PeerCertificates[0].Raw
	}
	first := shown()
	if err := transport.SelfSigned([]string{"127.0.0.1"}, files.Cert, files.Key); err != nil {
		t.Fatal(err)
	}
	l.eventually("the new certificate is shown", func() bool { return !bytes.Equal(shown(), first) })
}
