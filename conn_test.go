package main

import (
	"crypto/tls"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestIdleMemory holds what idle connections take, after bodies of each framing,
// against net/http's own.
func TestIdleMemory(t *testing.T) {
	const conns, size = 24, 1 << 15
	config := &tls.Config{Certificates: []tls.Certificate{newPair(t, nil)}, NextProtos: []string{"h2", "http/1.1"}}
	large := strings.Repeat("a", size)
	measure := func(ours, useTLS, http2 bool) int {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		srv, over := newEcho(), (*tls.Config)(nil)
		if useTLS {
			over = config
		}
		go serveEcho(srv, ln, over, ours)
		defer srv.Close()
		before := heapBytes()
		for range conns {
			tr := &http.Transport{Protocols: new(http.Protocols), TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
			tr.Protocols.SetHTTP1(!http2)
			tr.Protocols.SetHTTP2(http2 && useTLS)
			tr.Protocols.SetUnencryptedHTTP2(http2 && !useTLS)
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
	for _, kind := range []struct {
		name          string
		useTLS, http2 bool
		most          int // over TLS the two vary by some KB, for crypto/tls sizes its buffers by what one read brings
	}{{"HTTP/1", false, false, 1 << 10}, {"HTTP/1 over TLS", true, false, 6 << 10}, {"HTTP/2", false, true, 8 << 10}, {"HTTP/2 over TLS", true, true, 16 << 10}} {
		holdMore(t, kind.name, kind.most, func() int {
			return measure(true, kind.useTLS, kind.http2) - measure(false, kind.useTLS, kind.http2)
		})
	}
}

// holdMore checks what an idle connection takes more than net/http's own, by the least
// of some measurements: what earlier tests left behind may go meanwhile.
func holdMore(t *testing.T, name string, most int, measure func() int) {
	t.Helper()
	least := math.MaxInt
	for try := 0; try < 8 && least > most; try++ {
		least = min(least, measure())
	}
	t.Logf("%s: an idle connection takes %d bytes more than net/http's own", name, least)
	if least > most {
		t.Errorf("%s: want at most %d", name, most)
	}
}

// An endless is a connection whose client doesn't stop sending.
type endless struct {
	deadlines
	sent int64
}

func (e *endless) CloseWrite() error { return nil }

func (e *endless) Read(p []byte) (int, error) {
	e.sent += int64(len(p))
	return len(p), nil
}

// What a client still sends after it was told that it is too much is taken for so
// long, and so many bytes.
func TestLinger(t *testing.T) {
	e := new(endless)
	before := time.Now()
	linger(e)
	if e.read.Before(before) || e.read.After(time.Now().Add(lingerTimeout)) {
		t.Errorf("the deadline is %v, from %v on", e.read, before)
	}
	if e.sent != lingerBytes {
		t.Errorf("%d bytes are taken, want %d", e.sent, lingerBytes)
	}
}

// The end of what a client sends comes after what the feed held back.
func TestEndAfterRest(t *testing.T) {
	c := newTestConn(&lastRead{bytes: forged + forged})
	p := make([]byte, 4096)
	if n, err := c.Read(p); string(p[:n]) != forged || err != nil {
		t.Fatalf("%q, %v", p[:n], err)
	}
	c.http1.close()
	clear(p) // is the caller's again
	if n, err := c.Read(p); string(p[:n]) != forged || err != nil {
		t.Fatalf("%q, %v", p[:n], err)
	}
	if n, err := c.Read(p); n > 0 || err != io.EOF {
		t.Fatalf("%q, %v", p[:n], err)
	}
}

// A lastRead is a connection that gives all it holds, and its end, to one Read.
type lastRead struct {
	deadlines
	bytes string
}

func (l *lastRead) Read(p []byte) (int, error) {
	n := copy(p, l.bytes)
	l.bytes = l.bytes[n:]
	return n, io.EOF
}

// heapBytes returns the size of the live heap, pools emptied.
func heapBytes() int {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// A connection that the feed ends is kept for a while, unless it makes room.
func TestEnd(t *testing.T) {
	for want, leave := range map[time.Duration]bool{endTime: false, endTime / 2: true} {
		synctest.Test(t, func(t *testing.T) {
			c, begin := newTestConn(newScript(http2Start+frameOf(0xbe, 0, 0, strings.Repeat("a", maxFrame+1))+request(1), cuts["whole"])), time.Now()
			if leave {
				closed := make(chan struct{})
				c.closed = closed
				time.AfterFunc(want, func() { close(closed) })
			}
			io.ReadFull(c, make([]byte, len(preface)))
			if _, err := io.Copy(io.Discard, struct{ io.Reader }{c}); err != nil || time.Since(begin) != want {
				t.Errorf("%v after %v, want the end after %v", err, time.Since(begin), want)
			}
		})
	}
}

// Over HTTP/2 what is handed on doesn't depend on how much net/http asks for at once.
func TestReadsOfAnySize(t *testing.T) {
	t.Parallel()
	body := make([]byte, 16<<10)
	for i := range body {
		body[i] = byte(i)
	}
	raw := http2Start + request(1, literal("x", strings.Repeat("a", 3000))) + request(3) + frameOf(headersFrame, endHeaders, 5, block(asked4...)) +
		frameOf(dataFrame, 0, 5, string(body)) + request(7) + frameOf(dataFrame, endStream, 5, string(body)) + request(9)
	var want string
	for _, size := range []int{1, frameHeader, 100, 1 << 10, 4 << 10, 1 << 20} {
		for name, cut := range cuts {
			c := newTestConn(newScript(raw, cut))
			io.ReadFull(c, make([]byte, len(preface)))
			var b strings.Builder
			io.CopyBuffer(&b, struct{ io.Reader }{c}, make([]byte, size))
			if want == "" {
				want = b.String()
			}
			if b.String() != want || b.Len() <= len(raw)-len(preface) {
				t.Errorf("in Reads of %d bytes, sent %s: %d bytes are handed on, and in single bytes %d", size, name, b.Len(), len(want))
			}
		}
	}
}

// Heads wait for their handlers as long as those take to begin, as where the process was stopped.
func TestHeadsWaitForHandlers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newTestConn(newScript(http2Start+request(1)+reset(1)+request(3), cuts["whole"]))
		io.ReadFull(c, make([]byte, len(preface)))
		io.CopyN(io.Discard, c, int64(len(http2Start+request(1)+reset(1)+request(3))))
		c.of.noteState(c, http.StateIdle)
		time.Sleep(time.Minute)
		c.of.noteState(c, http.StateIdle)
		if c.take(marked(2)).head == nil {
			t.Error("a head is gone")
		}
		c.Close()
	})
}

// Where the end of a body isn't certain, a body counts for no head, nor do empty lines before one;
// heads are still bounded.
func TestHeadsThatAreOnlyCounted(t *testing.T) {
	serve, stock := play(t, true), play(t, false)
	const odd = "POST /hello HTTP/1.1\r\nHost: a\r\n" + chunked + "\r\n0\r\nA: b\n\n" + forged
	post := func(body string) string {
		return fmt.Sprintf("POST /hello HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	}
	const begin, end = "GET /hello HTTP/1.1\r\nHost: a\r\nX: ", "\r\n\r\n"
	limit := begin + strings.Repeat("a", testHead-len(begin+end)-2*fieldCost) + end
	for _, test := range []struct {
		name, in string
		last     int // status
	}{
		{"a body of LFs", odd + post(strings.Repeat("\n", 2040)), 200},
		{"a body of lines", odd + post(strings.Repeat("a\n", 1500)), 200},
		{"a body of lines, and a head", odd + post(strings.Repeat("a\r\n", 20000)) + forged, 200},
		{"empty lines before a head at the limit", post("a") + "\r\n\r\n" + limit, 200},
		{"many fields", odd + "GET /hello HTTP/1.1\r\nHost: a\r\n" + strings.Repeat("a:\r\n", 3000) + "\r\n", 431},
		{"many bytes", odd + begin + strings.Repeat("a", 2*testHead) + end, 431},
	} {
		answers := serve(test.in, cuts["whole"])
		if len(answers) == 0 || answers[len(answers)-1].status != test.last {
			t.Errorf("%s: the answers are %.1000s, want %d last", test.name, fmt.Sprint(answers), test.last)
		}
		if test.last == 200 {
			compare(t, test.in, answers, stock(test.in, cuts["whole"]))
		}
	}
}
