package geo_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/lindero/lindero/geo"
)

// The numbers are in kernel counters and compiled policies: whoever makes this
// test pass by changing it breaks every running border.
func TestCountriesKeepTheirNumbers(t *testing.T) {
	for code, want := range map[string]geo.Country{
		"ZZ": 0, "AD": 1, "AE": 2, "BR": 31, "CN": 48, "DE": 57, "ES": 68, "FR": 75, "GB": 77, "IN": 105, "JP": 114,
		"KP": 121, "RU": 191, "UA": 230, "US": 233, "ZA": 247, "ZM": 248, "ZW": 249, "XK": 250, "EU": 251, "AP": 252,
	} {
		if got, err := geo.ParseCountry(code); err != nil || got != want {
			t.Errorf("%s is number %d (%v), want %d", code, uint8(got), err, want)
		}
	}
	if n := len(geo.All()); n != 252 {
		t.Errorf("%d countries; new codes go to the end of the list and change this number", n)
	}
}

func TestEveryCountryReadsAsItPrints(t *testing.T) {
	all := geo.All()
	if !slices.IsSortedFunc(all, func(a, b geo.Country) int { return strings.Compare(a.String(), b.String()) }) {
		t.Error("not in the order of codes")
	}
	for _, c := range append(all, geo.Unknown) {
		if got, err := geo.ParseCountry(strings.ToLower(c.String())); err != nil || got != c || len(c.String()) != 2 {
			t.Errorf("%q (%d) reads as %d, %v", c, uint8(c), uint8(got), err)
		}
		if c.Name() == "" || c.Name() == c.String() {
			t.Errorf("%v has no name", c)
		}
	}
	if s := geo.Country(255).String(); len(s) == 2 {
		t.Errorf("a number no country has prints as the code %s", s)
	}
}

func TestWhatIsNoCountryIsRefused(t *testing.T) {
	for _, code := range []string{"", "E", "ESP", "E1", "??", "z!", "QQ", "España", "\xff\xff"} {
		if c, err := geo.ParseCountry(code); err == nil {
			t.Errorf("%q is %v", code, c)
		}
	}
	if _, err := geo.ParseCountry("UK"); err == nil || !strings.Contains(err.Error(), "GB") {
		t.Errorf("UK: %v, want a word about GB", err)
	}
}

func TestCountriesAreCodesInJSON(t *testing.T) {
	var got map[geo.Country][]geo.Country
	if err := json.Unmarshal([]byte(`{"es":["PT","fr"],"ZZ":[]}`), &got); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(got)
	if want := `{"ES":["PT","FR"],"ZZ":[]}`; err != nil || string(text) != want {
		t.Errorf("got %s (%v), want %s", text, err, want)
	}
	if err := json.Unmarshal([]byte(`{"UK":[]}`), &got); err == nil {
		t.Error("UK was taken")
	}
}
