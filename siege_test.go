package main

import (
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"
)

// This file holds what strangers make the program hold, and how a good client fares
// meanwhile.

// How the program is besieged.
const (
	siegeLimit = 64 // GOMEMLIMIT, in MiB
	siegeTime  = 8 * time.Second
	restTime   = time.Minute
)

var httpbin = flag.String("httpbin", "", "besiege the go-httpbin in `file` as well")

// TestSiege has strangers attack the program under a memory limit, by each attack, by
// some over TLS, and by all at once. For comparison they attack net/http alone as well.
func TestSiege(t *testing.T) {
	if !*soak {
		t.Skip("no -soak")
	}
	t.Setenv("GOMEMLIMIT", fmt.Sprintf("%dMiB", siegeLimit))
	var rest sync.WaitGroup
	defer rest.Wait()
	others := []subject{stockSubject(t)}
	if *httpbin != "" {
		others = append(others, subject{"go-httpbin", func(addr string) []string {
			host, port, _ := net.SplitHostPort(addr)
			return []string{*httpbin, "-host=" + host, "-port=" + port}
		}, ""})
	}
	besiege := func(name, attacks, scheme string, p *process, args ...string) {
		slowest, bad, asked := attack(t, p, attacks, scheme, args...)
		peak := p.memory("VmHWM") / 1024
		t.Logf("%s: peak %.0f MB, slowest answer %v, %d of %d bad", name, peak, slowest.Round(time.Millisecond), bad, asked)
		if p.cmd.Path == binary && (peak > siegeLimit*1.5 || bad > 0 || slowest > time.Second) {
			t.Errorf("%s: too much", name)
		}
		rest.Go(func() {
			time.Sleep(restTime)
			t.Logf("%s: at rest %.0f MB", name, p.memory("VmRSS")/1024)
			p.cmd.Process.Kill()
		})
	}
	for _, a := range attacks("", "") {
		if !a.raw {
			besiege(a.name, "^"+a.name+"$", "http", start(t))
			for _, s := range others {
				args := []string{}
				if s.name == "go-httpbin" {
					args = []string{"-attackpath=/headers", "-attackslow=/delay/10"}
				}
				besiege(a.name+", "+s.name, "^"+a.name+"$", "http", s.start(t), args...)
			}
		}
	}
	besiege("all at once", ".", "http", start(t), "-attackpart=2")
	for _, name := range []string{"heads of tiny fields, JSON, not read", "half heads of tiny fields", "bombs of an empty field",
		"half blocks", "resets on many short connections", "idle connections", "idle connections after a stream", "handshakes begun"} {
		besiege(name+", TLS", "^"+name+"$", "https", startTLS(t), "-attacktls")
	}
	besiege("all at once, TLS", ".", "https", startTLS(t), "-attackpart=2", "-attacktls")
}

// attack has the attacks that match a pattern on p for siegeTime, while a good client
// comes anew every 200 ms. It returns the slowest answer to that, how many were no good,
// and how many there were.
func attack(t *testing.T, p *process, attacks, scheme string, args ...string) (slowest time.Duration, bad, asked int) {
	cmd := exec.Command("nice", append([]string{os.Args[0], "-test.run=^TestAttack$/" + attacks, "-test.parallel=100",
		"-program=" + binary, "-attack=" + p.addr}, args...)...)
	cmd.Env = append(os.Environ(), "GOMEMLIMIT=off", "GOMAXPROCS=1") // leave p a processor
	attackers := launch(t, cmd)
	defer attackers.cmd.Process.Kill()
	path := "/hello"
	for _, arg := range args {
		fmt.Sscanf(arg, "-attackpath=%s", &path)
	}
	for begin := time.Now(); time.Since(begin) < siegeTime; {
		time.Sleep(200 * time.Millisecond)
		asked++
		out, err := exec.Command("curl", "-sSkm10", "-o/dev/null", "-w%{http_code} %{time_total}", scheme+"://"+p.addr+path).CombinedOutput()
		var status int
		var seconds float64
		fmt.Sscan(string(out), &status, &seconds)
		if err != nil || status != 200 {
			bad++
			t.Logf("bad: %v, %q", err, out)
		}
		slowest = max(slowest, time.Duration(seconds*float64(time.Second)))
	}
	return slowest, bad, asked
}
