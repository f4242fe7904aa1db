package edge

import (
	"fmt"
	"testing"

	"github.com/lindero/lindero/wire/sip"
)

func requestOf(t testing.TB, from, agent string) *sip.Message {
	return requestTo(t, from, "<sip:192.0.2.1>", agent)
}

func requestTo(t testing.TB, from, to, agent string) *sip.Message {
	t.Helper()
	var m sip.Message
	text := "OPTIONS sip:192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.9:5060;branch=z9hG4bK1\r\nFrom: " + from + ";tag=1\r\n" +
		"To: " + to + "\r\nCall-ID: 1\r\nCSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\nUser-Agent: " + agent + "\r\nContent-Length: 0\r\n\r\n"
	if err := m.Scan([]byte(text)); err != nil {
		t.Fatal(err)
	}
	return &m
}

func TestToolsAreKnownByTheirMarks(t *testing.T) {
	const somebody = "<sip:100@demo.lindero.test>"
	for _, c := range []struct{ from, agent, want string }{
		{somebody, "friendly-scanner", "friendly-scanner"},
		{somebody, "Friendly-Scanner 2", "friendly-scanner"},
		{somebody, "sipcli/v1.8", "sipcli"},
		{somebody, "sip-scan", "sip-scan"},
		{somebody, "SIPScan", "sipscan"},
		{somebody, "sundayddr", "sundayddr"},
		{somebody, "VaxSIPUserAgent/3.1", "vaxsipuseragent"},
		{somebody, "pplsip", "pplsip"},
		{somebody, "iWar/0.08", "iwar"},
		{somebody, "smap 0.6.0", "smap"},
		{somebody, "sipptk", "sipptk"},
		{somebody, "Gulp", "gulp"},
		{somebody, "Nmap NSE", "nmap"},
		{`"sipvicious"<sip:100@1.1.1.1>`, "Zoiper rv2.10.20.3", "sipvicious"},
		{`"x"<sip:100@1.1.1.1>`, "anything", "sipvicious"},
		{"<sip:nm@nm>", "anything", "nmap"},
	} {
		if got := scanner(requestOf(t, c.from, c.agent)); got != c.want {
			t.Errorf("%s from %s is taken for %q, want %q", c.agent, c.from, got, c.want)
		}
	}
	for to, want := range map[string]string{`"sipvicious"<sip:100@1.1.1.1>`: "sipvicious", "<sip:nm2@nm2>": "nmap", "<sip:100@192.0.2.1>": ""} {
		if got := scanner(requestTo(t, somebody, to, "anything")); got != want {
			t.Errorf("a request to %s is taken for %q, want %q", to, got, want)
		}
	}
}

// What phones, gateways, proxies and testers call themselves.
var ordinary = []string{
	"Yealink SIP-T46U 108.86.0.20", "Grandstream GXP2170 1.0.11.64", "Grandstream HT801 1.0.33.4", "PolycomVVX-VVX_450-UA/6.4.3.5814", "PolyEdge-Edge_E350-UA/8.1.1",
	"snomD785/10.1.159.12", "snom821/8.9.3.80", "Cisco/SPA504G-7.6.2", "Cisco-CP7841-3PCC/12.0.1", "Cisco-SIPGateway/IOS-16.12", "Fanvil X6U 2.12.1", "Htek UC926 V2.0.4.8",
	"Panasonic_KX-HDV230/08.000", "Gigaset N510 IP PRO/42.270.00", "Gigaset N870 IP PRO;7c2f80;2.55.1", "Mitel-6867i-SIP-Phone/6.3.0.1020", "Aastra 6757i/3.3.1", "AVM FRITZ!Box 7590 154.07.57",
	"OpenStage_60_V3 R5", "Avaya J179 IP Phone 4.0.14", "Alcatel-Lucent 8018", "AudiocodesGW/v.7.20A", "Mediant 800/v.7.20A", "Patton SN4114 4BIS", "beroNet", "Algo-8180/3.4", "2N IP Verso",
	"Zoiper rv2.10.20.3", "Z 5.6.1 v2.10.20", "Linphone/4.5.1 (belle-sip/5.1.0)", "LinphoneAndroid/5.2.4", "Bria 6 release 6.5.1 stamp 109653", "X-Lite release 5.8.3 stamp 97776", "eyeBeam release 1105a stamp 56793",
	"MicroSIP/3.21.3", "CSipSimple_hammerhead-23/r2457", "PJSUA v2.13 Linux-5.15", "baresip v3.10.1 (x86_64/Linux)", "Blink Pro 5.9.0", "Jitsi2.10.5550Linux", "Acrobits SIPIS", "GS Wave 1.2.23", "Telephone 1.6",
	"SIP.js/0.21.2", "JsSIP 3.10.1", "Asterisk PBX 20.5.0", "FPBX-16.0.40(18.16.0)", "FreeSWITCH-mod_sofia/1.10.10", "kamailio (5.7.2 (x86_64/linux))", "OpenSIPS (3.4.2)", "3CXPhoneSystem 18.0.9", "3CX Mobile", "Sipura/SPA2102-5.2.13",
	"sipsak 0.9.8", "SIPp", "sipgo", "lindero dial", "SIPCLIENT 1.0", "Smapphone 1", "iWarp 2000", "Gulpen 3", "Counterpath Scanner-free 1", "Microsoft.PSTNHub.SIPProxy v.2024", "Twilio Gateway", "Telnyx SIP Proxy", "",
}

func TestOrdinaryDevicesAreNoScanners(t *testing.T) {
	for _, agent := range ordinary {
		for _, from := range []string{"<sip:100@demo.lindero.test>", `"Anna" <sip:100@192.0.2.1>`, `"sip" <sip:nm@demo.lindero.test>`} {
			if got := scanner(requestOf(t, from, agent)); got != "" {
				t.Errorf("%q from %s is taken for %s", agent, from, got)
			}
		}
	}
	for _, s := range signatures {
		if s.source == "" {
			t.Errorf("%s: who says so?", s.text)
		}
	}
}

func TestLookingForScannersAllocatesNothing(t *testing.T) {
	m := requestOf(t, "<sip:100@demo.lindero.test>", "Yealink SIP-T46U 108.86.0.20")
	if n := testing.AllocsPerRun(100, func() { scanner(m) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkScanner(b *testing.B) {
	m := requestOf(b, "<sip:100@demo.lindero.test>", "Yealink SIP-T46U 108.86.0.20")
	b.ReportAllocs()
	for b.Loop() {
		if tool := scanner(m); tool != "" {
			b.Fatal(fmt.Sprint("taken for ", tool))
		}
	}
}
