package rawhead

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"httpserver/internal/frame"
	"httpserver/internal/handshake"
	"httpserver/internal/head"
	"httpserver/internal/wire"
)

// The end of what a client sends comes after what the feed held back.
func TestEndAfterRest(t *testing.T) {
	c := newTestConn(&lastRead{bytes: wire.Forged + wire.Forged})
	p := make([]byte, 4096)
	if n, err := c.Read(p); string(p[:n]) != wire.Forged || err != nil {
		t.Fatalf("%q, %v", p[:n], err)
	}
	c.http1.Close()
	clear(p) // is the caller's again
	if n, err := c.Read(p); string(p[:n]) != wire.Forged || err != nil {
		t.Fatalf("%q, %v", p[:n], err)
	}
	if n, err := c.Read(p); n > 0 || err != io.EOF {
		t.Fatalf("%q, %v", p[:n], err)
	}
}

// A lastRead is a connection that gives all it holds, and its end, to one Read.
type lastRead struct {
	wire.Deadlines
	bytes string
}

func (l *lastRead) Read(p []byte) (int, error) {
	n := copy(p, l.bytes)
	l.bytes = l.bytes[n:]
	return n, io.EOF
}

// Over HTTP/2 what is handed on doesn't depend on how much net/http asks for at once.
func TestReadsOfAnySize(t *testing.T) {
	t.Parallel()
	body := make([]byte, 16<<10)
	for i := range body {
		body[i] = byte(i)
	}
	raw := wire.HTTP2Start + wire.Request(1, wire.Literal("x", strings.Repeat("a", 3000))) + wire.Request(3) + wire.FrameOf(frame.Headers, frame.EndHeaders, 5, wire.Block(wire.Asked4...)) +
		wire.FrameOf(frame.Data, 0, 5, string(body)) + wire.Request(7) + wire.FrameOf(frame.Data, frame.EndStream, 5, string(body)) + wire.Request(9)
	var want string
	for _, size := range []int{1, frame.HeaderSize, 100, 1 << 10, 4 << 10, 1 << 20} {
		for name, cut := range wire.Cuts {
			c := newTestConn(wire.NewScript(raw, cut))
			io.ReadFull(c, make([]byte, len(frame.Preface)))
			var b strings.Builder
			io.CopyBuffer(&b, struct{ io.Reader }{c}, make([]byte, size))
			if want == "" {
				want = b.String()
			}
			if b.String() != want || b.Len() <= len(raw)-len(frame.Preface) {
				t.Errorf("in Reads of %d bytes, sent %s: %d bytes are handed on, and in single bytes %d", size, name, b.Len(), len(want))
			}
		}
	}
}

// Where the end of a body isn't certain, a body counts for no head, nor do empty lines before one;
// heads are still bounded.
func TestHeadsThatAreOnlyCounted(t *testing.T) {
	serve, stock := play(t, true), play(t, false)
	const odd = "POST /hello HTTP/1.1\r\nHost: a\r\n" + wire.Chunked + "\r\n0\r\nA: b\n\n" + wire.Forged
	post := func(body string) string {
		return fmt.Sprintf("POST /hello HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	}
	const begin, end = "GET /hello HTTP/1.1\r\nHost: a\r\nX: ", "\r\n\r\n"
	limit := begin + strings.Repeat("a", wire.TestHead-len(begin+end)-2*head.FieldCost) + end
	for _, test := range []struct {
		name, in string
		last     int // status
	}{
		{"a body of LFs", odd + post(strings.Repeat("\n", 2040)), 200},
		{"a body of lines", odd + post(strings.Repeat("a\n", 1500)), 200},
		{"a body of lines, and a head", odd + post(strings.Repeat("a\r\n", 20000)) + wire.Forged, 200},
		{"empty lines before a head at the limit", post("a") + "\r\n\r\n" + limit, 200},
		{"many fields", odd + "GET /hello HTTP/1.1\r\nHost: a\r\n" + strings.Repeat("a:\r\n", 3000) + "\r\n", 431},
		{"many bytes", odd + begin + strings.Repeat("a", 2*wire.TestHead) + end, 431},
	} {
		answers := serve(test.in, wire.Cuts["whole"])
		if len(answers) == 0 || answers[len(answers)-1].status != test.last {
			t.Errorf("%s: the answers are %.1000s, want %d last", test.name, fmt.Sprint(answers), test.last)
		}
		if test.last == 200 {
			compare(t, test.in, answers, stock(test.in, wire.Cuts["whole"]))
		}
	}
}

// HTTP/2 by prior knowledge isn't for TLS: what its preface gets is what it gets of
// net/http alone, which is HTTP/1.
func TestPrefaceOverTLS(t *testing.T) {
	config := &tls.Config{Certificates: []tls.Certificate{wire.NewPair(t, nil)}, NextProtos: []string{"h2", "http/1.1"}}
	answers := func(ours bool, alpn []string, sent string) string {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		srv := newEcho()
		srv.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if ours && Of(r) == nil {
				t.Errorf("%q is not known as it arrived", head.RequestLine(r))
			}
			fmt.Fprintln(w, head.RequestLine(r))
		})
		go serveEcho(srv, ln, config, ours)
		defer srv.Close()
		tc, err := tls.Dial("tcp", ln.Addr().String(), &tls.Config{InsecureSkipVerify: true, NextProtos: alpn})
		if err != nil {
			t.Fatal(err)
		}
		defer tc.Close()
		io.WriteString(tc, sent)
		tc.CloseWrite()
		b, _ := io.ReadAll(tc)
		return regexp.MustCompile("Date: .*").ReplaceAllString(string(b), "")
	}
	for _, alpn := range [][]string{nil, {"http/1.1"}} {
		for _, sent := range []string{
			wire.HTTP2Start + wire.Request(1),
			frame.Preface,
			frame.Preface[:18],
			frame.Preface[:11],
			"PRI * HTTP/2.0\r\nHost: test\r\n\r\nSM\r\n\r\n",
			"GET /hello HTTP/1.1\r\nHost: test\r\n\r\n" + frame.Preface,
		} {
			ours, stock := answers(true, alpn, sent), answers(false, alpn, sent)
			if ours != stock || strings.Contains(ours, "/hello HTTP/2.0") {
				t.Errorf("ALPN %q, %q gets\n%q, and of net/http alone\n%q", alpn, sent, ours, stock)
			}
		}
	}
}

// A client that agrees on HTTP/2, and sends something else, is told of.
func TestNoPrefaceOverTLS(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	config := &tls.Config{Certificates: []tls.Certificate{wire.NewPair(t, nil)}, NextProtos: []string{"h2"}}
	srv, told := newEcho(), make(chan Refusal, 9)
	defer srv.Close()
	go Serve(srv, handshake.Listener(ln, config, time.Minute, func(net.Conn, error) {}), Options{Refused: func(r Refusal) { told <- r }})
	tc, err := tls.Dial("tcp", ln.Addr().String(), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
	if err != nil {
		t.Fatal(err)
	}
	defer tc.Close()
	io.WriteString(tc, "GET / HTTP/1.1\r\n\r\n")
	if r := <-told; string(r.Line) != "GET / HTTP/1.1" || r.Reason != "TLS agreed on HTTP/2, and this isn't its preface" {
		t.Errorf("%+v is told", r)
	}
}

// A stalled is a connection whose Writes wait.
type stalled struct {
	*wire.Script
	began chan bool
	wait  sync.Mutex
}

func (s *stalled) Write(p []byte) (int, error) {
	s.began <- true
	s.wait.Lock()
	defer s.wait.Unlock()
	return len(p), nil
}

// A client that doesn't read has so much read of it at most, and goes on when a Write has ended.
func TestUnansweredFrames(t *testing.T) {
	s := &stalled{Script: wire.NewScript(wire.HTTP2Start+strings.Repeat(wire.FrameOf(wire.PingFrame, 0, 0, "12345678"), 1000), wire.Cuts["whole"]), began: make(chan bool)}
	c := newTestConn(s)
	io.ReadFull(c, make([]byte, len(frame.Preface)))
	io.ReadFull(c, make([]byte, len(wire.HTTP2Start)-len(frame.Preface)))
	s.wait.Lock()
	go c.Write([]byte(wire.FrameOf(wire.PingFrame, 1, 0, "12345678")))
	<-s.began
	for range maxUnanswered {
		c.Read(make([]byte, frame.HeaderSize))
	}
	var ended atomic.Bool
	read := make(chan bool)
	go func() {
		c.Read(make([]byte, frame.HeaderSize))
		read <- ended.Load()
	}()
	for range 1000 {
		runtime.Gosched()
	}
	ended.Store(true)
	s.wait.Unlock()
	if !<-read {
		t.Errorf("it is read %d times while a Write is under way", maxUnanswered+1)
	}
}
