package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// This file holds the strangers who mean harm: what they can make the program hold.

// siegeLimit is the GOMEMLIMIT under which the program is besieged, in MiB.
const siegeLimit = 64

// An attack is what each of so many connections does, anew when it is closed. What it
// sends comes before what it then repeats.
type attack struct {
	name   string
	conns  int
	sent   string
	again  string        // repeated, until the server takes no more
	pause  time.Duration // before each repetition
	reads  time.Duration // a byte so often; 0 for all that comes, less for nothing
	closes bool          // once all is sent
}

const unread = -1 // no byte is read

// acceptJSON asks for the JSON form.
const acceptJSON = "Accept: application/json\r\n"

// asking returns a request of HTTP/1 with fields.
func asking(path, fields string) string {
	return "GET " + path + " HTTP/1.1\r\nHost: localhost\r\n" + fields + "\r\n"
}

// bomb returns n streams, from first on, each with a field of size bytes referred to
// refs times, whose answers have no window.
func bomb(n, size, refs int, path, name string) string {
	var b strings.Builder
	b.WriteString(preface + frameOf(settingsFrame, 0, 0, "\x00\x04\x00\x00\x00\x00"))
	field := added(name, strings.Repeat("a", size))
	for i := range n {
		fields := []coded{indexed(6), literalOf(4, path), indexed(2), literalOf(1, "localhost"), literal("accept", "application/json")}
		if i == 0 {
			fields = append(fields, field)
		}
		fields = append(fields, slices.Repeat([]coded{indexed(62)}, refs)...)
		b.WriteString(cutIntoFrames(2*i+1, 16000, block(fields...)))
	}
	return b.String()
}

// resets returns n requests, each reset at once.
func resets(n int) string {
	var b strings.Builder
	b.WriteString(http2Start)
	for i := range n {
		b.WriteString(request(2*i+1) + frameOf(resetFrame, 0, 2*i+1, "\x00\x00\x00\x08"))
	}
	return b.String()
}

// attacks are these.
func attacks() []attack {
	one := "X: " + strings.Repeat("a", 65000) + "\r\n"
	tiny := strings.Repeat("a:\r\n", 1800)
	folded := "a: b\r\n" + strings.Repeat(" c\r\n", 1800)
	half := func(fields string) string { return strings.TrimSuffix(asking("/hello", fields), "\r\n\r\n") }
	window := func(n int) string {
		var b strings.Builder
		for i := range n {
			b.WriteString(frameOf(windowFrame, 0, 2*i+1, "\x00\x00\x00\x01"))
		}
		return b.String()
	}
	return []attack{
		{name: "heads of one field, text", conns: 300, again: asking("/hello", one), pause: 50 * time.Millisecond},
		{name: "heads of one field, JSON, not read", conns: 1000, again: asking("/hello", acceptJSON+one), reads: unread},
		{name: "heads of tiny fields, JSON", conns: 300, again: asking("/hello", acceptJSON+tiny), pause: 50 * time.Millisecond},
		{name: "heads of tiny fields, JSON, not read", conns: 1000, again: asking("/hello", acceptJSON+tiny), reads: unread},
		{name: "heads of folded lines, JSON, a byte a second", conns: 1000, again: asking("/hello", acceptJSON+folded), reads: time.Second},
		{name: "heads too large", conns: 300, again: asking("/hello", one+one)},
		{name: "half heads of one field", conns: 2000, sent: half(one), reads: unread},
		{name: "half heads of tiny fields", conns: 2000, sent: half(tiny), reads: unread},
		{name: "large heads with a delay", conns: 2000, sent: asking("/hello?delay=30s", acceptJSON+tiny), reads: unread},
		{name: "delays", conns: 3000, sent: asking("/hello?delay=30s", ""), reads: unread},
		{name: "bombs of a large field", conns: 200, sent: bomb(250, 3900, 260, "/hello", "x"), reads: unread},
		{name: "bombs of a large field, within the limit", conns: 200, sent: bomb(250, 3900, 14, "/hello", "x"), reads: unread},
		{name: "bombs of an empty field", conns: 200, sent: bomb(100, 0, 1800, "/hello", "x"), reads: unread},
		{name: "bombs of cookie crumbs", conns: 200, sent: bomb(100, 0, 1700, "/hello", "cookie"), reads: unread},
		{name: "bombs with a delay", conns: 200, sent: bomb(100, 0, 1800, "/hello?delay=30s", "x"), reads: unread},
		{name: "bombs whose windows get a byte at a time", conns: 200, sent: bomb(100, 0, 1000, "/hello", "x"), again: window(100), pause: 100 * time.Millisecond},
		{name: "streams with a delay", conns: 1000, sent: bomb(100, 0, 1, "/hello?delay=30s", "x"), reads: unread},
		{name: "half blocks", conns: 2000, sent: strings.TrimSuffix(http2Start+cutIntoFrames(1, 16000, block(literal("x", strings.Repeat("~", 60000)))+"\x82"), "\x82"), reads: unread},
		{name: "resets on few connections", conns: 4, sent: resets(100000)},
		{name: "resets on many short connections", conns: 64, sent: resets(250), closes: true},
		{name: "idle connections", conns: 10000, sent: asking("/hello", "")},
	}
}

// run has a's connections do what it says until stop is closed.
func (a attack) run(addr string, stop <-chan struct{}) {
	var all sync.WaitGroup
	for range a.conns {
		all.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					a.once(addr, stop)
				}
			}
		})
	}
	all.Wait()
}

func (a attack) once(addr string, stop <-chan struct{}) {
	c, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		time.Sleep(10 * time.Millisecond)
		return
	}
	over := make(chan struct{}) // when the server has closed it, or enough is waited for that
	go func() {
		defer close(over)
		switch {
		case a.reads == 0:
			io.Copy(io.Discard, c)
		case a.reads < 0:
			time.Sleep(3 * time.Second)
		default:
			for _, err := c.Read(make([]byte, 1)); err == nil; _, err = c.Read(make([]byte, 1)) {
				time.Sleep(a.reads)
			}
		}
	}()
	go func() {
		_, err := io.WriteString(c, a.sent)
		for a.again != "" && err == nil {
			time.Sleep(a.pause)
			_, err = io.WriteString(c, a.again)
		}
		if a.closes {
			c.Close()
		}
	}()
	select {
	case <-stop:
	case <-over:
	}
	c.Close()
}

// serveAll asks p anew every 200 ms until stop is closed, and returns the slowest answer
// and how many there were that were no good.
func serveAll(addr string, stop <-chan struct{}) (slowest time.Duration, bad, asked int) {
	for {
		select {
		case <-stop:
			return slowest, bad, asked
		case <-time.After(200 * time.Millisecond):
		}
		asked++
		out, err := exec.Command("curl", "-sm10", "-o/dev/null", "-w%{http_code} %{time_total}", "http://"+addr+"/hello").Output()
		var status int
		var seconds float64
		fmt.Sscan(string(out), &status, &seconds)
		if err != nil || status != 200 {
			bad++
		}
		slowest = max(slowest, time.Duration(seconds*float64(time.Second)))
	}
}

// TestSiege has strangers attack the program under a memory limit, and a good client
// besides.
func TestSiege(t *testing.T) {
	if !*soak {
		t.Skip("no -soak")
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // leave the program a processor
	for _, a := range attacks() {
		t.Run(a.name, func(t *testing.T) {
			cmd := exec.Command(binary, "-addr=127.0.0.1:0")
			cmd.Env = append(os.Environ(), fmt.Sprintf("GOMEMLIMIT=%dMiB", siegeLimit))
			p := launch(t, cmd)
			p.addr = p.waitLog(`listening on https?://(\S+)`)[1]
			stop := make(chan struct{})
			var attackers sync.WaitGroup
			attackers.Go(func() { a.run(p.addr, stop) })
			time.AfterFunc(8*time.Second, func() { close(stop) })
			slowest, bad, asked := serveAll(p.addr, stop)
			attackers.Wait()
			peak := p.memory("VmHWM") / 1024
			t.Logf("peak %.0f MB, slowest answer %v, %d of %d bad", peak, slowest.Round(time.Millisecond), bad, asked)
			if peak > siegeLimit*1.5 || bad > 0 || slowest > time.Second {
				t.Error("too much")
			}
		})
	}
}
