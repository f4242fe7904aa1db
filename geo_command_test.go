package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"

	"github.com/lindero/lindero/geo"
)

// worldDatabase is a small database that passes for the world: 120 countries in
// 12,000 networks of 16 addresses, the first moved of which belong to Ukraine, and
// 192.0.2.0/24, which is Spanish.
func worldDatabase(t *testing.T, moved int) []byte {
	t.Helper()
	tree, err := mmdbwriter.New(mmdbwriter.Options{
		DatabaseType: "Test-Country", BuildEpoch: time.Date(2026, 6, 17, 0, 0, 0, 0, time.UTC).Unix() + int64(moved),
		Description: map[string]string{"en": "a test,\nin the public domain"}, IncludeReservedNetworks: true, RecordSize: 24,
	})
	if err != nil {
		t.Fatal(err)
	}
	put := func(prefix, code string) {
		_, network, err := net.ParseCIDR(prefix)
		if err == nil {
			err = tree.Insert(network, mmdbtype.Map{"country_code": mmdbtype.String(code)})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	all := geo.All()
	for i := range 12_000 {
		at := i * 2 // every second one: they shall not join
		code := all[i%120].String()
		if i < moved {
			code = "UA"
		}
		put(fmt.Sprintf("%d.%d.%d.%d/28", 100+at>>20, at>>12&255, at>>4&255, at&15<<4), code)
	}
	put("192.0.2.0/24", "ES")
	put("2001:db8::/32", "FR")
	var b bytes.Buffer
	if _, err := tree.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func writeFile(t *testing.T, name string, text []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func wantAll(t *testing.T, what, text string, want ...string) {
	t.Helper()
	for _, w := range want {
		if !strings.Contains(text, w) {
			t.Errorf("%s says\n%s\nwithout %q", what, text, w)
		}
	}
}

func TestGeoInstallsADatabaseAndAnswersFromIt(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data") // made by update
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(worldDatabase(t, 0)))
	}))
	defer server.Close()
	out, err := lindero(t, "geo", "update", server.URL+"/country.mmdb?key=secret", "--data", data)
	if err != nil {
		t.Fatal(err)
	}
	wantAll(t, "update", out, "12,002 prefixes", "120 countries", "installed as "+data)
	if strings.Contains(out, "secret") {
		t.Errorf("the key is printed: %s", out)
	}
	out, err = lindero(t, "geo", "lookup", "192.0.2.9", "2001:db8::1", "203.0.113.1", "--data", data)
	if want := "192.0.2.9    ES  Spain\n2001:db8::1  FR  France\n203.0.113.1  ZZ  unknown\n"; err != nil || out != want {
		t.Errorf("lookup: %q, %v, want %q", out, err, want)
	}
	out, err = lindero(t, "geo", "lookup", "--json", "192.0.2.9", "--database", filepath.Join(data, "countries.mmdb"))
	var place foundPlace
	if err != nil || json.Unmarshal([]byte(out), &place) != nil || place.Country.String() != "ES" || place.Name != "Spain" {
		t.Errorf("lookup in JSON: %s, %v", out, err)
	}
	out, err = lindero(t, "geo", "inspect", "--data", data)
	if err != nil {
		t.Fatal(err)
	}
	wantAll(t, "inspect", out, "Test-Country", "a test, in the public domain", "12,001 IPv4, 1 IPv6; 0 could not", "2026-06-17", "days ago", "the kernel has room for", "Andorra")
	if n := strings.Count(out[strings.Index(out, "country "):], "\n"); n != 11 {
		t.Errorf("the table of countries has %d lines, want a head and ten:\n%s", n, out)
	}
	out, err = lindero(t, "geo", "inspect", "--json", "--data", data)
	var info struct {
		geo.Info
		ByCountry []countryShare `json:"by_country"`
	}
	if err != nil || json.Unmarshal([]byte(out), &info) != nil || info.V4 != 12_001 || len(info.ByCountry) != 120 || info.ByCountry[0].Addresses == 0 {
		t.Errorf("inspect in JSON: %v, %s", err, out)
	}
}

func TestGeoUpdateSaysWhyItRefuses(t *testing.T) {
	data := t.TempDir()
	if _, err := lindero(t, "geo", "update", writeFile(t, "a.mmdb", worldDatabase(t, 0)), "--data", data); err != nil {
		t.Fatal(err)
	}
	many := writeFile(t, "b.mmdb", worldDatabase(t, 4000))
	out, err := lindero(t, "geo", "update", many, "--data", data)
	if !errors.Is(err, geo.ErrRefused) {
		t.Fatalf("got %v, want a refusal", err)
	}
	wantAll(t, "the refusal", err.Error(), "of all IPv4 addresses", "up to 10.0 %", "UA", "--force")
	wantAll(t, "update", out, "would move 33.29 %", "UA", "Ukraine")
	if out, err = lindero(t, "geo", "update", many, "--data", data, "--max-moved", "40"); err != nil {
		t.Fatal(err)
	}
	wantAll(t, "update", out, "moves 33.29 %", "installed as", ".previous")
	out, err = lindero(t, "geo", "update", many, "--data", data, "--json")
	var report geo.Report
	if err != nil || json.Unmarshal([]byte(out), &report) != nil || !report.Same || report.Installed {
		t.Errorf("the same again: %s, %v", out, err)
	}
	small := writeFile(t, "c.mmdb", []byte("<html>"))
	if _, err := lindero(t, "geo", "update", small, "--data", data, "--force"); err == nil || !strings.Contains(err.Error(), "c.mmdb is no MMDB database") {
		t.Errorf("a page: %v", err)
	}
}

func TestGeoWithoutADatabaseSaysWhatToDo(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	for _, args := range [][]string{{"lookup", "192.0.2.1"}, {"inspect"}} {
		_, err := lindero(t, append([]string{"geo", "--data", data}, args...)...)
		if err == nil {
			t.Fatalf("%v found one", args)
		}
		wantAll(t, args[0], err.Error(), filepath.Join(data, "countries.mmdb"), "lindero geo update", "--database", "make geo-db")
	}
	if _, err := os.Stat(data); err == nil {
		t.Error("asking made the directory")
	}
}

func TestGeoCommandLinesThatMakeNoSense(t *testing.T) {
	for _, args := range [][]string{
		{"lookup"}, {"lookup", "example.net"}, {"lookup", "192.0.2.0/24"}, {"update"}, {"update", "a", "b"}, {"update", "a", "--max-moved", "0"}, {"update", "a", "--max-moved", "x"}, {"locate", "192.0.2.1"},
	} {
		if _, err := lindero(t, append([]string{"geo"}, args...)...); !errors.As(err, new(usageError)) {
			t.Errorf("%v: %v, want a usage error", args, err)
		}
	}
}

func TestProgressLine(t *testing.T) {
	for want, at := range map[string][2]int64{
		"  0 % ░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░ 0.0 of 8.0 MiB": {0, 8 << 20},
		" 50 % ████████████████████░░░░░░░░░░░░░░░░░░░░ 4.0 of 8.0 MiB": {4 << 20, 8 << 20},
		"100 % ████████████████████████████████████████ 8.0 of 8.0 MiB": {8 << 20, 8 << 20},
		"3.0 MiB": {3 << 20, -1},
	} {
		if got := progressLine(at[0], at[1]); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	for n, want := range map[int]string{0: "0", 999: "999", 1204: "1,204", 1348916644: "1,348,916,644", -4321: "-4,321"} {
		if got := thousands(n); got != want {
			t.Errorf("%d: %s", n, got)
		}
	}
}
