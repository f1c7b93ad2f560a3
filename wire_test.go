package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// testCert returns a certificate for localhost that nobody trusts.
func testCert() tls.Certificate {
	ts := httptest.NewTLSServer(nil)
	defer ts.Close()
	return ts.TLS.Certificates[0]
}

// A cutter accepts connections whose Read returns at most as many bytes as cut
// says, as if they had arrived so.
type cutter struct {
	net.Listener
	cut func() int
}

type cutConn struct {
	*net.TCPConn
	cut func() int
}

func (l cutter) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return cutConn{c.(*net.TCPConn), l.cut}, nil
}

func (c cutConn) Read(p []byte) (int, error) { return c.TCPConn.Read(p[:min(len(p), c.cut())]) }

// cuts are ways in which a client's bytes may arrive.
var cuts = map[string]func() int{
	"whole":        func() int { return 1 << 20 },
	"single bytes": func() int { return 1 },
	"at random":    func() int { return 1 + rand.IntN(40) },
}

// serveCut serves /hello and returns a function that connects to it.
func serveCut(t testing.TB, cut func() int, useTLS bool) (dial func(testing.TB) net.Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var config *tls.Config
	if useTLS {
		config = &tls.Config{Certificates: []tls.Certificate{testCert()}, NextProtos: []string{"h2", "http/1.1"}}
	}
	srv := newServer(newHandler("none")) // a fuzzer might ask for an hour's profile
	srv.ErrorLog.SetOutput(io.Discard)
	go srv.Serve(newListener(cutter{ln, cut}, config))
	t.Cleanup(func() { srv.Close() })
	return func(t testing.TB) net.Conn {
		t.Helper()
		c, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if useTLS {
			c = tls.Client(c, &tls.Config{InsecureSkipVerify: true})
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
}

// text returns what /hello shows of a raw head.
func text(head string) string {
	return strings.TrimSuffix(strings.ReplaceAll(head, "\r\n", "\n"), "\n")
}

const (
	forged  = "GET /hello HTTP/1.1\r\nHost: forged\r\nX-Forged: yes\r\n\r\n"
	chunked = "Transfer-Encoding: chunked\r\n"
)

// corpus holds requests to /hello that leave their connection open.
var corpus = []struct{ name, head, body string }{
	{"curl", "GET /hello HTTP/1.1\r\nHost: localhost:8000\r\nUser-Agent: curl/8.5.0\r\nAccept: */*\r\n\r\n", ""},
	{"spelling, order, repeats", "GET /hello HTTP/1.1\r\nx-id: 1\r\nhOST: test\r\nX-Id: 2\r\nX-ID: 1\r\na: b\r\nX-Id: 2\r\n\r\n", ""},
	{"values", "GET /hello?a=%20&b=\xc3\xa9 HTTP/1.1\r\nHost: test\r\nUtf8: h\xc3\xa9llo \xf0\x9f\x90\xb9\r\nLatin1: h\xe9llo\r\n" +
		"Tabs:\ta\tb\t\r\nSpaces:   a  b  \r\nEmpty:\r\nEmpty2: \r\nColons:a:b::c\r\nQuoted: \"a, b\", c\r\n\r\n", ""},
	{"folded", "GET /hello HTTP/1.1\r\nHost: test\r\nFold: a\r\n b\r\n\tc\r\n \r\nX: y\r\n\r\n", ""},
	{"hop by hop", "GET /hello HTTP/1.1\r\nHost: test\r\nConnection: keep-alive, X-Id\r\nKeep-Alive: timeout=5\r\nProxy-Connection: x\r\n" +
		"TE: trailers, gzip;q=0.5\r\nUpgrade: websocket\r\nTrailer: X\r\nX-Id: 1\r\n\r\n", ""},
	{"no-cache", "GET /hello HTTP/1.1\r\nHost: test\r\nPragma: no-cache\r\n\r\n", ""},
	{"absolute target", "GET http://other:80/hello HTTP/1.1\r\nHost: test\r\n\r\n", ""},
	{"odd method", "M-SEARCH /hello HTTP/1.1\r\nHost: test\r\n\r\n", ""},
	{"no Host value", "GET /hello HTTP/1.1\r\nHost:\r\n\r\n", ""},
	{"HTTP/1.0", "GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", ""},
	{"HTTP/1.0 with a body", "POST /hello HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 3\r\n\r\n", "abc"},
	{"HTTP/1.0 can't be chunked", "POST /hello HTTP/1.0\r\nConnection: keep-alive\r\n" + chunked + "\r\n", ""},
	{"bare LF", "GET /hello HTTP/1.1\nHost: test\nX: y\n\n", ""},
	{"LF and CRLF", "GET /hello HTTP/1.1\nHost: test\r\nX: y\n\r\n", ""},
	{"long", "GET /hello HTTP/1.1\r\nHost: test\r\nX: " + strings.Repeat("0123456789", 2000) + "\r\n\r\n", ""},
	{"body", "POST /hello HTTP/1.1\r\nHost: test\r\nContent-Length: 4\r\n\r\n", "\r\n\r\n"},
	{"body of a GET", "GET /hello HTTP/1.1\r\nHost: test\r\nContent-Length: 4\r\nContent-Length: 4\r\n\r\n", "body"},
	{"body with a request", fmt.Sprintf("POST /hello HTTP/1.1\r\nHost: test\r\nContent-Length: %d\r\n\r\n", len(forged)), forged},
	{"long body", "POST /hello HTTP/1.1\r\nHost: test\r\nContent-Length: 20000\r\n\r\n", strings.Repeat("a\n\r\n\n", 4000)},
	{"expected body", "PUT /hello HTTP/1.1\r\nHost: test\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n", "body"},
	{"chunked", "POST /hello HTTP/1.1\r\nHost: test\r\n" + chunked + "\r\n", "3\r\nabc\r\n00B\r\nhello world\r\n0\r\n\r\n"},
	{"chunked, empty", "POST /hello HTTP/1.1\r\nHost: test\r\n" + chunked + "\r\n", "0\r\n\r\n"},
	{"chunked, expected", "PUT /hello HTTP/1.1\r\nHost: test\r\n" + chunked + "Expect: 100-continue\r\n\r\n", "2\r\nab\r\n0\r\n\r\n"},
	{"chunked with a length", "POST /hello HTTP/1.1\r\nHost: test\r\nContent-Length: 3\r\n" + chunked + "\r\n", "1\r\n0\r\n0\r\n\r\n"},
	{"chunk extensions", "POST /hello HTTP/1.1\r\nHost: test\r\ntransfer-encoding:  Chunked\r\n\r\n", "3;a=\"b;c\";d \t\r\nabc\r\n0 \r\n\r\n"},
	{"trailers", "POST /hello HTTP/1.1\r\nHost: test\r\nTrailer: X\r\n" + chunked + "\r\n", "3\r\nabc\r\n0\r\nX: y\r\nZ: 1\r\n\r\n"},
	{"chunked, with a request", "POST /hello HTTP/1.1\r\nHost: test\r\n" + chunked + "\r\n",
		fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(forged), forged)},
	{"chunked, with chunks", "POST /hello HTTP/1.1\r\nHost: test\r\n" + chunked + "\r\n", "5\r\n0\r\n\r\n\r\n5\r\n0\r\n\r\n\r\n0\r\n\r\n"},
	{"long chunks", "POST /hello HTTP/1.1\r\nHost: test\r\n" + chunked + "\r\n",
		strings.Repeat(fmt.Sprintf("2710\r\n%s\r\n", strings.Repeat("0\r\n\r\n", 2000)), 2) + "0\r\n\r\n"},
}

func TestHeads(t *testing.T) {
	for name, cut := range cuts {
		for _, useTLS := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, TLS %v", name, useTLS), func(t *testing.T) {
				dial := serveCut(t, cut, useTLS)
				var all strings.Builder
				turns := dial(t)
				turnsReader := bufio.NewReader(turns)
				for _, test := range corpus {
					c := dial(t)
					go io.WriteString(c, test.head+test.body)
					checkEcho(t, test.name+", alone", bufio.NewReader(c), test.head)
					go io.WriteString(turns, test.head+test.body)
					checkEcho(t, test.name+", in turns", turnsReader, test.head)
					all.WriteString(test.head + test.body)
				}
				c := dial(t)
				go io.WriteString(c, all.String())
				r := bufio.NewReader(c)
				for _, test := range corpus {
					checkEcho(t, test.name+", pipelined", r, test.head)
				}
			})
		}
	}
}

// checkEcho reads a response, after 100 Continue where that is there, and checks
// that it shows head.
func checkEcho(t *testing.T, name string, r *bufio.Reader, head string) {
	t.Helper()
	res, body := readResponse(t, r, "GET")
	if res.StatusCode == 100 {
		res, body = readResponse(t, r, "GET")
	}
	if want := text(head); res.StatusCode != 200 || body != want {
		t.Fatalf("%s: status %d, shown\n%q, want\n%q", name, res.StatusCode, body, want)
	}
}

// Empty lines before a request line are no part of the head.
func TestEmptyLines(t *testing.T) {
	for name, cut := range cuts {
		for _, lines := range []string{"\r\n", "\n", "\r\n\r\n", "\n\n\n"} {
			c := serveCut(t, cut, false)(t)
			const (
				post = "POST /hello HTTP/1.1\r\nHost: test\r\ncontent-length: 2\r\n\r\n"
				get  = "GET /hello HTTP/1.1\r\nhost: test\r\n\r\n"
			)
			go io.WriteString(c, lines+get+lines+post+"ab"+lines+post+"ab"+lines+get+lines+get)
			r := bufio.NewReader(c)
			for _, head := range []string{get, post, post, get, get} {
				checkEcho(t, name, r, head)
			}
		}
	}
}

// A script is a connection that gives all it holds, and its end, to one Read.
type script struct {
	halfCloser
	bytes string
}

func (s *script) Read(p []byte) (int, error) {
	n := copy(p, s.bytes)
	s.bytes = s.bytes[n:]
	return n, io.EOF
}

// net/http reads one byte beyond a head without a body, before or after the
// handler asks for the head, and beyond empty lines. A connection's end comes
// after its last byte.
func TestReadAhead(t *testing.T) {
	const head = "GET /hello HTTP/1.1\r\nHost: test\r\n\r\n"
	for _, early := range []bool{true, false} {
		c := &conn{halfCloser: &script{bytes: strings.Repeat("\r\n\r\n"+head, 3)}}
		read := func(size int, want string, wantErr error) {
			t.Helper()
			p := make([]byte, size)
			if n, err := c.Read(p); string(p[:n]) != want || err != wantErr {
				t.Fatalf("%q, %v, want %q, %v", p[:n], err, want, wantErr)
			}
		}
		read(4096, head, nil)
		for i := range 2 {
			if early {
				read(1, head[:1], nil)
			}
			if got := c.takeHead(0); got == nil || string(*got) != text(head) {
				t.Fatalf("head %d: %q", i, got)
			}
			if !early {
				read(1, head[:1], nil)
			}
			read(4096, head[1:], nil)
		}
		read(1, "", io.EOF)
		if got := c.takeHead(0); string(*got) != text(head) {
			t.Fatalf("last head: %q", got)
		}
	}
}

// What net/http never does must not make a wrong head.
func TestReadTooFar(t *testing.T) {
	const head = "GET /hello HTTP/1.1\r\nHost: test\r\n\r\n"
	for name, read := range map[string]func(c *conn) *buffer{
		"a byte ahead of a body": func(c *conn) *buffer { c.Read(make([]byte, 1)); return c.takeHead(1) },
		"a byte ahead, twice": func(c *conn) *buffer {
			c.Read(make([]byte, 1))
			c.Read(make([]byte, 1))
			return c.takeHead(0)
		},
		"two bytes ahead":        func(c *conn) *buffer { c.Read(make([]byte, 2)); return c.takeHead(0) },
		"a head asked for twice": func(c *conn) *buffer { c.takeHead(0); return c.takeHead(0) },
	} {
		c := &conn{halfCloser: &script{bytes: head + head}}
		c.Read(make([]byte, 4096))
		if got := read(c); got != nil {
			t.Errorf("%s: %q", name, got)
		}
		c.Read(make([]byte, 4096))
		if got := c.takeHead(0); got != nil {
			t.Errorf("%s, after it: %q", name, got)
		}
	}
}

// A deadlines is a connection that knows the deadlines passed on to it.
type deadlines struct {
	halfCloser
	read, write time.Time
	passed      int
}

func (d *deadlines) SetReadDeadline(t time.Time) error  { d.read = t; d.passed++; return nil }
func (d *deadlines) SetWriteDeadline(t time.Time) error { d.write = t; d.passed++; return nil }
func (d *deadlines) Read(p []byte) (int, error)         { return 1, nil }
func (d *deadlines) Write(p []byte) (int, error)        { return len(p), nil }

// A Read or Write has the deadline that was set last, or one at most a second
// earlier.
func TestDeadlines(t *testing.T) {
	d := new(deadlines)
	c := &conn{halfCloser: d, phase: unknown}
	begin := time.Now().Add(time.Hour)
	for i, ms := range []int{0, 1, 999, 1000, 500, 1499, 1500, 1_000_000, 0, -1, 999, -1, -1} {
		at := begin.Add(time.Duration(ms) * time.Millisecond)
		if ms < 0 {
			at = time.Time{}
		}
		c.SetReadDeadline(at)
		c.SetWriteDeadline(at)
		c.Read(make([]byte, 1))
		c.Write(make([]byte, 1))
		for _, got := range []time.Time{d.read, d.write} {
			if got.IsZero() != at.IsZero() || got.After(at) || at.Sub(got) >= time.Second {
				t.Errorf("%d: deadline %v, want %v", i, got, at)
			}
		}
	}
	d.passed = 0
	for range 100 { // what net/http does for a request
		for _, timeout := range []time.Duration{headTimeout, requestTimeout, 0, 0, idleTimeout} {
			c.SetReadDeadline(begin.Add(timeout))
		}
		c.SetWriteDeadline(begin.Add(responseTimeout))
		c.Write(make([]byte, 1))
		c.SetWriteDeadline(time.Time{})
		c.Read(make([]byte, 1))
	}
	if d.passed > 2 {
		t.Errorf("100 requests passed on %d deadlines, want 2", d.passed)
	}
	c.SetReadDeadline(time.Unix(1, 0))
	if n, err := c.Read(make([]byte, 1)); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("Read after its deadline: %d, %v", n, err)
	}
}

// Write counts the bytes that it was given, without the fields it adds.
func TestWriteCount(t *testing.T) {
	c := &conn{halfCloser: new(deadlines), fields: "A: b\r\n", addFields: true}
	const response = "HTTP/1.1 204 No Content\r\n\r\n"
	if n, err := io.WriteString(c, response); n != len(response) || err != nil {
		t.Errorf("Write: %d, %v, want %d", n, err, len(response))
	}
}

// net/http ends a Read that is under way by setting a deadline in the past.
func TestDeadlineDuringRead(t *testing.T) {
	client, server := net.Pipe()
	defer client.Close()
	c := &conn{halfCloser: halfClosingPipe{server}}
	done := make(chan error, 1)
	for range 3 {
		c.SetReadDeadline(time.Now().Add(time.Hour))
		go func() {
			_, err := c.Read(make([]byte, 1))
			done <- err
		}()
		for reading := false; !reading; runtime.Gosched() {
			c.mu.Lock()
			reading = c.reading
			c.mu.Unlock()
		}
		c.SetReadDeadline(time.Unix(1, 0))
		select {
		case err := <-done:
			if !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("Read: %v", err)
			}
		case <-time.After(10 * time.Second):
			t.Fatal("Read goes on")
		}
	}
}

type halfClosingPipe struct{ net.Conn }

func (halfClosingPipe) CloseWrite() error { return nil }

// HTTP/2 connections keep nothing.
func TestHTTP2IsNotKept(t *testing.T) {
	c := &conn{halfCloser: &script{bytes: "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + strings.Repeat("\x00", 100)}}
	p := make([]byte, 4096)
	for n, err := c.Read(p); n > 0 && err == nil; n, err = c.Read(p) {
	}
	if c.phase != unknown || c.head != nil || c.rest != nil {
		t.Errorf("%+v", c)
	}
}

func TestLargeHeadsAreNotKept(t *testing.T) {
	for range 10 {
		large := make(buffer, 0, 1<<20)
		freeBuffer(&large)
		if got := cap(*buffers.Get().(*buffer)); got >= 1<<20 {
			t.Fatalf("a buffer of %d bytes was kept", got)
		}
	}
}

// An oracle reads the requests in raw with net/http's parser, as its server
// does, and returns the head and the Request of each.
func oracle(raw []byte) (heads []string, requests []*http.Request) {
	r := bytes.NewReader(raw)
	b := bufio.NewReader(r)
	offset := func() int { return len(raw) - r.Len() - b.Buffered() }
	for {
		peek, _ := b.Peek(4) // two empty lines are skipped, and net/http skips two more after a POST
		b.Discard(len(peek) - len(bytes.TrimLeft(peek, "\r\n")))
		if n := len(requests); n > 0 && requests[n-1].Method == "POST" {
			peek, _ := b.Peek(4)
			b.Discard(len(peek) - len(bytes.TrimLeft(peek, "\r\n")))
		}
		start := offset()
		req, err := http.ReadRequest(b)
		if err != nil {
			return heads, requests
		}
		heads = append(heads, string(raw[start:offset()]))
		requests = append(requests, req)
		if _, err := io.Copy(io.Discard, req.Body); err != nil {
			return heads, requests
		}
	}
}

// check sends raw, cut by cut, and holds each head that is shown against the
// oracle's. If exact, it must be shown as it arrived; else it may be net/http's
// view.
func check(t *testing.T, dial func(testing.TB) net.Conn, raw []byte, exact bool) {
	heads, requests := oracle(raw)
	c := dial(t).(*net.TCPConn)
	defer c.Close()
	c.SetDeadline(time.Now().Add(5 * time.Second))
	c.SetLinger(0) // leave no port in TIME_WAIT: a fuzzer would soon use them all
	go func() {
		c.Write(raw)
		c.CloseWrite()
	}()
	r := bufio.NewReader(c)
	for i, req := range requests {
		var res *http.Response
		var err error
		for res == nil || res.StatusCode == 100 {
			if res, err = http.ReadResponse(r, req); err != nil {
				if exact || errors.Is(err, os.ErrDeadlineExceeded) {
					t.Fatalf("request %d of %q: %v", i, raw, err)
				}
				return
			}
		}
		body, err := io.ReadAll(res.Body)
		if err != nil {
			return // the server closed while we sent, with bytes unread
		}
		if res.StatusCode != 200 || req.Method == "HEAD" || req.URL.Path != "/hello" || res.Header.Get("Content-Type") == "application/json" {
			if exact {
				t.Fatalf("request %d of %q: status %d", i, raw, res.StatusCode)
			}
			continue
		}
		view := *req
		view.Header = view.Header.Clone()
		view.Header.Del("Host")
		if string(body) != text(heads[i]) && (exact || string(body) != string(viewHead(&view))) {
			t.Fatalf("request %d of %q shows\n%q, want\n%q", i, raw, body, text(heads[i]))
		}
	}
}

// FuzzHeads makes a sequence of requests of choices and sends them cut at
// places chosen too.
func FuzzHeads(f *testing.F) {
	for i := range 20 {
		choices := make([]byte, 40*(i+1))
		src := rand.NewChaCha8([32]byte{byte(i)})
		src.Read(choices)
		f.Add(choices)
	}
	dial := serveCut(f, func() int { return 1 + rand.IntN(64)*rand.IntN(64) }, false)
	f.Fuzz(func(t *testing.T, choices []byte) {
		i := 0
		choose := func(n int) int {
			if i++; i > len(choices) {
				return 0
			}
			return int(choices[i-1]) % n
		}
		one := func(of ...string) string { return of[choose(len(of))] }
		var raw bytes.Buffer
		for i < len(choices) && raw.Len() < 64<<10 {
			eol := one("\r\n", "\r\n", "\n")
			fmt.Fprintf(&raw, "%s %s HTTP/1.1%s", one("GET", "POST", "PURGE", "x"), one("/hello", "/hello?a", "http://a/hello", "/hello?HTTP/1.1"), eol)
			raw.WriteString(one("Host: test", "host:\ttest ", "HOST:") + eol)
			for range choose(6) {
				raw.WriteString(one("X", "x-id", "X-Id", "Trailer", "TE", "Pragma", "Content-Type") + one(":", ": ", ":\t") +
					one("", "a", "\xff\xc3", "a: b", strings.Repeat("long", choose(2000)), "a"+eol+" b", "X: \"y\"\t") + eol)
			}
			body := one("", "body", forged, "0\r\n\r\n", "\r\n\r\n", strings.Repeat("\n\r", choose(3000)))
			switch choose(3) {
			case 0:
				raw.WriteString(eol)
			case 1:
				fmt.Fprintf(&raw, "Content-Length: %d%s%s%s", len(body), eol, eol, body)
			case 2:
				raw.WriteString("Transfer-Encoding: chunked" + eol + eol)
				for len(body) > 0 {
					n := 1 + choose(len(body))
					fmt.Fprintf(&raw, "%x%s\r\n%s\r\n", n, one("", ";", ";a=\"b\"", " "), body[:n])
					body = body[n:]
				}
				raw.WriteString("0\r\n" + one("", "X: y\r\n", "Host: forged\r\n", "a:\r\nb: c\r\n") + "\r\n")
			}
		}
		check(t, dial, raw.Bytes(), true)
	})
}

// FuzzRaw sends any bytes, while another client is served, whose bytes must not
// be mixed up with them.
func FuzzRaw(f *testing.F) {
	for _, test := range corpus {
		f.Add([]byte(test.head+test.body+forged), uint8(test.head[0]))
	}
	for _, raw := range smuggled {
		f.Add([]byte(raw), uint8(100))
	}
	var size atomic.Int64
	dial := serveCut(f, func() int { return int(size.Load()) }, false)
	goroutines := runtime.NumGoroutine()
	f.Fuzz(func(t *testing.T, raw []byte, cut uint8) {
		size.Store(1 + int64(cut)*int64(cut))
		other := dial(t)
		defer other.Close()
		head := fmt.Sprintf("GET /hello HTTP/1.1\r\nHost: test\r\nX-Other: %d\r\n\r\n", rand.Int())
		io.WriteString(other, head[:30])
		check(t, dial, raw, false)
		io.WriteString(other, head[30:])
		checkEcho(t, "another client", bufio.NewReader(other), head)
		for deadline := time.Now().Add(lingerTimeout + time.Second); runtime.NumGoroutine() > goroutines+100; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%d goroutines, and %d at the start", runtime.NumGoroutine(), goroutines)
			}
		}
	})
}

// smuggled holds bodies and ends of bodies made to be taken for heads.
var smuggled = []string{
	"POST /hello HTTP/1.1\r\nHost: a\r\n" + chunked + "\r\n0\r\nA: b\n\n" + forged,
	"POST /hello HTTP/1.1\r\nHost: a\r\n" + chunked + "\r\n0\r\n\n" + forged,
	"POST /hello HTTP/1.1\r\nHost: a\r\n" + chunked + "\r\n0\r\nA: b\n\nGET /hello HTTP/1.1\nHost: b\n\n" + forged,
	"POST /hello HTTP/1.1\r\nHost: a\r\n" + chunked + "\r\n0;" + strings.Repeat("x", 4094) + "\r\n\r\n" + forged,
	"POST /hello HTTP/1.1\r\nHost: a\r\n" + chunked + "\r\n0\n\n" + forged,
	"POST /hello HTTP/1.1\r\nHost: a\r\n" + chunked + "\r\n+0\r\n\r\n" + forged,
	"POST /hello HTTP/1.1\r\nHost: a\r\n" + chunked + "\r\n0x0\r\n\r\n" + forged,
	"POST /hello HTTP/1.1\r\nHost: a\r\n" + chunked + "\r\n1\r\nabc\r\n0\r\n\r\n" + forged,
	"POST /hello HTTP/1.1\r\nHost: a\r\n" + chunked + "\r\nffffffffffffffff\r\n" + forged,
	"POST /hello HTTP/1.1\r\nHost: a\r\n" + chunked + chunked + "\r\n0\r\n\r\n" + forged,
	"POST /hello HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\nContent-Length: 2\r\n\r\n0\r\n\r\n" + forged,
	"POST /hello HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc" + forged,
	"POST /nowhere HTTP/1.1\r\nHost: a\r\nContent-Length: 300000\r\n\r\n" + strings.Repeat(forged, 6000),
	"PRI * HTTP/2.0\r\n\r\nGET /hello HTTP/1.1\r\nHost: b\r\n\r\n" + forged,
	"PRI * HTTP/2.0\r\n\r\nSN\r\n\r\n" + forged,
	"GET /hello HTTP/1.1\r\nHost: a\r\n \r\n\r\n\r\n" + forged,
	"GET /hello HTTP/1.1\r\nHost: a\r\r\n\r\n" + forged,
	"\r\n\r\n\r\nGET /hello HTTP/1.1\r\nHost: a\r\n\r\n" + forged,
	"POST /hello HTTP/1.1\r\nHost: a\r\n\r\n\r\n\r\n\r\n\r\n" + forged,
}

// A head inside a body, under every framing, is not shown, nor is any other
// head that isn't the request's.
func TestSmuggling(t *testing.T) {
	for name, cut := range cuts {
		t.Run(name, func(t *testing.T) {
			dial := serveCut(t, cut, false)
			for _, raw := range smuggled {
				check(t, dial, []byte(raw), false)
			}
		})
	}
}

// TestIdleMemory holds what idle connections take, after bodies of each framing,
// against net/http's own.
func TestIdleMemory(t *testing.T) {
	const conns, size = 40, 1 << 15
	config := &tls.Config{Certificates: []tls.Certificate{testCert()}, NextProtos: []string{"h2", "http/1.1"}}
	large := strings.Repeat("a", size)
	measure := func(ln net.Listener, useTLS, http2 bool) int {
		srv := newServer(newHandler("local"))
		go srv.Serve(ln)
		defer srv.Close()
		before := heapBytes()
		for range conns {
			tr := &http.Transport{Protocols: new(http.Protocols), TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
			tr.Protocols.SetHTTP1(!http2)
			tr.Protocols.SetHTTP2(http2)
			defer tr.CloseIdleConnections()
			for _, body := range []io.Reader{nil, strings.NewReader(large), io.MultiReader(strings.NewReader(large)), nil} {
				url := "http://" + ln.Addr().String() + "/hello"
				if useTLS {
					url = "https://" + ln.Addr().String() + "/hello"
				}
				req, _ := http.NewRequest("POST", url, body)
				if body == nil {
					req.Header.Set("X", large[:size/2])
				}
				res, err := tr.RoundTrip(req)
				if err != nil {
					t.Fatal(err)
				}
				io.Copy(io.Discard, res.Body)
				res.Body.Close()
			}
		}
		return (heapBytes() - before) / conns
	}
	listen := func() net.Listener {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		return ln
	}
	for _, kind := range []struct {
		name          string
		useTLS, http2 bool
		most          int // crypto/tls and the client vary by 1 to 2 KB
	}{{"HTTP/1", false, false, 1 << 10}, {"HTTP/1 over TLS", true, false, 3 << 10}, {"HTTP/2 over TLS", true, true, 3 << 10}} {
		var more [3]int // what earlier tests left behind may go meanwhile
		for i := range more {
			if kind.useTLS {
				more[i] = measure(newListener(listen(), config), true, kind.http2) - measure(tls.NewListener(listen(), config), true, kind.http2)
			} else {
				more[i] = measure(newListener(listen(), nil), false, false) - measure(listen(), false, false)
			}
		}
		least := slices.Min(more[:])
		t.Logf("%s: an idle connection takes %d bytes more than net/http's own", kind.name, least)
		if least > kind.most {
			t.Errorf("want at most %d", kind.most)
		}
	}
}

// heapBytes returns the size of the live heap, pools emptied.
func heapBytes() int {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}
