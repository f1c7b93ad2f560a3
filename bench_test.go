package main

import (
	"bufio"
	"flag"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
)

// benchRequest has ten fields, as a proxy sends them.
const benchRequest = "GET /hello HTTP/1.1\r\nHost: localhost:8000\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\n" +
	"Accept: */*\r\nAccept-Encoding: gzip, br\r\nAccept-Language: en-GB,en;q=0.5\r\nX-Request-Id: 4f6b3c1a-8f4e-4b0e-9a43\r\n" +
	"X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: example.com\r\nCookie: session=0123456789abcdef\r\n\r\n"

// load sends benchRequest to addr on some connections, over and over, until stop
// is called.
func load(tb testing.TB, addr string) (stop func()) {
	var stopping atomic.Bool
	var senders sync.WaitGroup
	for range 16 {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			tb.Fatal(err)
		}
		senders.Go(func() {
			defer c.Close()
			buf := make([]byte, 4096)
			for !stopping.Load() {
				io.WriteString(c, benchRequest)
				if _, err := c.Read(buf); err != nil { // a response is never in two pieces
					tb.Error(err)
					return
				}
			}
		})
	}
	return func() {
		stopping.Store(true)
		senders.Wait()
	}
}

var profileFile = flag.String("profile", "", "write a CPU profile of the program under load to `file`")

// TestProfile is what make profile runs.
func TestProfile(t *testing.T) {
	if *profileFile == "" {
		t.Skip("no -profile")
	}
	p := start(t)
	defer load(t, p.addr)()
	res, err := http.Get("http://" + p.addr + "/debug/pprof/profile?seconds=5")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != 200 {
		t.Fatal(err, res.Status)
	}
	if err := os.WriteFile(*profileFile, b, 0o666); err != nil {
		t.Fatal(err)
	}
}

// BenchmarkKeepHeads is the cost of keeping the head as it arrived: a constant
// answer and /hello, on net/http's connections and on ours. The client's part of
// the CPU time is in all of them.
func BenchmarkKeepHeads(b *testing.B) {
	flag.Set("v", "0")
	constant := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c := connOf(r); c != nil {
			freeHead(c.takeHead(r.ContentLength))
		}
		io.WriteString(w, "ok")
	})
	plain := func(ln net.Listener) net.Listener { return ln }
	ours := func(ln net.Listener) net.Listener { return newListener(ln, nil) }
	b.Run("constant/net.http", func(b *testing.B) { benchServe(b, constant, plain) })
	b.Run("constant/ours", func(b *testing.B) { benchServe(b, constant, ours) })
	b.Run("hello/net.http", func(b *testing.B) { benchServe(b, newHandler("local"), plain) })
	b.Run("hello/ours", func(b *testing.B) { benchServe(b, newHandler("local"), ours) })
}

// benchServe sends benchRequest b.N times on one connection and reports the CPU
// time of each.
func benchServe(b *testing.B, h http.Handler, wrap func(net.Listener) net.Listener) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	srv := newServer(nil)
	srv.Handler = h
	go srv.Serve(wrap(ln))
	defer srv.Close()
	c, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	io.WriteString(c, benchRequest)
	r := bufio.NewReader(c)
	res, err := http.ReadResponse(r, nil)
	if err != nil {
		b.Fatal(err)
	}
	body, _ := io.ReadAll(res.Body)
	buf := make([]byte, 4096)
	io.WriteString(c, benchRequest)
	size, _ := c.Read(buf) // of a response, which is never in two pieces
	if size <= len(body) {
		b.Fatal("short response")
	}
	b.ReportAllocs()
	before := cpuTime()
	for b.Loop() {
		io.WriteString(c, benchRequest)
		if n, err := c.Read(buf); n != size {
			b.Fatal(n, err)
		}
	}
	b.ReportMetric(float64(cpuTime()-before)/float64(b.N), "cpu-ns/op")
}

// cpuTime returns the CPU time of this process in nanoseconds.
func cpuTime() int64 {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return u.Utime.Nano() + u.Stime.Nano()
}
