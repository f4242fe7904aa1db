package store_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/lindero/lindero/core/store/storetest"
	"github.com/lindero/lindero/core/tenancy"
)

func BenchmarkSaveBinding(b *testing.B) {
	b.Run("sqlite", func(b *testing.B) { benchSaveBinding(b, sqliteURL(b)) })
	b.Run("postgres", func(b *testing.B) { benchSaveBinding(b, storetest.StartPostgres(b).Fresh(b)) })
}

// benchSaveBinding refreshes the bindings of a hundred phones in turn.
func benchSaveBinding(b *testing.B, url string) {
	ctx := b.Context()
	c := storetest.Make(b, storetest.Open(b, url), "a.test", "101", "101")
	var cseq uint32
	for b.Loop() {
		cseq++
		err := c.SaveBinding(ctx, tenancy.Binding{
			Terminal: c.Terminal.ID, Key: fmt.Sprint(cseq % 100), Contact: "sip:101@192.0.2.1:5062",
			Path: []string{"<sip:0123456789012345678901234567890123456789@198.51.100.1:5065;transport=tcp;lr;ob>"}, CallID: "call", CSeq: cseq,
			UserAgent: "phone/1", Source: "203.0.113.9:5062", Expires: time.Now().Add(time.Hour),
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkBindingsOf(b *testing.B) {
	ctx := b.Context()
	c := storetest.Make(b, storetest.Open(b, sqliteURL(b)), "a.test", "101", "101")
	err := c.SaveBinding(ctx, tenancy.Binding{Terminal: c.Terminal.ID, Key: "k", Path: []string{"<sip:x>"}, Expires: time.Now().Add(time.Hour)})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := c.BindingsOf(ctx, c.Terminal.ID); err != nil {
			b.Fatal(err)
		}
	}
}
