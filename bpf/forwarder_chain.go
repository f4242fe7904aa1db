package bpf

import "fmt"

// Chain has f repeat what the shield lets through to live legs of the relay (service
// RTP), from now on and until Unforward; also when this process is no more.
func (s *Shield) Chain(f *Forwarder) error {
	done, err := s.use()
	if err != nil {
		return err
	}
	defer done()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return ErrClosed
	}
	if err := s.maps.Next.Put(uint32(0), f.program); err != nil {
		return fmt.Errorf("bpf: chaining the forwarder behind the shield of %s: %w", s.device, refused(err))
	}
	if err := f.unhook(s.device); err != nil {
		return fmt.Errorf("bpf: taking the forwarder from the TCX hook of %s: %w", s.device, refused(err))
	}
	f.exits[s.device] = Exit{Device: s.device, Mode: s.mode, Reason: s.reason}
	return nil
}
