package rawhead

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

	"httpserver/internal/frame"
	"httpserver/internal/linger"
	"httpserver/internal/rawhead/http1"
	"httpserver/internal/rawhead/http2"
)

// This file holds the connection that net/http reads from.

// A tracker follows one version of HTTP in what a client sends.
type tracker interface {
	// Feed takes received bytes from src, and puts what net/http is to read for them into dst.
	// It returns how many bytes it took and put. An error comes after all that is to be put.
	Feed(dst, src []byte) (nDst, nSrc int, err error)

	// Close is called when nothing more is to come.
	Close()
}

// A conn has a tracker follow what net/http reads from it.
type conn struct {
	*thriftyConn
	of     *server
	closed <-chan struct{}      // once the connection is closed, by anyone; may be nil
	tls    *tls.ConnectionState // of one that agreed on HTTP/2; else nil

	rest      []byte      // received, not yet handed on; net/http never has two Reads under way
	silent    atomic.Bool // nothing is told any more: it has been, or no answer reaches the client
	answered  bool        // refuse has answered: net/http gets nothing more
	received  int         // bytes, since others ran
	ahead     []byte      // over HTTP/2: what rest is received into
	writing   sync.Mutex  // over HTTP/2: held by a Write
	writeFrom time.Time   // over HTTP/2: when the deadline of Writes was set; one is under way at most
	reads     int         // over HTTP/2: since no Write was under way
	awaited   int         // over HTTP/2: the frame or block that has headTimeout to be whole, or 0
	preface   string      // what is to come yet of HTTP/2's, for the connection to be that
	handled   atomic.Bool // a handler has had the request that is answered

	mu        sync.Mutex     // guards the following: net/http may read while a handler runs
	http1     *http1.Tracker // or nil, once it is HTTP/2
	http2     *http2.Tracker // or nil; then Reads and Writes know it without mu, once they had the preface
	account   account
	isDone    bool
	readError error // of the last Read
}

// aheadBytes is read ahead over HTTP/2, where net/http asks for the header of each
// frame, and then for the rest.
const aheadBytes = 2 << 10

// newConn returns a conn of s over nc.
func newConn(nc halfCloser, s *server) *conn {
	c := &conn{thriftyConn: newThriftyConn(nc), of: s, preface: frame.Preface, http1: new(http1.Tracker), account: s.account(nc)}
	if s.options.Closed != nil {
		c.closed = s.options.Closed(nc)
	}
	return c
}

// NetConn returns the connection below, as a tls.Conn's does.
func (c *conn) NetConn() net.Conn { return c.halfCloser }

// tracker returns what follows the connection. c.mu is to be held.
func (c *conn) tracker() tracker {
	if c.http2 != nil {
		return c.http2
	}
	return c.http1
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
		if c.http2 != nil && len(p) > c.http2.Passing() {
			into = c.ahead // the tracker may put more into p than it takes
		}
		if c.http2 != nil {
			c.awaitBlock()
		}
		n, err = c.thriftyConn.Read(into)
		c.yield(n)
		if n == 0 && err != nil {
			c.mu.Lock()
			c.readError = err
			c.mu.Unlock()
			return 0, err
		}
		c.rest = into[:n] // an error beside them comes again after them
	}
}

// yieldBytes is how much is received, or decoded, before other goroutines run. A client that sends
// without a pause would else keep a processor for 10 ms, and hundreds of them would delay others for
// seconds.
const yieldBytes = 4 << 10

// yield counts n bytes, and lets other goroutines run after each yieldBytes.
func (c *conn) yield(n int) {
	if c.received += n; c.received >= yieldBytes {
		c.received = 0
		runtime.Gosched()
	}
}

// handOn hands on to p what is received and due.
func (c *conn) handOn(p []byte) (int, error) {
	c.mu.Lock()
	n, taken, err := c.tracker().Feed(p, c.rest)
	size, decoded := 0, 0
	if c.http2 != nil {
		decoded = c.http2.Decoded()
	} else {
		size = c.http1.HeadSize()
	}
	c.mu.Unlock()
	c.yield(decoded)
	c.rest = c.rest[taken:]
	if len(c.rest) > 0 && c.ahead == nil {
		c.rest = bytes.Clone(c.rest) // it may be in p
	}
	if err != nil {
		// The tracker ends the connection, a while later: a client whose connection ends for want of
		// memory comes again at once, and to serve it again and again leaves no time for others.
		select {
		case <-c.closed:
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

// Close releases what the connection has acquired.
func (c *conn) Close() error {
	c.mu.Lock()
	if !c.isDone {
		c.tellUnanswered()
	}
	c.isDone = true
	c.account.resize(0)
	c.tracker().Close()
	c.mu.Unlock()
	return c.thriftyConn.Close()
}

// endTime is how long a connection is kept that the tracker ends, unless net/http ends it.
const endTime = time.Second

// awaitBlock gives the client headTimeout for the rest of a header block. net/http sets no limit.
func (c *conn) awaitBlock() {
	awaited := c.http2.Unfinished()
	if awaited == c.awaited || c.of.headTimeout <= 0 {
		return
	}
	c.awaited = awaited
	var late time.Time
	if awaited != 0 {
		late = time.Now().Add(c.of.headTimeout)
	}
	c.SetReadDeadline(late)
}

// awaitHTTP2 compares p, which is handed on next, with HTTP/2's preface. Where TLS agreed on HTTP/2 there
// must be a preface, and net/http closes the connection without one.
func (c *conn) awaitHTTP2(p []byte) error {
	after, ok := strings.CutPrefix(c.preface, string(p))
	switch {
	case !ok && c.tls != nil:
		c.mu.Lock()
		c.tellUnread("TLS agreed on HTTP/2, and this isn't its preface")
		c.mu.Unlock()
		c.silent.Store(true) // no answer reaches the client
		c.Close()
		return net.ErrClosed
	case !ok:
		after = ""
	case after == "":
		c.mu.Lock()
		c.http2 = http2.New(c.account.maxHead, c.account.memory != nil, &c.account)
		c.http1.Close()
		c.http1 = nil
		c.mu.Unlock()
		c.of.noteState(c, http.StateNew) // its first request is yet to come
		c.ahead = make([]byte, aheadBytes)
		c.silent.Store(true) // HTTP/2 refuses in frames
	}
	c.preface = after
	return nil
}

// CloseWrite lets the client read what it was answered. net/http closes the connection next.
func (c *conn) CloseWrite() error { return linger.CloseWrite(c.thriftyConn) }
