package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"github.com/lindero/lindero/core"
	"github.com/lindero/lindero/core/api"
	"github.com/lindero/lindero/core/store"
	"github.com/lindero/lindero/core/tenancy"
	"github.com/lindero/lindero/edge"
)

// demoDomain is the SIP domain of the demo company; core.SeedDemo chose it.
const demoDomain = "demo.lindero.test"

// A demoSheet is DATA/demo.json: what a person or a test needs to use the demo.
type demoSheet struct {
	Domain   string        `json:"domain"`
	Edge     string        `json:"edge"` // where phones reach it by UDP and TCP
	Users    []demoAccount `json:"users"`
	Echo     string        `json:"echo"`
	Greeting string        `json:"greeting"`
	API      string        `json:"api,omitempty"`                 // base URL of core's HTTP
	Operator string        `json:"operator_token_file,omitempty"` // who has what it holds may use all of it
}

// places are where things are this time.
type places struct {
	sip, sips netip.AddrPort // told to phones
	api       string         // base URL; "" for none
	operator  string         // file of a token for it
}

// places says where everything is, given where the edge is bound.
func (f *upFile) places(at edge.Addresses) (p places) {
	p.sip, p.sips = toldPhones(at, f.Up.Advertise)
	http, err := netip.ParseAddrPort(f.Core.HTTP)
	if err != nil {
		return p // off
	}
	p.api = urlOf(http)
	for _, t := range f.Core.Tokens {
		if t.Scope == api.Operator {
			p.operator = t.File
			if whole, err := filepath.Abs(t.File); err == nil {
				p.operator = whole
			}
			break
		}
	}
	return p
}

type demoAccount = core.DemoUser

// ensureDemo returns the demo's accounts: new ones on an empty database, else
// those of an earlier start, with where things are now. When their sheet was lost, which may happen to a
// process that is killed while it seeds, the demo's users get new passwords. It
// returns nil when the database has tenants but no demo among them.
func (d *dataDir) ensureDemo(ctx context.Context, database string, at places) (*demoSheet, error) {
	s, err := store.Open(ctx, database)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	demo, err := core.SeedDemo(ctx, s)
	if errors.Is(err, tenancy.ErrExists) {
		text, readErr := os.ReadFile(d.file("demo.json"))
		switch {
		case readErr == nil:
			return d.readSheet(text, at)
		case !errors.Is(readErr, fs.ErrNotExist):
			return nil, fmt.Errorf("reading the demo's accounts: %w", readErr)
		}
		if demo, err = core.RenewDemo(ctx, s); errors.Is(err, tenancy.ErrNotFound) {
			return nil, nil
		}
	}
	if err != nil {
		return nil, err
	}
	sheet := &demoSheet{Domain: demo.Domain, Users: demo.Users, Echo: demo.Echo, Greeting: demo.Greeting}
	sheet.move(at)
	return sheet, d.writeSheet(sheet)
}

// readSheet takes the sheet of an earlier start and brings it up to date.
func (d *dataDir) readSheet(text []byte, at places) (*demoSheet, error) {
	var sheet demoSheet
	if err := json.Unmarshal(text, &sheet); err != nil {
		return nil, fmt.Errorf("reading %s: %w; remove it to give the demo's users new passwords", d.file("demo.json"), err)
	}
	if !sheet.move(at) {
		return &sheet, nil
	}
	return &sheet, d.writeSheet(&sheet)
}

// move writes down where things are, and tells whether that is new.
func (s *demoSheet) move(at places) bool {
	before := [...]string{s.Edge, s.API, s.Operator}
	s.Edge, s.API, s.Operator = at.sip.String(), at.api, at.operator
	return before != [...]string{s.Edge, s.API, s.Operator}
}

func (d *dataDir) writeSheet(sheet *demoSheet) error {
	text, err := json.MarshalIndent(sheet, "", "  ")
	if err != nil {
		return fmt.Errorf("writing the demo's accounts: %w", err)
	}
	return writeWhole(d.file("demo.json"), append(text, '\n'))
}

// toldPhones is where phones reach the edge, in the clear and by TLS, when it
// is bound to at.
func toldPhones(at edge.Addresses, advertise netip.Addr) (sip, sips netip.AddrPort) {
	sip, sips = at.UDP, at.TLS
	if advertise.IsValid() {
		sip = netip.AddrPortFrom(advertise, sip.Port())
		if sips.IsValid() {
			sips = netip.AddrPortFrom(advertise, sips.Port())
		}
	}
	return sip, sips
}

// announce tells a person how to make the first call, and where to look.
func (d *dataDir) announce(out io.Writer, sheet *demoSheet, at places) error {
	w := tabwriter.NewWriter(out, 0, 8, 3, ' ', 0)
	if sheet == nil {
		fmt.Fprintf(w, "lindero serves SIP at %v (UDP, TCP).\n", at.sip)
		at.announcePage(w)
		fmt.Fprintf(w, "Ctrl-C ends it.\n")
		return w.Flush()
	}
	fmt.Fprintf(w, "\nlindero serves SIP. Two accounts to try it with:\n\n")
	fmt.Fprintf(w, "  extension\tuser name\tpassword\n")
	for _, u := range sheet.Users {
		fmt.Fprintf(w, "  %s\t%s\t%s\n", u.Extension, u.Username, u.Password)
	}
	fmt.Fprintf(w, "\nRegister a phone with\n\n")
	fmt.Fprintf(w, "  domain, realm\t%s\n", sheet.Domain)
	fmt.Fprintf(w, "  server, outbound proxy\t%v\tUDP or TCP\n", at.sip)
	if at.sips.IsValid() {
		fmt.Fprintf(w, "  \t%v\tTLS; certificate %s\n", at.sips, d.file("tls.crt"))
	}
	fmt.Fprintf(w, "\nThen dial\n\n")
	for _, u := range sheet.Users {
		fmt.Fprintf(w, "  %s\tthe other phone, when it is registered as %s\n", u.Extension, u.Extension)
	}
	fmt.Fprintf(w, "  %s\tan echo: hear yourself\n", sheet.Echo)
	fmt.Fprintf(w, "  %s\ta spoken greeting\n", sheet.Greeting)
	at.announcePage(w)
	fmt.Fprintf(w, "\nThe accounts are in %s too.\nCtrl-C ends it; a second start keeps everything.\n\n", d.file("demo.json"))
	return w.Flush()
}

// announcePage tells where the page is. The token stands behind the #, which a
// browser keeps to itself.
func (p places) announcePage(out io.Writer) {
	token, err := os.ReadFile(p.operator)
	switch {
	case p.api == "":
	case err != nil:
		fmt.Fprintf(out, "\nWho is let in, who is not, and why: %s\n", p.api)
	default:
		fmt.Fprintf(out, "\nWho is let in, who is not, and why:\n\n  %s/#token=%s\n", p.api, strings.TrimSpace(string(token)))
	}
}
