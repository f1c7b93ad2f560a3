//go:build unix

package test

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"httpserver/internal/frame"
	"httpserver/internal/wire"
)

// A client that sends half of something is let go in time, the later the more
// it sent, and told if its head was whole. One that is idle stays.
func TestSlowClients(t *testing.T) {
	t.Parallel()
	p := start(t)
	idle, body, head, nothing := p.dial(), p.dial(), p.dial(), p.dial()
	io.WriteString(idle, "GET /hello HTTP/1.1\r\nHost: test\r\n\r\n")
	io.WriteString(body, "POST /hello HTTP/1.1\r\nHost: test\r\nContent-Length: 4\r\n\r\nbo")
	io.WriteString(head, "GET /hello HTTP/1.1\r\nHost:")
	slow := []net.Conn{head, nothing}
	for range 500 {
		c := p.dial()
		io.WriteString(c, "GET /hello HTTP/1.1\r\nHost:")
		slow = append(slow, c)
	}
	block := p.dial() // half of it, over HTTP/2
	io.WriteString(block, wire.HTTP2Start+wire.FrameOf(frame.Headers, 0, 1, "\x82"))
	if res, _ := p.get("/hello"); res.StatusCode != 200 { // others are served at once
		t.Errorf("status %d", res.StatusCode)
	}
	for _, c := range slow {
		if b, err := io.ReadAll(c); err != nil || len(b) > 0 {
			t.Errorf("%q, %v", b, err)
		}
	}
	p.waitLog(`"GET /hello HTTP/1.1" ended: head not whole within 10s\n`)
	block.SetReadDeadline(time.Now().Add(30 * time.Second)) // long before the connection counts as idle
	if _, err := io.Copy(io.Discard, block); err != nil {
		t.Errorf("half a header block: %v", err)
	}
	body.SetReadDeadline(time.Now())
	if _, err := body.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("half a body was let go with the others: %v", err)
	}
	body.SetReadDeadline(time.Time{})
	if b, err := io.ReadAll(body); err != nil || !strings.HasPrefix(string(b), "HTTP/1.1 408 Request Timeout\r\n") {
		t.Errorf("%q, %v", b, err)
	}
	io.WriteString(idle, "GET /hello HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
	if b, err := io.ReadAll(idle); err != nil || strings.Count(string(b), "200 OK") != 2 {
		t.Errorf("%q, %v", b, err)
	}
}

// A client that takes no response is let go in time.
func TestClientThatDoesNotRead(t *testing.T) {
	t.Parallel()
	p := start(t)
	c := p.dial()
	request := "GET /hello HTTP/1.1\r\nHost: test\r\nX: " + strings.Repeat("a", 1<<19) + "\r\n\r\n"
	for { // until the server takes no more and then closes
		if _, err := io.WriteString(c, request); err != nil {
			break
		}
	}
}

// A client that reads only when it has sent everything learns that it was too
// much.
func TestClientThatReadsLast(t *testing.T) {
	t.Parallel()
	p := start(t)
	const head = "POST /hello HTTP/1.1\r\nHost: test\r\n"
	much := strings.Repeat("a", 40<<20)
	for request, status := range map[string]int{
		head + "X: " + much + "\r\n\r\n":                                                  431,
		fmt.Sprintf("%sContent-Length: %d\r\n\r\n%s", head, len(much), much):              413,
		fmt.Sprintf("%s%s\r\n%x\r\n%s\r\n0\r\n\r\n", head, wire.Chunked, len(much), much): 413,
	} {
		c := p.dial()
		if _, err := io.WriteString(c, request); err != nil {
			t.Errorf("%.60q: %v", request, err)
			continue
		}
		if res, _ := wire.ReadResponse(t, bufio.NewReader(c), "POST"); res.StatusCode != status {
			t.Errorf("%.60q: status %d, want %d", request, res.StatusCode, status)
		}
	}
}

// A delay may be as long as the write timeout, ends with its client, and is waited
// for by a stop.
func TestDelay(t *testing.T) {
	t.Parallel()
	p := start(t, "-v=4")
	ask := func(delay string) net.Conn {
		c := p.dial()
		io.WriteString(c, "GET /hello?delay="+delay+" HTTP/1.1\r\nHost: test\r\n\r\n")
		p.waitLog(`> "GET /hello\?delay=` + delay + ` `)
		return c
	}
	tr := wire.HTTP2Transport(t)
	var overHTTP2 sync.WaitGroup
	for query, status := range map[string]int{"?delay=30s": 200, "": 408} {
		var body io.Reader
		if status == 408 {
			var w io.Closer
			body, w = io.Pipe() // sends nothing
			defer w.Close()
		}
		overHTTP2.Go(func() {
			req, _ := http.NewRequest("POST", "http://"+p.addr+"/hello"+query, body)
			res, err := tr.RoundTrip(req)
			if err != nil {
				t.Errorf("HTTP/2 %s: %v", query, err)
				return
			}
			defer res.Body.Close()
			if _, err := io.ReadAll(res.Body); res.StatusCode != status || err != nil {
				t.Errorf("HTTP/2 %s: %s, %v, want %d", query, res.Status, err, status)
			}
		})
	}
	longest := ask("30s")
	ask("29s").Close()
	p.waitLog(`"GET /hello\?delay=29s HTTP/1.1" 0 0 `)
	half := ask("28s") // and a client that goes half, which net/http can't tell from one that went
	half.(*net.TCPConn).CloseWrite()
	if b, err := io.ReadAll(half); err != nil || len(b) > 0 {
		t.Errorf("a client that went half is answered %q, %v", b, err)
	}
	wire.ReadResponse(t, bufio.NewReader(longest), "GET")
	overHTTP2.Wait()
	last := ask("500ms")
	p.signal(syscall.SIGTERM)
	if res, _ := wire.ReadResponse(t, bufio.NewReader(last), "GET"); res.StatusCode != 200 || !res.Close {
		t.Errorf("a delay during a stop: %v", res)
	}
	p.wait(0)
}

var soak = flag.Bool("soak", false, "run the long tests")

// TestSoak has hundreds of bad clients of each kind for three minutes, and then
// 10,000 idle connections. A good client is served at once all the while.
func TestSoak(t *testing.T) {
	if !*soak {
		t.Skip("no -soak")
	}
	plain, overTLS := start(t, "-v=0"), startTLS(t, "-v=0")
	before := plain.awaitGoroutines(20)
	large := "GET /hello HTTP/1.1\r\nHost: test\r\nX: " + strings.Repeat("a", 1<<18) + "\r\n\r\n"
	var clients sync.WaitGroup
	begin := time.Now()
	for _, kind := range []struct {
		name, sent string
		p          *process
		pause      time.Duration // between the bytes it reads
	}{
		{"sends nothing", "", plain, 0},
		{"half a head", "GET /hello HTTP/1.1\r\nHost:", plain, 0},
		{"half a body", "POST /hello HTTP/1.1\r\nHost: test\r\nContent-Length: 9\r\n\r\nhalf", plain, 0},
		{"half a chunk", "POST /hello HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhalf", plain, 0},
		{"half a handshake", "\x16\x03\x01\x02\x00\x01", overTLS, 0},
		{"a byte a second", strings.Repeat(large, 20), plain, time.Second},
		{"an idle connection", "GET /hello HTTP/1.1\r\nHost: test\r\n\r\n", plain, 0},
	} {
		n, most := 500, 0*time.Second
		if kind.pause > 0 {
			n = 100
		}
		var mu sync.Mutex
		var ends sync.WaitGroup
		for range n {
			c := kind.p.dial()
			clients.Go(func() { io.WriteString(c, kind.sent) })
			ends.Add(1)
			clients.Go(func() {
				defer ends.Done()
				if kind.pause > 0 {
					for _, err := c.Read(make([]byte, 1)); err == nil && time.Since(begin) < time.Minute; _, err = c.Read(make([]byte, 1)) {
						time.Sleep(kind.pause)
					}
				}
				io.Copy(io.Discard, c)
				mu.Lock()
				most = max(most, time.Since(begin))
				mu.Unlock()
			})
		}
		go func() {
			ends.Wait()
			t.Logf("%4d clients, %s: the last was let go after %v", n, kind.name, most.Round(time.Second))
		}()
	}
	served := 0
	serve := func(p *process) {
		t.Helper()
		asked := time.Now()
		res, _ := p.get("/hello")
		if took := time.Since(asked); res.StatusCode != 200 || took > time.Second {
			t.Errorf("a good client: status %d after %v", res.StatusCode, took)
		}
		served++
	}
	done := make(chan struct{})
	go func() { clients.Wait(); close(done) }()
	for more := true; more; {
		serve(plain)
		select {
		case <-done:
			more = false
		case <-time.After(50 * time.Millisecond):
		}
	}
	if n := plain.awaitGoroutines(before); n > before {
		t.Errorf("%d goroutines, and %d at the start", n, before)
	}
	t.Logf("%d requests of a good client served meanwhile", served)

	fresh := start(t, "-v=0")
	const conns = 10000
	rss := fresh.memory("VmRSS")
	for range conns {
		c := fresh.dial()
		io.WriteString(c, "GET /hello HTTP/1.1\r\nHost: test\r\n\r\n")
		wire.ReadResponse(t, bufio.NewReader(c), "GET")
	}
	serve(fresh)
	t.Logf("%d idle connections: %.0f KB, and %.0f KB before: %.1f KB each", conns, fresh.memory("VmRSS"), rss, (fresh.memory("VmRSS")-rss)/conns)
}
