package main

import (
	"bytes"
	"crypto/tls"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// This file holds the connection that net/http reads from. A feed follows what passes,
// and keeps what net/http doesn't.

// A feed follows one version of HTTP in what a client sends.
type feed interface {
	// feed takes received bytes from src, and puts what net/http is to read for them
	// into dst. It returns how many it took and put.
	// An error comes after all that is to be put.
	feed(dst, src []byte) (nDst, nSrc int, err error)

	// take returns the head of r as it arrived, or nil where it isn't known. It is to
	// be called once for each request, before anything else is done with it.
	take(r *http.Request) *head

	// headSize returns how much has come of the head that no handler has yet, as
	// limits.head counts.
	headSize() int

	// firstLine returns a copy of as much as has come of the first line of the request
	// that no handler has yet, and as the log takes, or nil where it isn't known.
	firstLine() []byte

	// none notes that net/http has no request under way.
	none()

	// close is called when nothing more is to come.
	close()
}

// A conn has a feed follow what net/http reads from it.
type conn struct {
	*thriftyConn
	limits  *limits
	slot    *slot
	tls     *tls.ConnectionState                          // of one that agreed on HTTP/2; else nil
	refused func(peer net.Addr, firstLine, answer []byte) // is told what net/http answers without a handler; nil over HTTP/2

	rest      []byte      // received, not yet handed on; net/http never has two Reads under way
	answered  bool        // admit has answered: net/http gets nothing more
	received  int         // bytes, since others ran
	http2     *http2      // the feed, over HTTP/2
	ahead     []byte      // over HTTP/2: what rest is received into
	writing   sync.Mutex  // over HTTP/2: held by a Write
	writeFrom time.Time   // over HTTP/2: when the deadline of Writes was set; one is under way at most
	reads     int         // over HTTP/2: since no Write was under way
	awaited   int         // over HTTP/2: the frame or block that has until headTimeout to be whole, or 0
	preface   string      // what is to come yet of HTTP/2's, for the connection to be that
	handled   atomic.Bool // a handler has had the request that is answered

	mu       sync.Mutex // guards the following: net/http may read while a handler runs
	feed     feed
	acquired int // over HTTP/1: bytes of limits.memory
	closed   bool
}

// preface is what a client begins HTTP/2 with (RFC 9113 section 3.4). net/http goes
// over to HTTP/2 where the first bytes are these, and nowhere else.
const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// aheadBytes is read ahead over HTTP/2, where net/http asks for the header of each
// frame, and then for the rest.
const aheadBytes = 2 << 10

func newConn(nc halfCloser, s *slot, l *limits, refused func(peer net.Addr, firstLine, answer []byte)) *conn {
	return &conn{thriftyConn: newThriftyConn(nc), slot: s, limits: l, refused: refused, preface: preface, feed: new(http1)}
}

// Read returns what is due.
func (c *conn) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if c.answered {
		return 0, os.ErrDeadlineExceeded
	}
	if c.http2 == nil && len(c.rest) > 0 {
		runtime.Gosched() // as after yieldBytes, for clients that send many requests at once
	}
	if c.http2 != nil {
		c.awaitWrite()
	}
	for {
		n, err := c.handOn(p)
		if n > 0 || err != nil {
			return n, err
		}
		into := p
		if c.http2 != nil && len(p) > c.http2.passing {
			into = c.ahead // the feed may put more into p than it takes
		}
		if c.http2 != nil {
			c.awaitBlock()
		}
		n, err = c.receive(into)
		if n == 0 && err != nil {
			return 0, err
		}
		c.rest = into[:n] // an error beside them comes again after them
	}
}

// yieldBytes is how much is received between two times that others run. A client that sends without
// a pause would have a processor for 10 ms on end, and hundreds would have others wait for seconds.
const yieldBytes = 4 << 10

// receive reads what the client sends.
func (c *conn) receive(p []byte) (int, error) {
	n, err := c.thriftyConn.Read(p)
	c.slot.noteRead(n)
	c.yield(n)
	return n, err
}

// yield has others run after n bytes more, if it is time.
func (c *conn) yield(n int) {
	if c.received += n; c.received >= yieldBytes {
		c.received = 0
		runtime.Gosched()
	}
}

// handOn hands on to p what is received and due.
func (c *conn) handOn(p []byte) (int, error) {
	c.mu.Lock()
	n, taken, err := c.feed.feed(p, c.rest)
	size := c.feed.headSize()
	decoded := 0
	if c.http2 != nil {
		decoded, c.http2.decoded = c.http2.decoded, 0
	}
	c.mu.Unlock()
	c.yield(decoded)
	c.rest = c.rest[taken:]
	if len(c.rest) > 0 && c.ahead == nil {
		c.rest = bytes.Clone(c.rest) // it may be in p
	}
	if err != nil {
		// The feed has the connection end. One that was ended for want of memory came again
		// at once, and to take it up again and again left no time for others.
		select {
		case <-c.slot.left:
		case <-time.After(endTime):
		}
		return n, err
	}
	if n == 0 {
		return 0, nil
	}
	if c.preface != "" {
		err = c.awaitHTTP2(p[:n])
	}
	if err == nil {
		err = c.admit(size)
	}
	if err != nil {
		n = 0
	}
	return n, err
}

// Close releases what the connection has of what is shared.
func (c *conn) Close() error {
	c.mu.Lock()
	c.closed = true
	c.release()
	c.feed.close()
	c.mu.Unlock()
	defer c.slot.Close()
	return c.thriftyConn.Close()
}

// endTime is how long a connection is kept that the feed ends, unless net/http ends it.
const endTime = time.Second

// maxUnanswered is how often net/http may read while a Write is under way. It reads once or twice
// for each frame, and may have to answer each: a client that reads none of the answers would have
// it hold 10,000.
const maxUnanswered = 200

// awaitWrite waits for the end of a Write that has been under way for as many Reads.
func (c *conn) awaitWrite() {
	if c.reads++; c.reads > maxUnanswered {
		c.writing.Lock()
	} else if !c.writing.TryLock() {
		return
	}
	c.reads = 0
	c.writing.Unlock()
}

// awaitBlock gives the client headTimeout for the rest of a header block: net/http gives it as long
// as it likes.
func (c *conn) awaitBlock() {
	var awaited int
	var late time.Time
	if c.http2.inBlock() {
		awaited, late = c.http2.whole+1, time.Now().Add(headTimeout)
	}
	if awaited != c.awaited {
		c.awaited = awaited
		c.SetReadDeadline(late)
	}
}

// awaitHTTP2 takes p, handed on next, for a part of HTTP/2's preface. Where TLS agreed
// on HTTP/2 there must be one, and net/http closes the connection without.
func (c *conn) awaitHTTP2(p []byte) error {
	after, ok := strings.CutPrefix(c.preface, string(p))
	switch {
	case !ok && c.tls != nil:
		c.refused = nil // no answer reaches the client
		c.Close()
		return net.ErrClosed
	case !ok:
		after = ""
	case after == "":
		c.mu.Lock()
		c.http2 = newHTTP2(c.limits)
		c.feed = c.http2
		c.mu.Unlock()
		c.slot.note(begun, time.Now()) // its first request is yet to come
		c.ahead = make([]byte, aheadBytes)
		c.refused = nil // HTTP/2 refuses in frames
	}
	c.preface = after
	return nil
}

func (c *conn) Write(p []byte) (int, error) {
	if c.http2 != nil {
		c.writing.Lock()
		c.noteFrames(p)
		n, err := c.halfCloser.Write(p)
		c.writing.Unlock()
		return n, err
	}
	if c.refused != nil && !c.handled.Load() {
		c.tellRefused(p)
	}
	return c.thriftyConn.Write(p)
}

// noteFrames notes p, which net/http sends next over HTTP/2, where it sets no deadline: its own
// limit, WriteByteTimeout, would have it send the rest of p in another Write, to be noted again.
//
// It isn't inlined: net/http writes in a new goroutine each time, whose stack of 2 KB just holds
// a Write. With the variables of this function on it, too, it would grow, for 25,000 instructions.
//
//go:noinline
func (c *conn) noteFrames(p []byte) {
	now := time.Now()
	if now.Sub(c.writeFrom) >= time.Second { // as a thriftyConn
		c.writeFrom = now
		c.halfCloser.SetWriteDeadline(now.Add(responseTimeout))
	}
	c.mu.Lock()
	c.http2.requests.follow(p)
	open := len(c.http2.requests.open)
	c.mu.Unlock()
	if open > 1 {
		// Handlers that are ready run first, for the next Write to take the frames of all:
		// at ten streams at once there are 0.3 Writes a request, and else 2.
		runtime.Gosched()
	}
}

// tellRefused tells of answer, which no handler gave.
func (c *conn) tellRefused(answer []byte) {
	c.mu.Lock()
	line := c.feed.firstLine()
	c.mu.Unlock()
	c.refused(c.RemoteAddr(), line, answer)
}
