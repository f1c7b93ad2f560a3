package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
	"time"
)

// This file holds the listener and the connection that keep the head of each
// HTTP/1 request as it arrived, which net/http does not.
//
// A conn hands net/http the client's bytes unchanged, but for empty lines before a
// request line. It never hands out the end of a head together with what follows,
// and is told by the handler, through takeHead, how net/http frames the body. So
// it knows where the next head begins by net/http's own word. Where it can't know,
// it keeps nothing for the rest of the connection.
//
// It also spares net/http work that would be the same for each request: it adds
// the field lines that its responses share, and moves deadlines only when it must.

// A listener accepts connections that keep request heads.
type listener struct{ net.Listener }

func (l listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &conn{halfCloser: c.(halfCloser)}, nil
}

// A tlsListener accepts connections that have agreed on TLS. Those for HTTP/1 keep
// request heads: TLS ends here and not in net/http, so that they see the plain
// bytes. Those for HTTP/2 are net/http's own.
type tlsListener struct {
	net.Listener
	config *tls.Config
	failed func(peer net.Addr, err error) // is told of handshakes that fail

	conns  chan net.Conn
	errs   chan error // of Listener.Accept
	closed chan struct{}
	close  func()
}

func newTLSListener(ln net.Listener, config *tls.Config, failed func(peer net.Addr, err error)) *tlsListener {
	l := &tlsListener{ln, config, failed, make(chan net.Conn), make(chan error), make(chan struct{}), nil}
	l.close = sync.OnceFunc(func() { close(l.closed) })
	go func() {
		for {
			c, err := ln.Accept()
			if err == nil {
				go l.handshake(c)
				continue
			}
			select {
			case l.errs <- err: // net/http waits before it accepts again
			case <-l.closed:
				return
			}
		}
	}()
	return l
}

func (l *tlsListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case err := <-l.errs:
		return nil, err
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *tlsListener) Close() error {
	l.close()
	return l.Listener.Close()
}

// handshake makes nc ready to be accepted. A client that speaks plain HTTP is told
// so, as by net/http.
func (l *tlsListener) handshake(nc net.Conn) {
	tc := tls.Server(nc, l.config)
	tc.SetDeadline(time.Now().Add(headTimeout))
	if err := tc.Handshake(); err != nil {
		var notTLS tls.RecordHeaderError
		if errors.As(err, &notTLS) && 'A' <= notTLS.RecordHeader[0] && notTLS.RecordHeader[0] <= 'Z' {
			io.WriteString(nc, "HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n")
			err = errors.New("client sent an HTTP request to an HTTPS server")
		}
		l.failed(nc.RemoteAddr(), err)
		nc.Close()
		return
	}
	tc.SetDeadline(time.Time{})
	var c net.Conn = tc
	if state := tc.ConnectionState(); state.NegotiatedProtocol != "h2" {
		c = &conn{halfCloser: tc, tlsState: &state}
	}
	select {
	case l.conns <- c:
	case <-l.closed:
		c.Close()
	}
}

// A halfCloser can close its sending side alone, which net/http does to let a
// client that still sends read its response.
type halfCloser interface {
	net.Conn
	CloseWrite() error
}

// A conn keeps the head of the HTTP/1 request that net/http is reading or has
// read from it.
type conn struct {
	halfCloser
	tlsState *tls.ConnectionState // nil in the clear

	// net/http never has two Writes under way.
	writeDeadline deadline
	addFields     bool // to the response that comes next

	// fields are field lines, ended by CRLF. net/http takes 2,000 instructions to
	// copy, sort, check and write each field it is given, of 60,000 for a request;
	// these go past it, and are made once a connection.
	fields string

	// rest holds what was received but not yet handed out. net/http never has
	// two Reads under way.
	rest []byte

	mu    sync.Mutex // guards the following; net/http may read while a handler runs
	phase phase
	head  *buffer // in inHead and headRead, its lines ended by \n; nil until its first byte

	skipped int // bytes of empty lines before the next request line

	// After a head, net/http reads one byte ahead to see a client go.
	ahead    byte
	hasAhead bool

	readDeadline deadline
	reading      bool // halfCloser.Read is under way

	left    int64  // in inBody: bytes to its end; in inChunked: to the end of the chunk
	line    []byte // in inChunked: the chunk-size or trailer line so far; net/http refuses long ones
	trailer bool   // in inChunked: past the last chunk
}

type connKey struct{}

// withConn is an http.Server's ConnContext, for connOf.
func withConn(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, c)
}

// connOf returns the connection that r arrived on, or nil if it isn't one that
// keeps heads, as none does for HTTP/2.
func connOf(r *http.Request) *conn {
	if r.ProtoMajor != 1 {
		return nil
	}
	c, _ := r.Context().Value(connKey{}).(*conn)
	return c
}

// A phase says what the next byte of a connection belongs to.
type phase int

const (
	inHead    phase = iota
	headRead        // a head is complete and its handler hasn't asked for it yet
	inBody          // of known length
	inChunked       // a chunked body
	unknown         // nothing is kept any more; HTTP/2 connections end up here
)

// A buffer holds a head, a response or a line of the log, for as long as it takes.
type buffer []byte

// buffers are those not in use.
var buffers = sync.Pool{New: func() any { return new(buffer) }}

// freeBuffer gives a buffer back, or nil.
func freeBuffer(b *buffer) {
	if b != nil && cap(*b) <= 16<<10 { // so that a rare large one doesn't stay
		*b = (*b)[:0]
		buffers.Put(b)
	}
}

func (c *conn) Read(p []byte) (n int, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.phase == inBody {
		p = p[:min(int64(len(p)), c.left)]
	}
	for {
		b, fromRest := c.rest, len(c.rest) > 0
		if !fromRest {
			n, err = c.receive(p)
			b = p[:n]
		}
		skipped := c.skipEmptyLines(b)
		b = b[skipped:]
		n = c.note(b[:min(len(b), len(p))])
		copy(p, b[:n])
		switch b = b[n:]; {
		case len(b) == 0:
			c.rest = nil
		case fromRest:
			c.rest = b
		default:
			c.rest = bytes.Clone(b)
			err = nil // it comes again after rest
		}
		if n > 0 || err != nil || skipped == 0 {
			return n, err
		}
	}
}

// started is when the process started. net/http ends a Read by a deadline before it.
var started = time.Now()

// receive reads from the client. It lets go of c.mu meanwhile.
func (c *conn) receive(p []byte) (int, error) {
	if at := c.readDeadline.at; at.Before(started) && !at.IsZero() {
		return 0, os.ErrDeadlineExceeded // so that net/http needn't wake a Read it has no use for
	}
	if c.readDeadline.due() {
		c.halfCloser.SetReadDeadline(c.readDeadline.at)
	}
	c.reading = true
	c.mu.Unlock()
	n, err := c.halfCloser.Read(p)
	c.mu.Lock()
	c.reading = false
	return n, err
}

// A deadline is that of a conn's Reads or of its Writes. net/http moves both, some
// eight times a request in all, which takes a tenth of its instructions. So one is
// passed on only when there is a Read or Write for it to end, and only when it has
// moved by a second or more: it may come that much early.
type deadline struct {
	at    time.Time // zero for none
	armed time.Time // what was passed on
}

// due reports whether d is to be passed on, and takes it that it is.
func (d *deadline) due() bool {
	if later := d.at.Sub(d.armed); 0 <= later && later < time.Second {
		return false
	}
	d.armed = d.at
	return true
}

func (c *conn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	c.readDeadline.at = t
	due := c.reading && c.readDeadline.due()
	c.mu.Unlock()
	if due {
		return c.halfCloser.SetReadDeadline(t)
	}
	return nil
}

// SetWriteDeadline is for the Writes to come: net/http doesn't call it during one.
func (c *conn) SetWriteDeadline(t time.Time) error {
	c.writeDeadline.at = t
	return nil
}

// Write adds fields after the status line, with which net/http begins a Write.
func (c *conn) Write(p []byte) (int, error) {
	if c.writeDeadline.due() {
		c.halfCloser.SetWriteDeadline(c.writeDeadline.at)
	}
	if !c.addFields {
		return c.halfCloser.Write(p)
	}
	c.addFields = false
	b := buffers.Get().(*buffer)
	defer freeBuffer(b)
	statusLine := bytes.IndexByte(p, '\n') + 1
	*b = append(*b, p[:statusLine]...)
	*b = append(*b, c.fields...)
	*b = append(*b, p[statusLine:]...)
	n, err := c.halfCloser.Write(*b)
	return max(0, n-len(c.fields)), err
}

// skipEmptyLines returns how many bytes at the start of b are empty lines before
// a request line, which RFC 9112 section 2.2 has a server ignore: four bytes of CR
// and LF in all, as net/http does after a POST.
func (c *conn) skipEmptyLines(b []byte) int {
	if c.phase == inHead && c.head != nil || c.phase == headRead && c.hasAhead || c.phase > headRead {
		return 0
	}
	n := 0
	for n < len(b) && (b[n] == '\r' || b[n] == '\n') && c.skipped < 4 {
		c.skipped++
		n++
	}
	return n
}

// How long, and how many bytes more, a client that is told it sent too much may go
// on to send.
const (
	lingerTimeout = 5 * time.Second
	lingerBytes   = 64 << 20
)

// CloseWrite tells the client that the response is over, and then drops what it
// still sends. net/http closes the connection next; with bytes unread, that would
// reset it and could take the response from the client (RFC 9112 section 9.6).
func (c *conn) CloseWrite() error {
	err := c.halfCloser.CloseWrite()
	c.halfCloser.SetReadDeadline(time.Now().Add(lingerTimeout))
	io.CopyN(io.Discard, c.halfCloser, lingerBytes)
	return err
}

// note takes note of p, received next, and returns how much of it may be handed
// out now.
func (c *conn) note(p []byte) int {
	switch c.phase {
	case inHead:
		return c.noteHead(p)
	case headRead:
		if len(p) == 1 && !c.hasAhead {
			c.ahead, c.hasAhead = p[0], true
		} else if len(p) > 0 {
			c.lose()
		}
	case inBody:
		if c.left -= int64(len(p)); c.left == 0 {
			c.phase = inHead
		}
	case inChunked:
		return c.noteChunked(p)
	}
	return len(p)
}

// lose gives up on the connection's framing, for good.
func (c *conn) lose() {
	c.phase, c.head, c.line = unknown, nil, nil
}

// noteHead records p up to the end of the head, which is the first empty line that
// follows another line. Lines end in CRLF or, as net/http takes it, LF.
func (c *conn) noteHead(p []byte) int {
	if c.head == nil && len(p) > 0 {
		c.head = buffers.Get().(*buffer)
	}
	for n := 0; n < len(p); {
		end := bytes.IndexByte(p[n:], '\n') + 1
		if end == 0 {
			*c.head = append(*c.head, p[n:]...)
			break
		}
		text := append(*c.head, p[n:n+end]...)
		n += end
		if last := len(text) - 2; last >= 0 && text[last] == '\r' {
			text[last] = '\n'
			text = text[:last+1]
		}
		if last := len(text) - 2; last >= 0 && text[last] == '\n' {
			*c.head = text[:last+1]
			c.phase, c.skipped = headRead, 0
			return n
		}
		*c.head = text
	}
	return len(p)
}

// noteChunked follows p through a chunked body (RFC 9112 section 7.1) and
// returns how much of p is part of it. What net/http refuses and noteChunked
// doesn't see, such as data that runs past its chunk, ends the connection.
func (c *conn) noteChunked(p []byte) int {
	for i := 0; i < len(p); {
		if c.left > 0 {
			n := min(c.left, int64(len(p)-i))
			c.left -= n
			i += int(n)
			continue
		}
		line, _, ended := bytes.Cut(p[i:], []byte("\n"))
		c.line = append(c.line, line...)
		i += len(line)
		if !ended {
			break
		}
		i++
		line = bytes.TrimSuffix(c.line, []byte("\r"))
		c.line = c.line[:0]
		switch {
		case c.trailer && len(line) == 0:
			c.phase, c.line, c.trailer = inHead, nil, false
			return i
		case !c.trailer:
			size, _, _ := bytes.Cut(line, []byte(";"))
			n, err := strconv.ParseUint(string(bytes.TrimRight(size, " \t")), 16, 62)
			switch {
			case err != nil:
				c.lose()
				return len(p)
			case n == 0:
				c.trailer = true
			default:
				c.left = int64(n) + 2 // with the CRLF that ends the chunk
			}
		}
	}
	return len(p)
}

// takeHead returns the head of the request that net/http has just read, without the
// empty line at its end, or nil if it isn't known. It must be called once for each
// request, before the body is read, with the Request's ContentLength: net/http's
// word on how the body is framed. freeBuffer takes the head back.
func (c *conn) takeHead(contentLength int64) *buffer {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.phase != headRead || c.hasAhead && contentLength != 0 {
		c.lose()
		return nil
	}
	head := c.head
	c.head = nil
	switch {
	case contentLength > 0:
		c.phase, c.left = inBody, contentLength
	case contentLength < 0:
		c.phase = inChunked
	default:
		c.phase = inHead
		if c.hasAhead {
			c.hasAhead = false
			c.noteHead([]byte{c.ahead})
		}
	}
	return head
}
