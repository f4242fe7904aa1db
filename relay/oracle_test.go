package relay_test

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/lindero/lindero/relay"
	"github.com/lindero/lindero/wire/ng"
	"github.com/lindero/lindero/wire/sdp"
)

// A body is an SDP of a party at host; lines that begin with m= and what follows
// them are its streams, what stands before is above them.
func bodyOf(host string, lines ...string) []byte {
	family := "IP4"
	if strings.Contains(host, ":") {
		family = "IP6"
	}
	head := []string{"v=0", "o=bob 11 12 IN " + family + " " + host, "s=talk", "c=IN " + family + " " + host, "t=0 0"}
	return []byte(strings.Join(append(head, lines...), "\r\n") + "\r\n")
}

const (
	phoneA, phoneB = "198.51.100.9", "198.51.100.77"

	audio = "m=audio 4000 RTP/AVP 0 8 101"
	dtmf  = "a=rtpmap:101 telephone-event/8000"
	video = "m=video 4002 RTP/AVP 96"
	vp8   = "a=rtpmap:96 VP8/90000"
	image = "m=image 4000 udptl t38"
)

// described is what two relays must agree on in an SDP, in more detail than essence.
func described(t *testing.T, b []byte) string {
	t.Helper()
	s, err := sdp.Parse(b)
	if err != nil {
		t.Fatalf("%v in %s", err, b)
	}
	var out strings.Builder
	id, _ := s.Identity()
	fmt.Fprintf(&out, "user %s, name %s, origin %s", id.User, id.Name, s.Origin.Host)
	for name, value := range s.Attrs() {
		if name == "group" || name == "rtpengine" {
			fmt.Fprintf(&out, ", %s of %d words", name, len(strings.Fields(value)))
		}
	}
	for i := range s.Media {
		m := &s.Media[i]
		fmt.Fprintf(&out, "\n%s %s %v alive=%v", m.Kind, m.Proto, m.Formats, m.Port != 0)
		if m.Port == 0 {
			continue
		}
		rtcp := "none"
		if !m.UDPTL() {
			rtcp = fmt.Sprintf("at +%d of %v", int(m.RTCPAddr().Port())-int(m.Port), m.RTCPAddr().Addr())
		}
		fmt.Fprintf(&out, " %s at %s, RTCP %s, mux %v, ICE %v", m.Direction, m.Address().Host, rtcp, m.Mux, m.ICE)
	}
	return out.String()
}

// A step is a command of a conversation.
type step struct {
	ng.Command
	refused bool
}

func offered(lines ...string) step {
	return step{Command: ng.Command{Name: ng.Offer, FromTag: "a", SDP: bodyOf(phoneA, lines...)}}
}

func answered(lines ...string) step {
	return step{Command: ng.Command{Name: ng.Answer, FromTag: "a", ToTag: "b", SDP: bodyOf(phoneB, lines...)}}
}

func (s step) with(change func(c *ng.Command)) step {
	change(&s.Command)
	return s
}

func (s step) mux(options ...string) step {
	return s.with(func(c *ng.Command) { c.Mux = options })
}

func (s step) flags(flags ...string) step {
	return s.with(func(c *ng.Command) { c.Flags = flags })
}

func (s step) replace(what ...string) step {
	return s.with(func(c *ng.Command) { c.Replace = what })
}

// back is a step in a dialogue that b begins.
func (s step) back() step {
	return s.with(func(c *ng.Command) {
		c.FromTag, c.ToTag = "b", "a"
		host := phoneB
		if c.Name == ng.Answer {
			host = phoneA
		}
		c.SDP = []byte(strings.NewReplacer(phoneA, host, phoneB, host).Replace(string(c.SDP)))
	})
}

// again is an offer inside a dialogue.
func (s step) again() step { return s.with(func(c *ng.Command) { c.ToTag = "b" }) }

// dialogues are what is said to both relays, by a sentence.
func dialogues() map[string][]step {
	direction := func(from, to string) func(c *ng.Command) {
		return func(c *ng.Command) { c.Direction = [2]string{from, to} }
	}
	all := map[string][]step{
		"plain":                   {offered(audio, dtmf), answered(audio, dtmf)},
		"to another interface":    {offered(audio).with(direction("external", "internal")), answered(audio)},
		"to an advertised one":    {offered(audio).with(direction("external", "pub")).replace("origin"), answered(audio)},
		"from an advertised one":  {offered(audio).with(direction("pub", "external")), answered(audio).replace("origin")},
		"to IPv6":                 {offered(audio).with(direction("external", "six")), answered(audio)},
		"of two families, any":    {offered(audio).with(direction("external", "dual")), answered(audio)},
		"media address":           {offered(audio).with(func(c *ng.Command) { c.MediaAddress = netip.MustParseAddr("203.0.113.99") })},
		"media address of IPv6":   {offered(audio).replace("origin").with(func(c *ng.Command) { c.MediaAddress = netip.MustParseAddr("2001:db8::9") })},
		"replace origin":          {offered(audio).replace("origin"), answered(audio).replace("origin")},
		"replace session":         {offered(audio).replace("session-connection"), answered(audio).replace("session-connection")},
		"full rtcp attribute":     {offered(audio).flags("full-rtcp-attribute"), answered(audio).flags("full-rtcp-attribute")},
		"no rtcp attribute":       {offered(audio).flags("no-rtcp-attribute"), answered(audio)},
		"loop protection":         {offered(audio).flags("loop-protect"), answered(audio).flags("loop-protect")},
		"sendonly":                {offered(audio, "a=sendonly").flags("original-sendrecv"), answered(audio, "a=recvonly")},
		"inactive above":          {offered("a=inactive", audio), answered(audio, "a=inactive")},
		"to AVPF":                 {offered(audio).with(func(c *ng.Command) { c.Transport = "RTP/AVPF" }), answered(audio)},
		"from AVPF":               {offered("m=audio 4000 RTP/AVPF 0").with(func(c *ng.Command) { c.Transport = "RTP/AVP" }), answered("m=audio 5000 RTP/AVP 0")},
		"answered in AVPF":        {offered(audio), answered("m=audio 5000 RTP/AVPF 0 8 101")},
		"two streams":             {offered(audio, video, vp8), answered(audio, video, vp8)},
		"the second is refused":   {offered(audio, video, vp8), answered(audio, "m=video 0 RTP/AVP 96")},
		"the first is refused":    {offered(audio, video, vp8), answered("m=audio 0 RTP/AVP 0", video, vp8)},
		"bundled":                 {offered("a=group:BUNDLE 0 1", audio, "a=mid:0", video, "a=mid:1", vp8), answered(audio, "a=mid:0", video, "a=mid:1")},
		"audio, video and fax":    {offered(audio, video, vp8, "m=image 4004 udptl t38"), answered(audio, video, vp8, "m=image 5004 udptl t38")},
		"fax alone":               {offered(image), answered(image)},
		"a stream's own c=":       {offered(audio, "c=IN IP4 198.51.100.10"), answered(audio, "c=IN IP4 198.51.100.11")},
		"rtcp elsewhere":          {offered(audio, "a=rtcp:4010"), answered(audio, "a=rtcp:5010")},
		"ICE is removed":          {offered(audio, "a=ice-ufrag:abcd", "a=ice-pwd:0123456789abcdef012345", "a=candidate:1 1 UDP 2130706431 198.51.100.9 4000 typ host").with(noICE), answered(audio).with(noICE)},
		"port latching and such":  {offered(audio).flags("port-latching", "strict-source", "symmetric"), answered(audio).flags("strict-source")},
		"old hold":                {{Command: ng.Command{Name: ng.Offer, FromTag: "a", SDP: bodyOf("0.0.0.0", audio)}}, answered(audio)},
		"old hold, original":      {step{Command: ng.Command{Name: ng.Offer, FromTag: "a", SDP: bodyOf("0.0.0.0", audio)}}.flags("original-sendrecv")},
		"old hold, replaced":      {step{Command: ng.Command{Name: ng.Offer, FromTag: "a", SDP: bodyOf("0.0.0.0", audio)}}.replace("zero-address")},
		"more streams later":      {offered(audio), answered(audio), offered(audio, video, vp8).again(), answered(audio, video, vp8)},
		"a stream ends and again": {offered(audio, video, vp8), answered(audio, video, vp8), offered(audio, "m=video 0 RTP/AVP 96").again(), answered(audio, "m=video 0 RTP/AVP 96"), offered(audio, video, vp8).again(), answered(audio, video, vp8)},
		"offers from the other":   {offered(audio), answered(audio), offered(audio, video, vp8).back(), answered(audio, video, vp8).back(), offered(audio, video, vp8).again(), answered(audio, video, vp8)},
		"to fax and back":         {offered(audio), answered(audio), offered(image).back(), answered(image).back(), offered(audio).back(), answered(audio).back()},
		"to fax and back again":   {offered(audio), answered(audio), offered(image).again(), answered(image), offered(audio).again(), answered(audio)},
		"hold and resume":         {offered(audio), answered(audio), offered(audio, "a=sendonly").again(), answered(audio, "a=recvonly"), offered(audio).again(), answered(audio)},
		"two branches":            {offered(audio).with(branch("1")), offered(audio).with(branch("2")), answered(audio).with(branch("1")), answered(audio).with(branch("2")).with(func(c *ng.Command) { c.ToTag = "c" })},
		"two answers":             {offered(audio), answered(audio), answered(audio).with(func(c *ng.Command) { c.ToTag = "c" }), answered(audio)},
		"no to-tag":               {offered(audio), refused(answered(audio).with(func(c *ng.Command) { c.ToTag = "" }))},
		"no call-id":              {refused(offered(audio).with(func(c *ng.Command) { c.CallID = "-" }))},
		"no SDP":                  {refused(offered(audio).with(func(c *ng.Command) { c.SDP = nil }))},
		"no m= line":              {refused(offered())},
		"not an SDP":              {refused(offered().with(func(c *ng.Command) { c.SDP = []byte("hello") }))},
	}
	maps.Copy(all, strippings())
	maps.Copy(all, muxings())
	return all
}

// strippings are dialogues about codecs.
func strippings() map[string][]step {
	all := make(map[string][]step)
	for name, c := range map[string]ng.Codec{
		"one": {Strip: []string{"PCMA"}}, "in small letters": {Strip: []string{"pcma"}}, "by rate": {Strip: []string{"opus/48000"}},
		"by channels": {Strip: []string{"opus/48000/2"}}, "all": {Strip: []string{"all"}}, "what is not there": {Strip: []string{"foo"}},
		"all but": {Strip: []string{"all"}, Except: []string{"PCMA"}}, "all but nothing": {Strip: []string{"all"}, Offer: []string{"foo"}},
		"all but some, in order": {Strip: []string{"all"}, Offer: []string{"G729", "PCMA", "telephone-event"}}, "none": {Offer: []string{"PCMA"}},
	} {
		lines := []string{"m=audio 4000 RTP/AVP 0 8 18 96 101", "a=rtpmap:96 opus/48000/2", "a=fmtp:96 useinbandfec=1", dtmf}
		all["codecs stripped: "+name] = []step{offered(lines...).with(func(cmd *ng.Command) { cmd.Codec = c })}
	}
	return all
}

// muxings are those about one port for RTP and RTCP.
func muxings() map[string][]step {
	all := make(map[string][]step)
	muxed := []string{audio, "a=rtcp-mux"}
	for _, option := range []string{"", "offer", "require", "demux", "accept", "reject"} {
		for how, lines := range map[string][]string{"plain": {audio}, "muxed": muxed, "muxed with a=rtcp": {audio, "a=rtcp:4000", "a=rtcp-mux"}} {
			for back, answer := range map[string][]string{"plain": {audio}, "muxed": muxed} {
				first := offered(lines...)
				if option != "" {
					first = first.mux(option)
				}
				all[fmt.Sprintf("rtcp-mux %s, offered %s, answered %s", option, how, back)] = []step{first, answered(answer...)}
			}
		}
	}
	all["rtcp-mux reject and offer"] = []step{offered(muxed...).mux("reject", "offer"), answered(muxed...)}
	return all
}

func refused(s step) step {
	s.refused = true
	return s
}

func noICE(c *ng.Command) { c.ICE = ng.ICERemove }

func branch(name string) func(c *ng.Command) {
	return func(c *ng.Command) { c.ViaBranch = "z9hG4bK" + name }
}

// The same dialogues, step by step, to rtpengine and to us: results and SDP must
// agree in all that a phone can notice.
func TestRTPEngineRewritesTheSame(t *testing.T) {
	theirs, ours := newRTPEngine(t), newRig(t, manyInterfaces)
	all := dialogues()
	names := make([]string, 0, len(all))
	for name := range all {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			for i, s := range all[name] {
				c := s.Command
				if c.CallID == "" {
					c.CallID = name
				} else {
					c.CallID = ""
				}
				var said [2]string
				for k, g := range []*rig{theirs, ours} {
					r := g.try(c)
					if said[k] = r.Result; len(r.SDP) > 0 {
						said[k] += "\n" + described(t, r.SDP)
					}
					if s.refused != (r.Result == ng.ResultError) {
						t.Errorf("step %d: %+v", i+1, r)
					}
				}
				if said[0] != said[1] {
					t.Errorf("step %d: rtpengine says\n%s\nand we\n%s", i+1, said[0], said[1])
				}
			}
			for _, g := range []*rig{theirs, ours} {
				zero := ng.Command{Name: ng.Delete, CallID: name, FromTag: "a"}
				g.try(zero)
			}
		})
	}
}

// manyInterfaces are those of newRTPEngine.
func manyInterfaces(c *relay.Config) {
	for _, text := range []string{
		"external/127.0.0.2", "internal/127.0.0.3", "six/::1", "dual/127.0.0.4", "dual/::1", "pub/127.0.0.5!203.0.113.7",
	} {
		var n relay.Named
		if err := n.UnmarshalText([]byte(text)); err != nil {
			panic(err)
		}
		c.Interfaces = append(c.Interfaces, n)
	}
}

func mustAddr(s string) netip.Addr { return netip.MustParseAddr(s) }
