package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// What a terminal is told: another screen without a cursor and back; to the upper
// left corner; to clear the rest of the line, the rest of the screen.
const (
	enterScreen = "\x1b[?1049h\x1b[?25l"
	leaveScreen = "\x1b[?25h\x1b[?1049l"
	home        = "\x1b[H"
	clearLine   = "\x1b[K"
	clearBelow  = "\x1b[J"
	bold        = "\x1b[1m"
	dim         = "\x1b[2m"
	green       = "\x1b[32m"
	red         = "\x1b[31m"
	ordinary    = "\x1b[0m"
)

// A view draws what somebody says, once a second: take asks, and draw makes the lines
// of a picture of what happened between two answers.
type view[F any] struct {
	out  io.Writer
	take func(ctx context.Context) (F, error)
	draw func(before, now F, s screen) []string
}

// show draws until ctx ends; one picture when only that is wanted, or nobody looks.
func (v view[F]) show(ctx context.Context, once bool) error {
	if once || !terminal(v.out) {
		return v.once(ctx)
	}
	return v.live(ctx)
}

// once prints one picture, of what happened in a second.
func (v view[F]) once(ctx context.Context) error {
	before, err := v.take(ctx)
	if err != nil {
		return err
	}
	select {
	case <-time.After(time.Second):
	case <-ctx.Done():
		return ctx.Err()
	}
	now, err := v.take(ctx)
	if err != nil {
		return err
	}
	for _, line := range v.draw(before, now, screen{width: 120, lines: 60}) {
		if _, err := fmt.Fprintln(v.out, strings.TrimRight(line, " ")); err != nil {
			return err
		}
	}
	return nil
}

// live draws until ctx ends. Somebody who stops answering is waited for.
func (v view[F]) live(ctx context.Context) error {
	before, err := v.take(ctx)
	if err != nil {
		return err
	}
	fmt.Fprint(v.out, enterScreen)
	defer fmt.Fprint(v.out, leaveScreen)
	now, fault := before, ""
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		s := screenOf(v.out)
		lines := v.draw(before, now, s)
		if fault != "" {
			lines[0] = s.paint(red, fault)
		}
		if _, err := io.WriteString(v.out, home+strings.Join(lines[:min(len(lines), s.lines)], clearLine+"\r\n")+clearLine+clearBelow); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		next, err := v.take(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			fault, _, _ = strings.Cut(err.Error(), "\n")
		default:
			before, now, fault = now, next, ""
		}
	}
}

// A screen is where a picture is to fit.
type screen struct {
	width, lines int
	colour       bool
}

// screenOf asks the terminal, which may have been resized.
func screenOf(out io.Writer) screen {
	s := screen{width: 80, lines: 24, colour: true}
	if file, ok := out.(*os.File); ok {
		if size, err := unix.IoctlGetWinsize(int(file.Fd()), unix.TIOCGWINSZ); err == nil && size.Col > 0 && size.Row > 0 {
			s.width, s.lines = int(size.Col), int(size.Row)
		}
	}
	return s
}

func (s screen) paint(how, text string) string {
	if !s.colour {
		return text
	}
	return how + text + ordinary
}

// fit makes text exactly as wide as it may be.
func fit(text string, width int) string {
	r := []rune(text)
	if len(r) > width {
		return string(r[:max(0, width-1)]) + "…"
	}
	return text + strings.Repeat(" ", width-len(r))
}
