package auth

import (
	"context"
	"errors"
	"fmt"

	"github.com/lindero/lindero/core/tenancy"
	"github.com/lindero/lindero/wire/sip"
)

// Numbers finds what answers a number of one company, tenancy.ErrNotFound for none.
type Numbers interface {
	Extension(ctx context.Context, number string) (tenancy.Extension, error)
}

// Owns tells whether the user part of an address-of-record belongs to terminal d:
// it is the terminal's username, or the number of an extension that leads to its
// user. The error is a failure of the database.
func Owns(ctx context.Context, d tenancy.Terminal, aor sip.URI, company Numbers) (bool, error) {
	user := string(aor.User)
	if user == d.Username {
		return true, nil
	}
	e, err := company.Extension(ctx, user)
	switch {
	case errors.Is(err, tenancy.ErrNotFound):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("auth: %w", err)
	}
	return e.Kind == tenancy.ToUser && e.User == d.User, nil
}
