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
	"text/tabwriter"

	"github.com/lindero/lindero/core"
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
}

type demoAccount = core.DemoUser

// ensureDemo returns the demo's accounts: new ones on an empty database, else
// those of an earlier start. sip is where phones reach the edge now. When their sheet was lost, which may happen to a
// process that is killed while it seeds, the demo's users get new passwords. It
// returns nil when the database has tenants but no demo among them.
func (d *dataDir) ensureDemo(ctx context.Context, database string, sip netip.AddrPort) (*demoSheet, error) {
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
			return d.readSheet(text, sip)
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
	sheet := &demoSheet{Domain: demo.Domain, Edge: sip.String(), Users: demo.Users, Echo: demo.Echo, Greeting: demo.Greeting}
	return sheet, d.writeSheet(sheet)
}

// readSheet takes the sheet of an earlier start and brings it up to date.
func (d *dataDir) readSheet(text []byte, sip netip.AddrPort) (*demoSheet, error) {
	var sheet demoSheet
	if err := json.Unmarshal(text, &sheet); err != nil {
		return nil, fmt.Errorf("reading %s: %w; remove it to give the demo's users new passwords", d.file("demo.json"), err)
	}
	if sheet.Edge == sip.String() {
		return &sheet, nil
	}
	sheet.Edge = sip.String()
	return &sheet, d.writeSheet(&sheet)
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

// announce tells a person how to make the first call.
func (d *dataDir) announce(out io.Writer, sheet *demoSheet, sip, sips netip.AddrPort) error {
	if sheet == nil {
		_, err := fmt.Fprintf(out, "lindero serves SIP at %v (UDP, TCP). Ctrl-C ends it.\n", sip)
		return err
	}
	w := tabwriter.NewWriter(out, 0, 8, 3, ' ', 0)
	fmt.Fprintf(w, "\nlindero serves SIP. Two accounts to try it with:\n\n")
	fmt.Fprintf(w, "  extension\tuser name\tpassword\n")
	for _, u := range sheet.Users {
		fmt.Fprintf(w, "  %s\t%s\t%s\n", u.Extension, u.Username, u.Password)
	}
	fmt.Fprintf(w, "\nRegister a phone with\n\n")
	fmt.Fprintf(w, "  domain, realm\t%s\n", sheet.Domain)
	fmt.Fprintf(w, "  server, outbound proxy\t%v\tUDP or TCP\n", sip)
	if sips.IsValid() {
		fmt.Fprintf(w, "  \t%v\tTLS; certificate %s\n", sips, d.file("tls.crt"))
	}
	fmt.Fprintf(w, "\nThen dial\n\n")
	for _, u := range sheet.Users {
		fmt.Fprintf(w, "  %s\tthe other phone, when it is registered as %s\n", u.Extension, u.Extension)
	}
	fmt.Fprintf(w, "  %s\tan echo: hear yourself\n", sheet.Echo)
	fmt.Fprintf(w, "  %s\ta spoken greeting\n", sheet.Greeting)
	fmt.Fprintf(w, "\nThe accounts are in %s too.\nCtrl-C ends it; a second start keeps everything.\n\n", d.file("demo.json"))
	return w.Flush()
}
