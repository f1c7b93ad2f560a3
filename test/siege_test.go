//go:build unix

package test

import (
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// This file holds what strangers make the program hold, and how a good client fares
// meanwhile.

// siegeTime is how long the program is besieged by each attack.
const siegeTime = 5 * time.Second

var (
	siegeLimits = flag.String("siegelimits", "32,64,256", "besiege with a GOMEMLIMIT of so many `MiB`")
	siegeAttack = flag.String("siegeattack", "", "besiege by the attacks that match `pattern`")
	siegeProxy  = flag.Bool("siegeproxy", false, "begin each attacker's connection with the largest PROXY protocol header")
	siegeOthers = flag.Bool("siegeothers", false, "besiege net/http alone instead")
)

// TestSiege has strangers attack the program under memory limits, in the clear and over TLS, by each
// attack and by all at once. The process stays under one and a half times the limit, the kernel's
// buffers of its connections under half of it, and a good client is served within a second.
func TestSiege(t *testing.T) {
	if !*soak {
		t.Skip("no -soak")
	}
	names := []string{}
	for _, a := range attacks("", "") {
		names = append(names, a.name)
	}
	for limit := range strings.SplitSeq(*siegeLimits, ",") {
		limit, _ := strconv.Atoi(limit)
		t.Setenv("GOMEMLIMIT", fmt.Sprintf("%dMiB", limit))
		for _, scheme := range []string{"http", "https"} {
			all, bad := 0, 0
			for _, name := range append(names, "all at once") {
				if !regexp.MustCompile(*siegeAttack).MatchString(name) || scheme == "http" && name == "handshakes begun" || *siegeOthers && scheme == "https" {
					continue
				}
				pattern, args := "^"+regexp.QuoteMeta(name)+"$", []string{}
				if name == "all at once" {
					pattern, args = ".", append(args, "-attackpart=2")
				}
				var p *process
				if *siegeOthers {
					p = stockSubject(t).start(t)
				} else {
					p = startOver(t, scheme)
				}
				got := attack(t, p, pattern, scheme, args...)
				p.cmd.Process.Kill()
				t.Logf("%d MiB, %s, %s: peak %.0f MB, kernel %.0f MB, slowest answer %v, %d of %d bad",
					limit, scheme, name, got.peak, got.kernel, got.slowest.Round(time.Millisecond), got.bad, got.asked)
				if !*siegeOthers && (got.peak > float64(limit)*1.5 || got.kernel > float64(limit)/2 || got.slowest > time.Second) {
					t.Errorf("%d MiB, %s, %s: too much", limit, scheme, name)
				}
				all, bad = all+got.asked, bad+got.bad
			}
			if !*siegeOthers && bad*300 > all {
				t.Errorf("%d MiB, %s: %d of %d bad", limit, scheme, bad, all)
			}
		}
	}
}

// A besieged is how the program and a good client fared.
type besieged struct {
	peak, kernel float64       // MiB of the process, and of the kernel's buffers
	slowest      time.Duration // answer
	bad, asked   int           // answers
}

// startOver starts the program for clients of a scheme.
func startOver(t *testing.T, scheme string) *process {
	args := []string{"-v=0"}
	if *siegeProxy {
		args = append(args, "-proxyprotocol=accept")
	}
	if scheme == "https" {
		return startTLS(t, args...)
	}
	return start(t, args...)
}

// attackers starts the attacks that match a pattern on p, over TLS for https.
func attackers(t *testing.T, p *process, attacks, scheme string, args ...string) *process {
	if scheme == "https" {
		args = append(args, "-attacktls")
	}
	if *siegeProxy {
		args = append(args, "-attackproxy")
	}
	cmd := exec.Command("nice", append([]string{os.Args[0], "-test.run=^TestAttack$/" + attacks, "-test.parallel=100",
		"-program=" + binary, "-attack=" + p.addr}, args...)...)
	cmd.Env = append(os.Environ(), "GOMEMLIMIT=off", "GOMAXPROCS=1") // leave p a processor
	return launch(t, cmd)
}

// attack has the attacks that match a pattern on p for siegeTime, while a good client
// comes anew every 100 ms.
func attack(t *testing.T, p *process, attacks, scheme string, args ...string) (b besieged) {
	defer attackers(t, p, attacks, scheme, args...).cmd.Process.Kill()
	var buffers []float64
	for begin := time.Now(); time.Since(begin) < siegeTime; {
		time.Sleep(100 * time.Millisecond)
		if b.asked++; b.asked%10 == 0 {
			buffers = append(buffers, p.kernelBuffers())
		}
		out, err := exec.Command("curl", "-sSkm10", "-o/dev/null", "-w%{http_code} %{time_total}", scheme+"://"+p.addr+"/hello").CombinedOutput()
		var status int
		var seconds float64
		fmt.Sscan(string(out), &status, &seconds)
		if err != nil || status != 200 {
			b.bad++
			t.Logf("bad: %v, %q", err, out)
		}
		b.slowest = max(b.slowest, time.Duration(seconds*float64(time.Second)))
	}
	b.peak = p.memory("VmHWM") / 1024
	b.kernel = slices.Max(append(buffers, 0))
	return b
}

var socketMemory = regexp.MustCompile(`skmem:\(r(\d+),rb\d+,t\d+,tb\d+,f\d+,w(\d+),`)

// kernelBuffers returns the MiB that the kernel holds of what p's connections receive and send.
func (p *process) kernelBuffers() float64 {
	_, port, _ := net.SplitHostPort(p.addr)
	out, _ := exec.Command("ss", "-tmnHO", "sport = :"+port).Output()
	sum := 0.0
	for _, m := range socketMemory.FindAllSubmatch(out, -1) {
		received, _ := strconv.ParseFloat(string(m[1]), 64)
		sent, _ := strconv.ParseFloat(string(m[2]), 64)
		sum += received + sent
	}
	return sum / (1 << 20)
}
