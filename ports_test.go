package main

import (
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"
)

func TestAPortInUseSaysWhoHasItAndHowToChange(t *testing.T) {
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	second := map[string]func(string) error{
		tcp.Addr().String():      func(a string) error { _, err := net.Listen("tcp", a); return err },
		udp.LocalAddr().String(): func(a string) error { _, err := net.ListenPacket("udp", a); return err },
	}
	for address, listen := range second {
		settings := []setting{{"--metrics", netip.MustParseAddrPort("127.0.0.1:1")}, {"--sip", netip.MustParseAddrPort(address)}}
		err := explainListen(listen(address), settings)
		if err == nil {
			t.Fatalf("%s: listened twice", address)
		}
		for _, want := range []string{address, "--sip", "process " + strconv.Itoa(os.Getpid())} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("no %q in %q", want, err)
			}
		}
	}
}

func TestAnAddressOfAnotherMachineIsExplained(t *testing.T) {
	_, err := net.Listen("tcp", "192.0.2.7:5060")
	err = explainListen(err, []setting{{"sip", netip.MustParseAddrPort("192.0.2.7:5060")}})
	if err == nil || !strings.Contains(err.Error(), "not an address of this machine; choose another with sip") {
		t.Errorf("got %v", err)
	}
}

func TestProcAddressesAreRead(t *testing.T) {
	cases := map[string]string{
		"0100007F:13C4":                         "127.0.0.1:5060",
		"00000000000000000000000001000000:13C4": "[::1]:5060",
		"0000000000000000FFFF00000100007F:0050": "[::ffff:127.0.0.1]:80",
	}
	for text, want := range cases {
		if got, ok := parseProcAddr(text); !ok || got.String() != want {
			t.Errorf("%s is %v, want %s", text, got, want)
		}
	}
	for _, text := range []string{"", ":", "0100007F", "01:1", "0100007F:FFFFF", "zz:1"} {
		if got, ok := parseProcAddr(text); ok {
			t.Errorf("%q was read as %v", text, got)
		}
	}
}
