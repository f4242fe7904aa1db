package core

import (
	"context"
	"crypto/rand"
	"fmt"
	"math/big"
	"time"

	"github.com/lindero/lindero/core/store"
	"github.com/lindero/lindero/core/tenancy"
	"github.com/lindero/lindero/wire/sip/digest"
)

// A Demo is what somebody needs to make the first call. Only digests of the
// passwords are stored, so this is the one time they can be read.
type Demo struct {
	Domain   string     `json:"domain"`
	Users    []DemoUser `json:"users"`
	Echo     string     `json:"echo"`     // number that plays back what it hears
	Greeting string     `json:"greeting"` // number that says hello
}

// A DemoUser is an account of the demo.
type DemoUser struct {
	Extension string `json:"extension"`
	Username  string `json:"username"`
	Password  string `json:"password"`
}

const (
	demoName   = "demo"
	demoDomain = "demo.lindero.test"
)

// SeedDemo founds the demo on an empty database: brand and company demo, users
// 101 and 102 with new passwords, 600 and 9196 for an echo and 601 for a
// greeting; all of it or nothing. A database with any brand in it stays as it is,
// and tenancy.ErrExists is returned.
func SeedDemo(ctx context.Context, s *store.Store) (Demo, error) {
	d, err := newDemo()
	if err != nil {
		return Demo{}, err
	}
	f := store.Founding{
		Brand:   tenancy.Brand{Name: demoName},
		Company: tenancy.Company{Name: demoName, Domain: d.Domain, RingTime: 60 * time.Second},
		Others: []tenancy.Extension{
			{Number: d.Echo, Kind: tenancy.ToEcho},
			{Number: "9196", Kind: tenancy.ToEcho}, // where users of FreeSWITCH look for it
			{Number: d.Greeting, Kind: tenancy.ToGreeting},
		},
	}
	for _, u := range d.Users {
		f.Members = append(f.Members, store.Member{
			User:   tenancy.User{Name: "Demo " + u.Extension},
			Number: u.Extension,
			Terminal: tenancy.Terminal{
				Username: u.Username,
				HA1MD5:   digest.HA1(digest.MD5, u.Username, d.Domain, u.Password),
				HA1SHA:   digest.HA1(digest.SHA256, u.Username, d.Domain, u.Password),
			},
		})
	}
	if _, err := s.Platform().Found(ctx, f); err != nil {
		return Demo{}, fmt.Errorf("core: seed: %w", err)
	}
	return d, nil
}

// RenewDemo gives the demo's users new passwords, for when those that SeedDemo
// returned were lost. It returns tenancy.ErrNotFound when there is no demo.
func RenewDemo(ctx context.Context, s *store.Store) (Demo, error) {
	d, err := newDemo()
	if err != nil {
		return Demo{}, err
	}
	company, err := s.Domain(ctx, d.Domain)
	if err != nil {
		return Demo{}, fmt.Errorf("core: renew demo: %w", err)
	}
	for _, u := range d.Users {
		t, err := company.Terminal(ctx, u.Username)
		if err == nil {
			err = company.SetCredentials(ctx, t.ID,
				digest.HA1(digest.MD5, u.Username, d.Domain, u.Password),
				digest.HA1(digest.SHA256, u.Username, d.Domain, u.Password))
		}
		if err != nil {
			return Demo{}, fmt.Errorf("core: renew demo: %w", err)
		}
	}
	return d, nil
}

func newDemo() (Demo, error) {
	d := Demo{Domain: demoDomain, Echo: "600", Greeting: "601"}
	for _, number := range []string{"101", "102"} {
		p, err := newPassword()
		if err != nil {
			return Demo{}, fmt.Errorf("core: seed: %w", err)
		}
		d.Users = append(d.Users, DemoUser{Extension: number, Username: number, Password: p})
	}
	return d, nil
}

// readable has no letter that is taken for another when read aloud or typed into
// a phone: 16 of them are 78 bits.
const readable = "abcdefghjkmnpqrstuvwxyz23456789"

func newPassword() (string, error) {
	p := make([]byte, 16)
	for i := range p {
		n, err := rand.Int(rand.Reader, big.NewInt(int64(len(readable))))
		if err != nil {
			return "", err
		}
		p[i] = readable[n.Int64()]
	}
	return string(p), nil
}
