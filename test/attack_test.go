//go:build unix

package test

import (
	"crypto/tls"
	"flag"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"httpserver/internal/frame"
	"httpserver/internal/wire"
)

// This file holds the strangers who mean harm, in a process of their own.

// An onslaught is what each of so many connections does, anew when it is closed. What it
// sends comes before what it then repeats.
type onslaught struct {
	name   string
	conns  int
	sent   string
	again  string        // repeated, until the server takes no more
	pause  time.Duration // before each repetition
	reads  time.Duration // a byte so often; 0 for all that comes, less for nothing
	closes bool          // once all is sent
	raw    bool          // over TLS as well
}

const unread = -1 // no byte is read

// bomb returns n streams, each with a field of size bytes referred to
// refs times, whose answers have no window.
func bomb(n, size, refs int, path, name string) string {
	var b strings.Builder
	b.WriteString(wire.HTTP2NoWindow)
	field := wire.Added(name, strings.Repeat("a", size))
	for i := range n {
		fields := []wire.Coded{wire.Indexed(6), wire.LiteralOf(4, path), wire.Indexed(2), wire.LiteralOf(1, "localhost"), wire.Literal("accept", "application/json")}
		if i == 0 {
			fields = append(fields, field)
		}
		fields = append(fields, slices.Repeat([]wire.Coded{wire.Indexed(62)}, refs)...)
		b.WriteString(wire.CutIntoFrames(2*i+1, 16000, wire.Block(fields...)))
	}
	return b.String()
}

// upload returns n frames of a body that no handler reads.
func upload(n int) string {
	head := wire.FrameOf(frame.Headers, frame.EndHeaders, 1, wire.Block(wire.Indexed(3), wire.LiteralOf(4, "/nothing"), wire.Indexed(6), wire.LiteralOf(1, "localhost")))
	return head + strings.Repeat(wire.FrameOf(frame.Data, 0, 1, strings.Repeat("a", 16000)), n)
}

// trailers returns n streams, each with trailers of a field referred to often, whose answers
// have no window.
func trailers(n int, path string) string {
	var b strings.Builder
	b.WriteString(wire.HTTP2NoWindow)
	for i := range n {
		b.WriteString(wire.FrameOf(frame.Headers, frame.EndHeaders, 2*i+1, wire.Block(wire.Indexed(6), wire.LiteralOf(4, path), wire.Indexed(2), wire.LiteralOf(1, "localhost"), wire.Literal("trailer", "x"))))
		if i == 0 {
			b.WriteString(wire.FrameOf(frame.Headers, frame.EndHeaders|frame.EndStream, 1, wire.Block(wire.Added("x", ""))))
		} else {
			b.WriteString(wire.FrameOf(frame.Headers, frame.EndHeaders|frame.EndStream, 2*i+1, wire.Block(slices.Repeat([]wire.Coded{wire.Indexed(62)}, 1800)...)))
		}
	}
	return b.String()
}

// announced returns n bytes of names, for a field Trailer.
func announced(n int) string {
	var b strings.Builder
	for i := 0; b.Len() < n; i++ {
		fmt.Fprintf(&b, "a%x,", i)
	}
	return b.String()
}

// resets returns n requests, each reset at once.
func resets(n int) string {
	var b strings.Builder
	b.WriteString(wire.HTTP2Start)
	for i := range n {
		b.WriteString(wire.Request(2*i+1) + wire.Reset(2*i+1))
	}
	return b.String()
}

// resetAll resets n streams.
func resetAll(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(wire.Reset(2*i + 1))
	}
	return b.String()
}

// clientHello returns what a client of TLS sends first.
func clientHello() string {
	client, server := net.Pipe()
	defer client.Close()
	go tls.Client(client, &tls.Config{ServerName: "localhost"}).Handshake()
	hello := make([]byte, 4096)
	n, _ := server.Read(hello)
	return string(hello[:n])
}

// attacks are these, on what answers at path, and late at slow.
func attacks(path, slow string) []onslaught {
	one := "X: " + strings.Repeat("a", 65000) + "\r\n"
	tiny := strings.Repeat("a:\r\n", 1800)
	folded := "a: b\r\n" + strings.Repeat(" c\r\n", 1800)
	half := func(fields string) string { return strings.TrimSuffix(wire.Asking(path, fields), "\r\n\r\n") }
	window := func(n int) string {
		var b strings.Builder
		for i := range n {
			b.WriteString(wire.FrameOf(frame.WindowUpdate, 0, 2*i+1, "\x00\x00\x00\x01"))
		}
		return b.String()
	}
	return []onslaught{
		{name: "heads of one field, text", conns: 300, again: wire.Asking(path, one), pause: 50 * time.Millisecond},
		{name: "heads of one field, JSON, not read", conns: 1000, again: wire.Asking(path, wire.AcceptJSON+one), reads: unread},
		{name: "heads of tiny fields, JSON", conns: 300, again: wire.Asking(path, wire.AcceptJSON+tiny), pause: 50 * time.Millisecond},
		{name: "heads of tiny fields, JSON, not read", conns: 1000, again: wire.Asking(path, wire.AcceptJSON+tiny), reads: unread},
		{name: "heads of folded lines, JSON, a byte a second", conns: 1000, again: wire.Asking(path, wire.AcceptJSON+folded), reads: time.Second},
		{name: "heads too large", conns: 300, again: wire.Asking(path, one+one)},
		{name: "half heads of one field", conns: 2000, sent: half(one), reads: unread},
		{name: "half heads of tiny fields", conns: 2000, sent: half(tiny), reads: unread},
		{name: "large heads with a delay", conns: 2000, sent: wire.Asking(slow, wire.AcceptJSON+tiny), reads: unread},
		{name: "bodies in chunks of one byte", conns: 300, sent: "POST " + path + " HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n", again: strings.Repeat("1\r\na\r\n", 10000)},
		{name: "delays", conns: 3000, sent: wire.Asking(slow, ""), reads: unread},
		{name: "bombs of a large field", conns: 200, sent: bomb(250, 3900, 260, path, "x"), reads: unread},
		{name: "bombs of a large field, within the limit", conns: 200, sent: bomb(250, 3900, 14, path, "x"), reads: unread},
		{name: "bombs of an empty field", conns: 200, sent: bomb(100, 0, 1800, path, "x"), reads: unread},
		{name: "bombs of cookie crumbs", conns: 200, sent: bomb(100, 0, 1700, path, "cookie"), reads: unread},
		{name: "bombs with a delay", conns: 200, sent: bomb(100, 0, 1800, slow, "x"), reads: unread},
		{name: "bombs whose windows get a byte at a time", conns: 200, sent: bomb(100, 0, 1000, path, "x"), again: window(100), pause: 100 * time.Millisecond},
		{name: "streams with a delay", conns: 1000, sent: bomb(100, 0, 1, slow, "x"), reads: unread},
		{name: "small answers, not read", conns: 600, sent: bomb(100, 0, 0, path, "x"), reads: unread},
		{name: "small heads, not read", conns: 3000, sent: bomb(32, 3700, 1, path, "x"), reads: unread},
		{name: "resets behind an error", conns: 600, sent: bomb(100, 0, 0, path, "x") + wire.Reset(1<<31-1) + resetAll(100), reads: unread},
		{name: "bodies, not read", conns: 600, sent: wire.HTTP2NoWindow + upload(63), reads: unread},
		{name: "trailers", conns: 600, sent: trailers(100, path), reads: unread},
		{name: "trailers of HTTP/1, JSON", conns: 1000, sent: strings.Repeat("POST "+path+" HTTP/1.1\r\nHost: localhost\r\n"+wire.AcceptJSON+strings.Repeat("a:\r\n", 100)+"Transfer-Encoding: chunked\r\n\r\n0\r\n"+strings.Repeat("a:\r\n", 1020)+"\r\n", 20), reads: unread},
		{name: "announced trailers", conns: 600, sent: wire.Asking(path, "Transfer-Encoding: chunked\r\nTrailer: "+announced(60000)+"\r\n"), reads: unread},
		{name: "half blocks", conns: 2000, sent: strings.TrimSuffix(wire.HTTP2Start+wire.CutIntoFrames(1, 16000, wire.Block(wire.Literal("x", strings.Repeat("~", 60000)))+"\x82"), "\x82"), reads: unread},
		{name: "resets on few connections", conns: 4, sent: resets(100000)},
		{name: "resets on many short connections", conns: 64, sent: resets(250), closes: true},
		{name: "idle connections", conns: 10000, sent: wire.Asking(path, "")},
		{name: "idle connections after a stream", conns: 10000, sent: wire.HTTP2Start + wire.Request(1)},
		{name: "pings, not read", conns: 600, sent: wire.HTTP2Start, again: strings.Repeat(wire.FrameOf(wire.PingFrame, 0, 0, "12345678"), 500), reads: unread},
		{name: "window updates of 0, not read", conns: 600, sent: wire.HTTP2Start, again: strings.Repeat(wire.FrameOf(frame.WindowUpdate, 0, 1, "\x00\x00\x00\x00"), 500), reads: unread},
		{name: "pings after a body", conns: 600, sent: wire.HTTP2NoWindow + upload(4), again: strings.Repeat(wire.FrameOf(wire.PingFrame, 0, 0, "12345678"), 500), reads: unread},
		{name: "a body, a delay and half a block", conns: 680, sent: wire.HTTP2NoWindow + upload(4) + wire.FrameOf(frame.Headers, frame.EndHeaders|frame.EndStream, 3, wire.Block(wire.Indexed(2), wire.LiteralOf(4, slow), wire.Indexed(6), wire.LiteralOf(1, "localhost"))) +
			wire.FrameOf(frame.Headers, 0, 5, wire.Block(wire.Literal("x", strings.Repeat("~", 4000)))), reads: unread},
		{name: "heads of indexed fields, JSON, read slowly", conns: 2000, sent: strings.Replace(bomb(100, 0, 1700, path, "x"), wire.HTTP2NoWindow, wire.HTTP2Start, 1), reads: 10 * time.Millisecond},
		{name: "delays behind which another request is sent", conns: 3000, sent: wire.Asking(slow, "") + wire.Asking(slow, ""), reads: unread},
		{name: "half heads on 9,000 connections", conns: 9000, sent: half(one), reads: unread},
		{name: "nothing sent", conns: 2000, reads: unread, raw: true},
		{name: "handshakes begun", conns: 2000, sent: clientHello(), reads: unread, raw: true},
	}
}

var (
	attacked    = flag.String("attack", "", "attack the server at `address`")
	attackTLS   = flag.Bool("attacktls", false, "attack over TLS")
	attackProxy = flag.Bool("attackproxy", false, "begin each connection with the largest PROXY protocol header")
	attackPath  = flag.String("attackpath", "/hello", "`target` that is asked for")
	attackSlow  = flag.String("attackslow", "/hello?delay=30s", "`target` that is answered late")
	attackPart  = flag.Int("attackpart", 1, "attack with one of `n` connections")
)

// TestAttack attacks until it is killed.
func TestAttack(t *testing.T) {
	if *attacked == "" {
		t.Skip("no -attack")
	}
	for _, a := range attacks(*attackPath, *attackSlow) {
		t.Run(a.name, func(t *testing.T) {
			t.Parallel()
			a.run(*attacked)
		})
	}
}

// run has a's connections do what it says for ever.
func (a onslaught) run(addr string) {
	var all sync.WaitGroup
	for range max(1, a.conns / *attackPart) {
		all.Go(func() {
			for {
				a.once(addr)
			}
		})
	}
	all.Wait()
}

// dial connects to addr, over TLS where a goes over it.
func (a onslaught) dial(addr string) (net.Conn, error) {
	c, err := net.DialTimeout("tcp", addr, time.Second)
	if err == nil && *attackProxy {
		_, err = io.WriteString(c, largestHeader)
	}
	if err != nil || !*attackTLS || a.raw {
		return c, err
	}
	config := &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"http/1.1"}}
	if strings.HasPrefix(a.sent, frame.Preface) {
		config.NextProtos[0] = "h2"
	}
	tc := tls.Client(c, config)
	c.SetDeadline(time.Now().Add(time.Second))
	if err := tc.Handshake(); err != nil {
		c.Close()
		return nil, err
	}
	c.SetDeadline(time.Time{})
	return tc, nil
}

// largestHeader is the largest of the PROXY protocol that is taken: addresses, and 1,361 empty TLVs.
var largestHeader = "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x0f\xff" + strings.Repeat("\x01", 12) + strings.Repeat("\xe0\x00\x00", 1361)

func (a onslaught) once(addr string) {
	c, err := a.dial(addr)
	if err != nil {
		time.Sleep(10 * time.Millisecond)
		return
	}
	defer c.Close()
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
	switch { // until the server closes it, or it is enough to wait for that
	case a.reads == 0:
		io.Copy(io.Discard, c)
	case a.reads < 0:
		time.Sleep(3 * time.Second)
	default:
		for _, err := c.Read(make([]byte, 1)); err == nil; _, err = c.Read(make([]byte, 1)) {
			time.Sleep(a.reads)
		}
	}
}
