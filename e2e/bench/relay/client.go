package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/lindero/lindero/bpf/livegen"
	"github.com/lindero/lindero/wire/ng"
	"github.com/lindero/lindero/wire/sdp"
)

// A client drives a relay as an edge on the same machine would.
type client struct {
	ng  *ng.Client
	end func()
}

func newClient(ctx context.Context, s *street) (*client, error) {
	c := &client{}
	err := livegen.In(s.left.Far, func() (err error) {
		c.ng, err = ng.NewClient(netip.AddrPortFrom(outsideAddr, ngPort), ng.ClientConfig{Failures: 1 << 30, Deadline: 4 * time.Second, Retransmit: 2 * time.Second})
		return err
	})
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(ctx)
	var done sync.WaitGroup
	done.Go(func() { _ = c.ng.Run(ctx) }) // it ends with its context
	c.end = func() { stop(); done.Wait() }
	return c, nil
}

// do asks and waits.
func (c *client) do(cmd ng.Command) (ng.Reply, error) {
	type outcome struct {
		reply ng.Reply
		err   error
	}
	got := make(chan outcome, 1)
	c.ng.Do(cmd, func(r ng.Reply, err error) { got <- outcome{r, errors.Join(err, r.Err())} })
	o := <-got
	return o.reply, o.err
}

// described is the SDP of a phone with G.711 at an address and port.
func described(a netip.Addr, port uint16) []byte {
	return fmt.Appendf(nil, "v=0\r\no=- 1 1 IN IP4 %v\r\ns=-\r\nc=IN IP4 %v\r\nt=0 0\r\nm=audio %d RTP/AVP 0 8 101\r\n"+
		"a=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:101 telephone-event/8000\r\na=sendrecv\r\n", a, a, port)
}

func portOf(b []byte) (uint16, error) {
	s, err := sdp.Parse(b)
	if err != nil {
		return 0, err
	}
	if len(s.Media) != 1 || s.Media[0].Port == 0 {
		return 0, fmt.Errorf("no port in %s", bytes.ReplaceAll(b, []byte("\r\n"), []byte(" | ")))
	}
	return s.Media[0].Port, nil
}

// call sets one up: the caller sends from and hears at its port, and the callee.
func (c *client) call(id string, caller uint16, callee netip.AddrPort) (inward, outward flow, err error) {
	offer := ng.Command{
		Name: ng.Offer, CallID: id, FromTag: "a", SDP: described(callerAddr, caller), Direction: [2]string{"external", "internal"},
		Replace: []string{ng.ReplaceOrigin, ng.ReplaceSession}, Flags: []string{ng.FlagTrustAddress}, ICE: ng.ICERemove,
	}
	r, err := c.do(offer)
	if err != nil {
		return inward, outward, fmt.Errorf("offer: %w", err)
	}
	inside, err := portOf(r.SDP)
	if err != nil {
		return inward, outward, err
	}
	answer := offer
	answer.Name, answer.ToTag, answer.SDP, answer.Direction = ng.Answer, "b", described(callee.Addr(), callee.Port()), [2]string{"internal", "external"}
	if r, err = c.do(answer); err != nil {
		return inward, outward, fmt.Errorf("answer: %w", err)
	}
	outside, err := portOf(r.SDP)
	if err != nil {
		return inward, outward, err
	}
	return flow{caller, outside, inside, callee.Port()}, flow{callee.Port(), inside, outside, caller}, nil
}

// calls sets n up, one after the other, or as many as the relay takes. Callers have even ports from 4000.
func (c *contender) calls(prefix string, n, first int) (inward, outward []flow, err error) {
	for i := first; i < first+n; i++ {
		callee := netip.AddrPortFrom(c.callee.addr, c.callee.first+uint16(2*i))
		in, out, err := c.client.call(fmt.Sprintf("%s-%d", prefix, i), uint16(4000+2*i), callee)
		if err != nil {
			return inward, outward, err
		}
		inward, outward = append(inward, in), append(outward, out)
	}
	return inward, outward, nil
}
