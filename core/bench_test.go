package core

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/lindero/lindero/wire/sip/digest"
)

// BenchmarkRegister measures the two halves of a registration over TCP and into
// SQLite. CPU time is the whole process's: reading the answers, on the edge's end,
// is in it.
func BenchmarkRegister(b *testing.B) {
	for _, alg := range []digest.Algorithm{digest.MD5, digest.SHA256} {
		b.Run("refresh "+alg.String(), func(b *testing.B) { benchRegister(b, alg, 200) })
	}
	b.Run("challenge", func(b *testing.B) { benchRegister(b, 0, 401) })
}

func benchRegister(b *testing.B, alg digest.Algorithm, code int) {
	c, demo, _ := start(b, testConfig(b))
	e := dialEdge(b, c)
	const phones = 500 // each with a nonce and a Call-ID of its own
	r := request{method: "REGISTER", uri: "sip:demo.lindero.test", headers: phone("<sip:101@192.0.2.7>")}
	contact := r.headers
	logins := make([]*login, phones)
	for i := range logins {
		logins[i] = demo.login(0)
		logins[i].algorithm = alg
		logins[i].credentials(b, e.ask(r), r)
	}
	texts := make([]string, b.N)
	for i := range texts {
		r.callID = fmt.Sprint("phone", i%phones)
		if code == 200 {
			r.headers = append([]string{logins[i%phones].again("Authorization", r)}, contact...)
		}
		texts[i] = e.text(r)
	}

	before := cpuTime(b)
	b.ResetTimer()
	const window = 64 // requests on their way
	for i := range texts {
		e.send(texts[i])
		if i >= window {
			wantCode(b, e.receive(), code)
		}
	}
	for range min(b.N, window) {
		wantCode(b, e.receive(), code)
	}
	b.StopTimer()
	cpu := cpuTime(b) - before
	b.ReportMetric(float64(b.N)/cpu.Seconds(), "per-cpu-s")
	b.ReportMetric(float64(cpu.Nanoseconds())/1e3/float64(b.N), "cpu-µs/op")
}

func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
