package core

import (
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lindero/lindero/core/api"
)

// Core serves its API and its page beside SIP, and is not ready without.
func TestHTTP(t *testing.T) {
	const token = "0123456789abcdefghijklmnop"
	cfg := testConfig(t)
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(token), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg.Tokens = []api.Token{{Name: "ana", File: file, Scope: api.Operator}}
	c, _, _ := start(t, cfg)
	get := func(path string) (int, string) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+c.Addresses().HTTP.String()+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+token)
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(text)
	}
	if code, text := get("/api/v1/companies"); code != 200 || !strings.Contains(text, demoDomain) {
		t.Errorf("companies: %d %s", code, text)
	}
	if code, text := get("/"); code != 200 || !strings.Contains(text, "<html") {
		t.Errorf("the page: %d %s", code, text)
	}
}

func TestHTTPOff(t *testing.T) {
	cfg := testConfig(t)
	cfg.HTTP = "off"
	c, _, _ := start(t, cfg)
	if at := c.Addresses().HTTP; at.IsValid() {
		t.Errorf("HTTP is off, and at %v", at)
	}
}

// A port that is taken, or a token that is not there, ends New, and what it opened
// before is free again.
func TestHTTPRefused(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	cfg := testConfig(t)
	cfg.SIP = netip.MustParseAddrPort(free.Addr().String())
	free.Close()
	for what, change := range map[string]func(*Config){
		taken.Addr().String(): func(c *Config) { c.HTTP = taken.Addr().String() },
		"tokens[0] (ana)":     func(c *Config) { c.Tokens = []api.Token{{Name: "ana", File: "/nowhere/token", Scope: api.Node}} },
	} {
		bad := cfg
		change(&bad)
		if c, err := New(bad, nil, nil); err == nil {
			t.Error("it was made", c.close())
		} else if !strings.Contains(err.Error(), what) {
			t.Errorf("no word of %s: %v", what, err)
		}
	}
	c, err := New(cfg, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	run(t, c)
}
