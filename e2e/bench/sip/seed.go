package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/lindero/lindero/core/store"
	"github.com/lindero/lindero/core/tenancy"
	"github.com/lindero/lindero/wire/sip/digest"
)

// The phones' password, and the first of their numbers. Kamailio's configuration
// and the scenarios say the same.
const (
	password  = "secret"
	firstUser = 100000
)

// seed founds one company with as many users as the bench registers.
func seed(ctx context.Context, file string, users int) error {
	s, err := store.Open(ctx, "sqlite:"+file)
	if err != nil {
		return err
	}
	defer s.Close()
	f := store.Founding{
		Brand:   tenancy.Brand{Name: "bench"},
		Company: tenancy.Company{Name: "bench", Domain: domain, RingTime: 30 * time.Second},
	}
	for i := range users {
		number := strconv.Itoa(firstUser + i)
		f.Members = append(f.Members, store.Member{
			User:   tenancy.User{Name: "User " + number},
			Number: number,
			Terminal: tenancy.Terminal{
				Username: number,
				HA1MD5:   digest.HA1(digest.MD5, number, domain, password),
				HA1SHA:   digest.HA1(digest.SHA256, number, domain, password),
			},
		})
	}
	if _, err := s.Platform().Found(ctx, f); err != nil {
		return fmt.Errorf("found: %w", err)
	}
	return nil
}
