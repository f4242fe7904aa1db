package sip_test

import (
	"bytes"
	"net/netip"
	"strconv"
	"strings"
	"testing"

	"github.com/lindero/lindero/wire/sip"
)

func TestNextValue(t *testing.T) {
	for list, want := range map[string]string{
		"a":                       "a",
		" a , b ,c":               "a|b|c",
		"":                        "",
		" , ,a,,":                 "a",
		`"a,b" <c>, <d,e>;f="g,"`: `"a,b" <c>|<d,e>;f="g,"`,
		`"a\",b", c`:              `"a\",b"|c`,
		`"a, b`:                   `"a, b`,
		`<a, b`:                   `<a, b`,
		"a,\r\n b":                "a|b",
		`<">, b`:                  `<">|b`,
	} {
		var got []string
		for v, rest := sip.NextValue([]byte(list)); v != nil; v, rest = sip.NextValue(rest) {
			got = append(got, string(v))
		}
		if strings.Join(got, "|") != want {
			t.Errorf("%q splits into %q, want %s", list, got, want)
		}
	}
}

func TestParam(t *testing.T) {
	const params = ";a=1;B ; c = \"x;d=2\" ;\r\n e=\"q\\\"r\";f=;a=2"
	for name, want := range map[string]string{"a": "1", "A": "1", "b": "", "c": "x;d=2", "e": `q\"r`, "F": ""} {
		if got, ok := sip.Param([]byte(params), name); !ok || string(got) != want {
			t.Errorf("%s is %q, %v; want %q", name, got, ok, want)
		}
	}
	for _, name := range []string{"d", "r", "x", ""} {
		if got, ok := sip.Param([]byte(params), name); ok {
			t.Errorf("%q is there: %q", name, got)
		}
	}
}

func TestParseNameAddr(t *testing.T) {
	for value, want := range map[string]string{
		"<sip:a@b>":                         "|sip:a@b|",
		"Bob <sip:a@b;x>;tag=1":             "Bob|sip:a@b;x|;tag=1",
		"Bob B.<sip:a@b> ; tag = 1":         "Bob B.|sip:a@b|; tag = 1",
		`"B, \"o\" <b>" <sip:a@b>`:          `"B, \"o\" <b>"|sip:a@b|`,
		"sip:a@b;tag=1":                     "|sip:a@b|;tag=1",
		" sip:a@b ; tag=1":                  "|sip:a@b|; tag=1",
		"sip:a@b":                           "|sip:a@b|",
		`<sip:a@b>;x="<sip:c@d>;y"`:         `|sip:a@b|;x="<sip:c@d>;y"`,
		"tel:+1201;x":                       "|tel:+1201|;x",
		"<sip:a@b?Replaces=x%3Bto-tag%3D1>": "|sip:a@b?Replaces=x%3Bto-tag%3D1|",
		"Größe <sip:a@b>":                   "Größe|sip:a@b|",
		"*":                                 "error",
		"":                                  "error",
		"Bob":                               "error",
		`"Bob <sip:a@b>`:                    "error",
		`"Bob" sip:a@b`:                     "error",
		`"Bob"x <sip:a@b>`:                  "error",
		`B"ob <sip:a@b>`:                    "error",
		"<sip:a@b":                          "error",
		"<>":                                "error",
		"<sip:a @b>":                        "error",
		"< sip:a@b>":                        "error",
		"<sip:<a@b>":                        "error",
		"<sip:a@b>x":                        "error",
		"<sip:a@b>;":                        "error",
		"<sip:a@b>;;x":                      "error",
		"<sip:a@b>;=x":                      "error",
		"<sip:a@b>;x y":                     "error",
		`<sip:a@b>;x="y`:                    "error",
		`<sip:a@b>;x="y"z`:                  "error",
		`<sip:a@b>;x=y"z"`:                  "error",
		`<sip:a@b>;x"y"`:                    "error",
		"sip:a@b?x=y":                       "error",
		"sip:a@b,sip:c@d":                   "error",
		"sip:a b":                           "error",
		"<sip:a@b>;tag=1;tag=2":             "error",
		"Bob, <sip:a@b>":                    "error",
	} {
		got := "error"
		if n, err := sip.ParseNameAddr([]byte(value)); err == nil {
			got = string(n.Display) + "|" + string(n.URI) + "|" + string(n.Params)
		}
		if got != want {
			t.Errorf("%q reads %s, want %s", value, got, want)
		}
	}
}

func TestParseURI(t *testing.T) {
	for text, want := range map[string]string{
		"sip:a@b":                         "sip|a||b|0||",
		"SIPS:a:p@b:5061;x=y;lr?h=v&i=w":  "SIPS|a|p|b|5061|;x=y;lr|h=v&i=w",
		"sip:b":                           "sip|||b|0||",
		"sip:[2001:db8::1]:5060;lr":       "sip|||2001:db8::1|5060|;lr|",
		"sip:a@[::1]":                     "sip|a||::1|0||",
		"sip:a;b?c@d":                     "sip|a;b?c||d|0||",
		"sip:%61@b":                       "sip|%61||b|0||",
		"sip:+1(201)5550123@b;user=phone": "sip|+1(201)5550123||b|0|;user=phone|",
		"sip:b;maddr=[2001:db8::1]":       "sip|||b|0|;maddr=[2001:db8::1]|",
		"tel:+1-201;phone-context=x":      "tel|+1-201;phone-context=x|||0||",
		"urn:service:sos":                 "urn|service:sos|||0||",
		"sip:":                            "error", "sip": "error", ":a": "error", "": "error", "1sip:a": "error", "s p:a": "error",
		"sip:@b": "error", "sip::p@b": "error", "sip:a@": "error", "sip:a@b@c": "error", "sip:a@b:": "error", "sip:a@b:0": "error",
		"sip:a@b:65536": "error", "sip:a@b:x": "error", "sip:a@b;": "error", "sip:a@b;;x": "error", "sip:a@b;=x": "error", "sip:a@[b]": "error",
		"sip:a@[::1": "error", "sip:a@[::1]x": "error", "sip:a@[192.0.2.1]": "error", "sip:a b@c": "error", "sip:a@b%": "error", "sip:a%4@b": "error",
		"sip:a%zz@b": "error", "sip:a<@b": "error", "sip:ä@b": "error", "tel:a b": "error", "sip:a@b\x00": "error", "sip:a@%62": "error",
	} {
		got := "error"
		if u, err := sip.ParseURI([]byte(text)); err == nil {
			got = strings.Join([]string{string(u.Scheme), string(u.User), string(u.Password), string(u.Host), strconv.Itoa(int(u.Port)), string(u.Params), string(u.Headers)}, "|")
		}
		if got != want {
			t.Errorf("%q reads %s, want %s", text, got, want)
		}
	}
}

func TestURIAddr(t *testing.T) {
	for text, want := range map[string]string{
		"sip:a@192.0.2.1":                 "192.0.2.1:5060",
		"sip:a@192.0.2.1:5070":            "192.0.2.1:5070",
		"sips:192.0.2.1":                  "192.0.2.1:5061",
		"sip:192.0.2.1;transport=TLS":     "192.0.2.1:5061",
		"sip:a@[2001:db8::1]:5070":        "[2001:db8::1]:5070",
		"sip:[2001:db8::1];transport=tcp": "[2001:db8::1]:5060",
		"sip:a@example.com":               "none",
		"sip:a@192.0.2.256":               "none",
		"sip:a@192.0.02.1":                "none",
		"tel:192.0.2.1":                   "none",
	} {
		u, err := sip.ParseURI([]byte(text))
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		got := "none"
		if a, ok := u.Addr(); ok {
			got = a.String()
		}
		if got != want {
			t.Errorf("%s goes to %s, want %s", text, got, want)
		}
	}
}

func TestParseVia(t *testing.T) {
	for value, want := range map[string]string{
		"SIP/2.0/UDP h": "UDP|h|0||",
		"SIP/2.0/TCP 192.0.2.1:5070;branch=z9hG4bK1": "TCP|192.0.2.1|5070|;branch=z9hG4bK1|z9hG4bK1",
		"SIP / 2.0 / UDP\r\n h : 5060 ; branch = x":  "UDP|h|5060|; branch = x|x",
		"SIP/2.0/TLS [2001:db8::9]:5061;rport":       "TLS|2001:db8::9|5061|;rport|",
		"sip/2.0/udp [::1]":                          "udp|::1|0||",
		"SIP/2.0/UDP":                                "error",
		"SIP/2.0 h":                                  "error",
		"SIP/2.0/UDP h:":                             "error",
		"SIP/2.0/UDP h:0":                            "error",
		"SIP/2.0/UDP h:65536":                        "error",
		"SIP/2.0/UDP h i":                            "error",
		"SIP/2.0/UDP h;":                             "error",
		"SIP/2.0/UDP ;x":                             "error",
		"SIP/3.0/UDP h":                              "error",
		"HTTP/2.0/UDP h":                             "error",
		"SIP/2.0/U(P h":                              "error",
		"SIP/2.0/UDP h;branch=1;branch=2":            "error",
		"SIP/2.0/UDP h" + strings.Repeat(";x", 65):   "error",
		"": "error",
	} {
		got := "error"
		if v, err := sip.ParseVia([]byte(value)); err == nil {
			got = strings.Join([]string{string(v.Transport), string(v.Host), strconv.Itoa(int(v.Port)), string(v.Params), string(v.Branch())}, "|")
		}
		if got != want {
			t.Errorf("%q reads %s, want %s", value, got, want)
		}
	}
}

func TestParseInt(t *testing.T) {
	for text, want := range map[string]uint32{"0": 0, "70": 70, "0068": 68, "4294967295": 4294967295, "00000000000000000000000007": 7} {
		if got, ok := sip.ParseInt([]byte(text)); !ok || got != want {
			t.Errorf("%s reads %d, %v", text, got, ok)
		}
	}
	for _, text := range []string{"", "-1", "+1", " 1", "1 ", "0x1", "4294967296", "18446744073709551616", strings.Repeat("9", 400), "１"} {
		if got, ok := sip.ParseInt([]byte(text)); ok {
			t.Errorf("%q reads %d", text, got)
		}
	}
}

// The address reader agrees with the standard library's, but for zones and
// IPv4's leading zeros, which neither takes.
func FuzzAddr(f *testing.F) {
	for _, s := range []string{"192.0.2.1", "::", "::1", "1::", "2001:db8::1", "1:2:3:4:5:6:7:8", "::ffff:192.0.2.1", "1:2:3:4:5:6:192.0.2.1", "1::2::3", ":::", "1:", "fe80::1%a"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		want, err := netip.ParseAddr(s)
		ok := err == nil && want.Zone() == ""
		got, read := sip.URI{Scheme: []byte("sip"), Host: []byte(s)}.Addr()
		if read != ok || ok && got.Addr() != want {
			t.Errorf("%q reads %v, %v; want %v, %v", s, got, read, want, err)
		}
	})
}

func TestValuesDoNotAllocate(t *testing.T) {
	nameaddr, via := []byte(`"B, \"o\"" <sip:a@[2001:db8::1]:5060;lr>;tag=1`), []byte("SIP/2.0/UDP [2001:db8::1]:5060;branch=x")
	if n := testing.AllocsPerRun(100, func() {
		a, err := sip.ParseNameAddr(nameaddr)
		u, err2 := sip.ParseURI(a.URI)
		_, ok := u.Addr()
		v, err3 := sip.ParseVia(via)
		tag, _ := sip.Param(a.Params, "tag")
		if err != nil || err2 != nil || err3 != nil || !ok || !bytes.Equal(v.Branch(), []byte("x")) || string(tag) != "1" {
			t.Error("values are not read")
		}
	}); n != 0 {
		t.Errorf("reading values allocates %v times", n)
	}
}
