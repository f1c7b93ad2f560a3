package wire

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"httpserver/internal/frame"
)

// BenchRequest has ten fields, as a proxy sends them.
const BenchRequest = "GET /hello HTTP/1.1\r\nHost: localhost:8000\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\n" +
	"Accept: */*\r\nAccept-Encoding: gzip, br\r\nAccept-Language: en-GB,en;q=0.5\r\nX-Request-Id: 4f6b3c1a-8f4e-4b0e-9a43\r\n" +
	"X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: example.com\r\nCookie: session=0123456789abcdef\r\n\r\n"

// A client sends the same request over and over on its connections.
type client []connection

// A connection sends its requests, and then receives their responses.
type connection interface {
	send()
	receive() error
	Close() error
}

// NewClient returns a client with conns connections to addr. With streams it speaks
// HTTP/2, and sends benchRequest on so many at once; else it sends request.
func NewClient(tb testing.TB, addr, request string, conns, streams int) client {
	tb.Helper()
	var c client
	for range conns {
		nc, err := net.Dial("tcp", addr)
		if err != nil {
			tb.Fatal(err)
		}
		if streams > 0 {
			c = append(c, newHTTP2Conn(nc, streams))
		} else {
			c = append(c, &http1Conn{Conn: nc, request: request})
		}
	}
	c.Round(tb)
	return c
}

func (c client) Close() {
	for _, conn := range c {
		conn.Close()
	}
}

// Round sends on each connection, then reads the responses, which is less work than
// taking the connections one by one.
func (c client) Round(tb testing.TB) {
	for _, conn := range c {
		conn.send()
	}
	for _, conn := range c {
		if err := conn.receive(); err != nil {
			tb.Error(err)
			runtime.Goexit()
		}
	}
}

// An http1Conn is a connection whose responses are all as long as the first.
type http1Conn struct {
	net.Conn
	request string
	buf     []byte
}

func (c *http1Conn) send() { io.WriteString(c, c.request) }

func (c *http1Conn) receive() error {
	if c.buf == nil {
		var raw bytes.Buffer
		res, err := http.ReadResponse(bufio.NewReader(io.TeeReader(c, &raw)), nil)
		if err != nil {
			return err
		}
		io.Copy(io.Discard, res.Body)
		c.buf = make([]byte, raw.Len())
		raw.Read(c.buf)
	} else if _, err := io.ReadFull(c, c.buf); err != nil {
		return err
	}
	if !bytes.HasPrefix(c.buf, []byte("HTTP/1.1 200 ")) {
		return fmt.Errorf("response %q", c.buf)
	}
	return nil
}

// An http2Conn is a connection that sends the fields of benchRequest, indexed from the
// second request on.
type http2Conn struct {
	net.Conn
	r       *bufio.Reader
	again   string // a block that refers to the fields
	streams int    // at once
	last    int
	out     []byte
}

func newHTTP2Conn(nc net.Conn, streams int) *http2Conn {
	c := &http2Conn{Conn: nc, r: bufio.NewReaderSize(nc, 64<<10), streams: streams, last: 1}
	first := Block(Indexed(2), Indexed(6), AddedTo(4, "/hello"), AddedTo(1, "localhost:8000"))
	lines := strings.Split(Text(BenchRequest), "\n")[2:] // without the Host
	n := 2
	for _, line := range lines {
		if name, value, ok := strings.Cut(line, ": "); ok {
			first += Block(Added(strings.ToLower(name), value))
			n++
		}
	}
	c.again = Block(Indexed(2), Indexed(6))
	for i := range n {
		c.again += Block(Indexed(62 + n - 1 - i))
	}
	io.WriteString(c, HTTP2Start+FrameOf(frame.Headers, frame.EndHeaders|frame.EndStream, c.last, first))
	c.await(1)
	return c
}

func (c *http2Conn) send() {
	c.out = c.out[:0]
	for range c.streams {
		c.last += 2
		c.out = append(c.out, FrameOf(frame.Headers, frame.EndHeaders|frame.EndStream, c.last, c.again)...)
	}
	c.Write(c.out)
}

func (c *http2Conn) receive() error { return c.await(c.streams) }

// await reads until n streams have ended well.
func (c *http2Conn) await(n int) error {
	for n > 0 {
		b, err := c.r.Peek(frame.HeaderSize)
		if err != nil {
			return err
		}
		switch f := frame.Frame(b); f.Kind() {
		case frame.Reset, frame.GoAway:
			return fmt.Errorf("frame of type %d", f.Kind())
		case frame.Data:
			if f.Has(frame.EndStream) {
				n--
			}
		}
		if _, err := c.r.Discard(frame.HeaderSize + frame.Frame(b).Length()); err != nil {
			return err
		}
	}
	return nil
}

// Load puts request on addr on some connections, as newClient does, until stop is
// called, which returns how many were answered.
func Load(tb testing.TB, addr, request string, conns, streams int) (stop func() (requests int64)) {
	tb.Helper()
	var stopping atomic.Bool
	var requests atomic.Int64
	var senders sync.WaitGroup
	for range 2 {
		c := NewClient(tb, addr, request, conns/2, streams)
		senders.Go(func() {
			defer c.Close()
			for !stopping.Load() {
				c.Round(tb)
				requests.Add(int64(len(c) * max(1, streams)))
			}
		})
	}
	return func() int64 {
		stopping.Store(true)
		senders.Wait()
		return requests.Load()
	}
}
