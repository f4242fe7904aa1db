package ng

import (
	"context"
	"io"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"
)

// The subprotocols of WebSocket that are spoken.
const (
	subprotocol      = "ng.rtpengine.com"
	subprotocolPlain = "ng-plain.rtpengine.com"
)

// serveWebSocket takes a message from each frame, until the other end goes.
func (s *Server) serveWebSocket(w http.ResponseWriter, r *http.Request) {
	offered := strings.FieldsFunc(strings.Join(r.Header.Values("Sec-WebSocket-Protocol"), ","), func(c rune) bool { return c == ',' || c == ' ' })
	if !slices.Contains(offered, subprotocol) && !slices.Contains(offered, subprotocolPlain) {
		http.Error(w, "Sec-WebSocket-Protocol must offer "+subprotocol, http.StatusBadRequest)
		return
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	c, err := websocket.Accept(w, r, &websocket.AcceptOptions{
		Subprotocols:       []string{subprotocol, subprotocolPlain},
		InsecureSkipVerify: true, // the origin was looked at, by a stricter rule
	})
	if err != nil {
		s.stats.malformed.Add(1)
		return // Accept has said why
	}
	defer c.CloseNow()
	c.SetReadLimit(MaxDatagram)
	out := newOutbox(s, func(batch [][]byte) error {
		for _, b := range batch {
			late, cancel := context.WithTimeout(ctx, s.cfg.Write)
			err := c.Write(late, websocket.MessageBinary, b)
			cancel()
			if err != nil {
				return err
			}
		}
		return nil
	}, cancel)
	var writer sync.WaitGroup
	writer.Go(out.run)
	defer writer.Wait()
	defer out.finish(s.cfg.Write)
	from, _ := netip.ParseAddrPort(r.RemoteAddr)
	for {
		b, err := s.readFrame(ctx, c)
		if err != nil {
			return
		}
		j := job{from: from, message: message(b), plain: c.Subprotocol() == subprotocolPlain, back: out}
		if s.worker(j) == nil { // no cookie
			s.stats.malformed.Add(1)
			release(j.message)
			_ = c.Close(websocket.StatusUnsupportedData, ErrNoCookie.Error())
			return
		}
		if !out.take(ctx, j) {
			return
		}
	}
}

// readFrame reads the next message. It may be long in coming, but once begun it
// must come.
func (s *Server) readFrame(ctx context.Context, c *websocket.Conn) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Idle)
	defer cancel()
	_, r, err := c.Reader(ctx)
	if err != nil {
		return nil, err
	}
	late := time.AfterFunc(s.cfg.Message, cancel)
	defer late.Stop()
	b, err := io.ReadAll(r)
	if err != nil {
		s.stats.malformed.Add(1)
	}
	return b, err
}
