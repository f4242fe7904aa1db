package edge

import (
	"bytes"

	"github.com/lindero/lindero/wire/sip"
	"github.com/lindero/lindero/wire/sip/transport"
)

// A signature is the mark of a tool that looks for ways in. text is in lower case
// and is looked for at the beginning of the User-Agent, or anywhere in it.
type signature struct {
	text   string
	within bool
	source string // who says so
}

// signatures are compared with User-Agents. Tools that operators use for good
// (sipsak, SIPp) and libraries that real phones are made with (PJSIP, CSipSimple,
// eyeBeam) are not among them, though attackers use them too: a list that hits
// customers is switched off.
var signatures = [...]signature{
	{"friendly-scanner", true, "SIPVicious, svhelper.py: the User-Agent it sends unless told otherwise"},
	{"friendly-request", true, "SIPVicious, svcrash.py and its imitations; lists of Audiocodes and Pexip"},
	{"sipvicious", true, "SIPVicious; default configuration of Kamailio"},
	{"sundayddr", true, "a SIPVicious of the botnet of the same name; Emerging Threats 2012297"},
	{"sipcli", false, "sipcli of KaplanSoft, used for toll fraud; default configuration of Kamailio"},
	{"sip-scan", false, "sip-scan.pl; default settings of sipXecs"},
	{"sipscan", false, "SIPSCAN of Hacking VoIP Exposed; Pepelux's sipscan"},
	{"vaxsipuseragent", false, "VaxVoIP's library as attackers ship it; default configuration of Kamailio"},
	{"vaxipuseragent", false, "the same, misspelt by an imitation; list of Pexip"},
	{"pplsip", false, "SIPPTS by Pepelux; default configuration of Kamailio"},
	{"sippts", false, "SIPPTS by Pepelux"},
	{"sipptk", false, "a toolkit seen beside pplsip in honeypots"},
	{"iwar", false, "iWar, a war dialler; default settings of sipXecs"},
	{"smap", false, "smap, a fingerprinting scanner; list of Pexip"},
	{"gulp", false, "Gulp, a flooding tool; list of Pexip"},
	{"sivus", false, "SiVuS, a vulnerability scanner; list of Pexip"},
	{"siparmyknife", false, "SIP Army Knife, a fuzzer; list of Pexip"},
	{"bluebox", false, "Bluebox-ng, an attack framework"},
	{"nmap", false, "Nmap, nselib/sip.lua"},
	{"voiphopper", false, "VoIP Hopper; NETCAP's list of attack tools"},
}

// longestAgent is how much of a User-Agent is looked at.
const longestAgent = 128

// scans tells whether the request in w comes from such a tool. It then gets no
// answer, from which it could learn that somebody is here.
func (e *Edge) scans(w *work, f transport.Flow) bool {
	if e.shield == nil {
		return false
	}
	tool := scanner(&w.msg)
	if tool == "" {
		return false
	}
	e.metrics.count(verdictScanner)
	e.offended(f, Scanner, tool)
	return true
}

// scanner names the tool whose mark the request m bears, "" for none. It compares
// what the tool wrote where phones write their maker and their owner's name, so a
// tool that hides is not found: others find out what it does.
func scanner(m *sip.Message) string {
	if agent := m.Get(sip.UserAgent); len(agent) > 0 {
		var buf [longestAgent]byte
		agent = appendLower(buf[:0], agent[:min(len(agent), longestAgent)])
		for i := range signatures {
			if signatures[i].in(agent) {
				return signatures[i].text
			}
		}
	}
	for _, id := range [...]sip.HeaderID{sip.From, sip.To} {
		switch value := m.Get(id); {
		case bytes.HasPrefix(value, []byte(`"sipvicious"`)), bytes.Contains(value, []byte("<sip:100@1.1.1.1>")):
			return "sipvicious" // with another User-Agent it still is from and to this one (svmap.py)
		case bytes.HasPrefix(value, []byte("<sip:nm@nm>")), bytes.HasPrefix(value, []byte("<sip:nm2@nm2>")):
			return "nmap" // nmap-service-probes, SIPOptions
		}
	}
	return ""
}

// in tells whether agent, in lower case, bears the mark. At the beginning it must
// be a word: "SmapPhone" is another's name.
func (s *signature) in(agent []byte) bool {
	if s.within {
		return bytes.Contains(agent, []byte(s.text))
	}
	if len(agent) < len(s.text) || string(agent[:len(s.text)]) != s.text {
		return false
	}
	return len(agent) == len(s.text) || agent[len(s.text)] < 'a' || agent[len(s.text)] > 'z'
}
