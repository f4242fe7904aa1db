package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/lindero/lindero/phone"
	"github.com/lindero/lindero/phone/audio"
)

// A crew is phones that live on one host of the lab, in a process of their own,
// since all their sockets must be there. The test binary is that process.
type crew struct {
	Server   netip.AddrPort
	Domain   string
	Password string
	Life     time.Duration
	Phones   []member
}

// A member is one phone.
type member struct {
	User      string
	Tone      float64
	Addresses []netip.Addr // a newcomer takes the next one for each registration; a resident has one
	Call      string       // whom a newcomer calls, and …
	Expect    float64      // … what is heard there; a resident hears it from who calls it
}

// An operation is one thing a person would notice: a registration or a call with
// its sound, heard here.
type operation struct {
	Phone  string        `json:"phone"`
	What   string        `json:"what"`
	Took   time.Duration `json:"took"`
	Failed string        `json:"failed,omitempty"` // why
}

const (
	crewVariable = "LINDERO_TEST_CREW"
	crewReady    = "crew: everybody is registered"
	crewMark     = "operation: "
	talkFor      = 3 * time.Second
	patience     = 40 * time.Second // for what SIP gives 32 s
)

// TestCrew is not a test but what a crew's process does; the flood tests start it.
func TestCrew(t *testing.T) {
	plan := os.Getenv(crewVariable)
	if plan == "" {
		t.Skip("run by the flood tests, in a host of the lab")
	}
	var c crew
	if err := json.Unmarshal([]byte(plan), &c); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(t.Context(), c.Life)
	defer stop()
	var all, ready sync.WaitGroup
	for _, m := range c.Phones {
		all.Add(1)
		ready.Add(1)
		go func() {
			defer all.Done()
			if m.Call == "" {
				c.resident(t.Context(), ctx, m, ready.Done)
				return
			}
			ready.Done()
			for n := 0; ctx.Err() == nil; n++ {
				c.newcomer(t.Context(), m, m.Addresses[n%len(m.Addresses)])
			}
		}()
	}
	ready.Wait()
	fmt.Println(crewReady)
	all.Wait()
}

// note prints how something went. It ends with an error when that is so.
func (m member) note(what string, began time.Time, err error) error {
	o := operation{Phone: m.User, What: what, Took: time.Since(began)}
	if err != nil {
		o.Failed = err.Error()
	}
	text, _ := json.Marshal(o) // of strings and numbers
	fmt.Printf("%s%s\n", crewMark, text)
	return err
}

// switchOn makes a phone run at an address.
func (c crew) switchOn(ctx context.Context, m member, at netip.Addr) (p *phone.Phone, off func(), err error) {
	p, err = phone.New(phone.Config{
		Server: c.Server, Domain: c.Domain, Username: m.User, Password: c.Password, Local: netip.AddrPortFrom(at, 0),
		Sound:   func() audio.Source { return audio.NewTone(audio.DefaultLevel, m.Tone) },
		Manners: phone.Manners{Answer: m.Call == ""},
	})
	if err != nil {
		return nil, nil, err
	}
	ctx, stop := context.WithCancel(ctx)
	ran := make(chan struct{})
	go func() {
		defer close(ran)
		_ = p.Run(ctx) // it ends because we stop it
	}()
	return p, func() { stop(); <-ran }, nil
}

// resident registers, says so, and then registers again and again while it takes
// calls and judges them.
func (c crew) resident(ctx, life context.Context, m member, ready func()) {
	p, off, err := c.switchOn(ctx, m, m.Addresses[0])
	if err == nil {
		defer off()
		err = c.register(ctx, p)
	}
	ready()
	if m.note("registration of a resident", time.Now(), err) != nil {
		return
	}
	again := time.NewTicker(400 * time.Millisecond)
	defer again.Stop()
	var calls sync.WaitGroup
	defer calls.Wait()
	for life.Err() == nil {
		select {
		case <-again.C:
			began := time.Now()
			_ = m.note("registration anew", began, c.register(ctx, p)) // noted is enough
		case call := <-p.Incoming():
			calls.Go(func() {
				began := time.Now()
				<-call.Done()
				_ = m.note("sound at the called", began, judge(call, m.Expect))
			})
		case <-life.Done():
		}
	}
}

// newcomer is a phone nobody has seen: it registers from an address, calls, and goes.
func (c crew) newcomer(ctx context.Context, m member, at netip.Addr) {
	began := time.Now()
	p, off, err := c.switchOn(ctx, m, at)
	if err != nil {
		_ = m.note("first registration", began, err)
		return
	}
	defer off()
	if m.note("first registration", began, c.register(ctx, p)) != nil {
		return
	}
	began = time.Now()
	limit, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	call, err := p.Dial(limit, m.Call)
	if m.note("call", began, err) == nil {
		timer := time.NewTimer(talkFor)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-call.Done():
		}
		began = time.Now()
		_ = m.note("hanging up", began, call.Hangup(limit))
		_ = m.note("sound at the caller", began, judge(call, m.Expect))
	}
	began = time.Now()
	_ = m.note("leaving", began, p.Unregister(limit))
}

func (c crew) register(ctx context.Context, p *phone.Phone) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return p.Register(ctx, time.Hour)
}

// judge says what was wrong with a call's sound.
func judge(call *phone.Call, hz float64) error {
	r := call.Media().Report(hz)
	switch {
	case r.Length < talkFor/2:
		return fmt.Errorf("heard %v of %v", r.Length, talkFor)
	case !r.Heard(hz):
		return fmt.Errorf("did not hear %v Hz: %+v", hz, r.Tones)
	case r.LossShare > 0.05: // a wire full of other packets loses some before anything judges them
		return fmt.Errorf("lost %.1f %% of %d packets", 100*r.LossShare, r.Received+r.Lost)
	case call.End().Err != nil:
		return errors.Join(errors.New("the call ended badly"), call.End().Err)
	}
	return nil
}
