package lab

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/lindero/lindero/phone/audio"
)

// Baresip describes one baresip (github.com/baresip/baresip), without a screen or
// a sound card: it plays a tone and records what it hears.
type Baresip struct {
	User, Password string
	Domain         string
	Server         netip.AddrPort
	Transport      string        // udp, tcp or tls
	Expires        time.Duration // it registers for so long; zero: an hour
	Tone           float64       // Hz, what it says
	Answer         bool          // answers by itself, else a call to it rings on
}

// A BaresipPhone is a running Baresip.
type BaresipPhone struct {
	*Process
	host *Host
	dir  string
}

const baresipConfig = `
poll_method epoll
sip_listen 0.0.0.0:%d
call_local_timeout 60
call_max_calls 4
audio_player none
audio_source aufile,%s/tone.wav
audio_alert none
ausrc_srate 8000
auplay_srate 8000
audio_level no
rtp_tos 184
rtp_ports 10000-10100
rtcp_mux no
jitter_buffer_delay 0-1
module_path /usr/lib/baresip/modules
module g711.so
module aufile.so
module sndfile.so
module_app account.so
module_app menu.so
module cons.so
module_tmp uuid.so
cons_listen 127.0.0.1:5555
snd_path %s
`

// StartBaresip starts a phone on the host and waits until it is registered.
func StartBaresip(t testing.TB, h *Host, b Baresip) *BaresipPhone {
	t.Helper()
	p := StartBaresipUnregistered(t, h, b)
	p.Await("200 OK", 1, 15*time.Second)
	return p
}

// StartBaresipUnregistered starts a phone and does not wait.
func StartBaresipUnregistered(t testing.TB, h *Host, b Baresip) *BaresipPhone {
	t.Helper()
	p := &BaresipPhone{host: h, dir: t.TempDir()}
	p.write(t, "config", fmt.Sprintf(baresipConfig, 5062, p.dir, p.dir))
	p.write(t, "contacts", "")
	answer := "manual"
	if b.Answer {
		answer = "auto"
	}
	if b.Expires == 0 {
		b.Expires = time.Hour
	}
	p.write(t, "accounts", fmt.Sprintf("<sip:%s@%s;transport=%s>;auth_user=%s;auth_pass=%s;outbound=\"sip:%s;transport=%s\";regint=%d;answermode=%s;audio_codecs=PCMU/8000/1,PCMA/8000/1;mediaenc=;medianat=\n",
		b.User, b.Domain, b.Transport, b.User, b.Password, b.Server, b.Transport, int(b.Expires/time.Second), answer))
	tone := make([]int16, audio.Rate*60)
	audio.NewTone(audio.DefaultLevel, b.Tone).Fill(tone)
	f, err := os.Create(filepath.Join(p.dir, "tone.wav"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := audio.WriteWAV(f, tone); err != nil {
		t.Fatal(err)
	}
	p.Process = Start(t, "baresip "+b.User, h.Command(context.WithoutCancel(t.Context()), "baresip", "-4", "-v", "-f", p.dir))
	return p
}

func (p *BaresipPhone) write(t testing.TB, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(p.dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Say types a command at the phone's console, such as "d sip:102@…" or "b".
func (p *BaresipPhone) Say(command string) {
	p.t.Helper()
	err := p.host.In(func() error {
		c, err := net.Dial("udp4", "127.0.0.1:5555")
		if err != nil {
			return err
		}
		defer c.Close()
		_, err = c.Write([]byte(command + "\n"))
		return err
	})
	if err != nil {
		p.t.Fatalf("%s: saying %q: %v", p.Name, command, err)
	}
}

// Heard is the recording of what the phone heard in its latest call.
func (p *BaresipPhone) Heard() []int16 {
	p.t.Helper()
	files, err := filepath.Glob(filepath.Join(p.dir, "dump-*-dec.wav"))
	if err != nil || len(files) == 0 {
		p.t.Fatalf("%s recorded nothing", p.Name)
	}
	samples, err := audio.Load(files[len(files)-1]) // names begin with the time
	if err != nil {
		p.t.Fatal(err)
	}
	return samples
}
