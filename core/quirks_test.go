package core

import "testing"

func TestPhonesThatGiveUpAtSHA256AreAskedForMD5(t *testing.T) {
	cases := map[string]bool{
		"baresip v1.0.0 (x86_64/linux)": true,
		"SIPp/3.6.1":                    true,
		"baresip v3.9.0 (arm64/linux)":  false,
		"Yealink SIP-T46S 66.86.0.15":   false,
		"not baresip v1.0.0":            false,
		"":                              false,
	}
	for name, want := range cases {
		if got := knowsOnlyMD5([]byte(name)); got != want {
			t.Errorf("%q: %v, want %v", name, got, want)
		}
	}
}
