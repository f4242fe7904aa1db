package relay_test

import (
	"maps"
	"slices"
	"testing"

	"github.com/lindero/lindero/wire/ng"
)

// What is done to a party's media is selected in the same ways, and refused for the
// same reasons.
func TestRTPEngineSelectsTheSame(t *testing.T) {
	theirs, ours := newRTPEngine(t), newRig(t, manyInterfaces)
	for _, g := range []*rig{theirs, ours} {
		for _, s := range []step{offered(audio, dtmf), answered(audio, dtmf)} {
			s.CallID = "call"
			g.do(s.Command, ng.ResultOK)
		}
	}
	names := []string{
		ng.BlockMedia, ng.UnblockMedia, ng.SilenceMedia, ng.UnsilenceMedia, ng.BlockDTMF, ng.UnblockDTMF,
	}
	for what, c := range map[string]ng.Command{
		"a tag":                      {CallID: "call", FromTag: "a"},
		"the other tag":              {CallID: "call", FromTag: "b"},
		"everybody":                  {CallID: "call", All: ng.AllParties},
		"nobody in particular":       {CallID: "call"},
		"an unknown call":            {CallID: "nobody's", FromTag: "a"},
		"an unknown tag":             {CallID: "call", FromTag: "z"},
		"an address":                 {CallID: "call", Address: mustAddr(phoneA)},
		"an address that nobody has": {CallID: "call", Address: mustAddr("198.51.100.200")},
		"no call":                    {FromTag: "a"},
	} {
		for _, name := range names {
			c.Name = name
			if a, b := theirs.try(c), ours.try(c); a.Result != b.Result {
				t.Errorf("%s of %s: rtpengine says %s %q, and we %s %q", name, what, a.Result, a.ErrorReason, b.Result, b.ErrorReason)
			}
		}
	}
	for what, c := range map[string]ng.Command{
		"delete of a call nobody has":         {Name: ng.Delete, CallID: "nobody's", FromTag: "a"},
		"delete of a call nobody has, fatal":  {Name: ng.Delete, CallID: "nobody's", FromTag: "a", Flags: []string{ng.FlagFatal}},
		"query of a tag":                      {Name: ng.Query, CallID: "call", FromTag: "a"},
		"query of a call nobody has":          {Name: ng.Query, CallID: "nobody's"},
		"answer to a call nobody has":         {Name: ng.Answer, CallID: "nobody's", FromTag: "a", ToTag: "b", SDP: bodyOf(phoneB, audio)},
		"play DTMF of an unknown tag":         {Name: ng.PlayDTMF, CallID: "call", FromTag: "z", Digit: "5"},
		"play DTMF that is none":              {Name: ng.PlayDTMF, CallID: "call", FromTag: "a"},
		"list":                                {Name: ng.List, Limit: 3},
		"delete of an unknown tag":            {Name: ng.Delete, CallID: "call", FromTag: "z"},
		"delete of a branch that never was":   {Name: ng.Delete, CallID: "call", FromTag: "a", ViaBranch: "z9hG4bKnever"},
		"query afterwards: the call is there": {Name: ng.Query, CallID: "call", FromTag: "b"},
	} {
		if a, b := theirs.try(c), ours.try(c); a.Result != b.Result {
			t.Errorf("%s: rtpengine says %s %q, and we %s %q", what, a.Result, a.ErrorReason, b.Result, b.ErrorReason)
		}
	}
}

// Every key that rtpengine's reports have is in ours.
func TestRTPEngineReportsNoMore(t *testing.T) {
	theirs, ours := newRTPEngine(t), newRig(t, manyInterfaces)
	var said [2]map[string]bool
	for i, g := range []*rig{theirs, ours} {
		for _, s := range []step{offered(audio, dtmf).with(branch("1")), answered(audio, dtmf).with(branch("1"))} {
			s.CallID = "call"
			g.do(s.Command, ng.ResultOK)
		}
		said[i] = make(map[string]bool)
		for _, c := range []ng.Command{{Name: ng.Query, CallID: "call"}, {Name: ng.Statistics}, {Name: ng.List}, {Name: ng.Delete, CallID: "call", FromTag: "a"}} {
			keys(said[i], c.Name, g.do(c, ng.ResultOK).More)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(said[0])) {
		if !said[1][key] {
			t.Errorf("only rtpengine has %s", key)
		}
	}
}

// keys collects the paths of a dictionary; numbers of lists and names of tags are
// no part of them.
func keys(into map[string]bool, path string, v any) {
	switch v := v.(type) {
	case ng.Dict:
		for k, inner := range v {
			at := path + "/" + k
			into[at] = true
			keys(into, at, inner)
		}
	case []any:
		for _, inner := range v {
			keys(into, path, inner)
		}
	}
}
