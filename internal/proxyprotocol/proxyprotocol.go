// Package proxyprotocol takes the header of the PROXY protocol off connections, versions 1 and 2, as
// https://www.haproxy.org/download/3.4/doc/proxy-protocol.txt has them. A proxy says by it for whom it
// connects.
//
// On the way of a request it stands between the slot and TLS. It shows what arrived and believes nothing:
// the address of a connection stays that of its socket.
package proxyprotocol

import (
	"bytes"
	"errors"
	"net"
	"os"
	"slices"
	"sync/atomic"

	"github.com/pires/go-proxyproto"

	"httpserver/internal/below"
	"httpserver/internal/linger"
)

// A listener accepts connections that may begin with a header.
type listener struct {
	net.Listener
	required bool
	failed   func(nc net.Conn, line []byte, err error)
}

// Listener returns ln, whose connections may begin with a header, or must where that is required. The
// header is read with the first Read of a connection, and a deadline of that Read holds for it too. A
// connection whose header is wrong, or missing where required, ends. failed is told of it, with the first line
// of what came, or 16 bytes where that is version 2, unless nothing came.
func Listener(ln net.Listener, required bool, failed func(nc net.Conn, line []byte, err error)) net.Listener {
	return listener{ln, required, failed}
}

func (l listener) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &conn{Conn: nc, of: l}, nil
}

// A conn is a connection without its header.
type conn struct {
	net.Conn
	of     listener
	header atomic.Pointer[Header] // nil where none came, or not yet
	isRead bool                   // the header, or that there is none
	rest   []byte                 // received with the header, and to be handed on
	err    error                  // of what was received with it
}

// Of returns the header of nc, or of a connection below it, or nil where there is none.
func Of(nc net.Conn) *Header {
	if c, ok := below.Find[*conn](nc); ok {
		return c.header.Load()
	}
	return nil
}

// NetConn returns the connection below, as a tls.Conn's does.
func (c *conn) NetConn() net.Conn { return c.Conn }

// Socket returns the connection that may be written to in c's stead: only what is read is watched.
func (c *conn) Socket() net.Conn {
	if w, ok := c.Conn.(interface{ Socket() net.Conn }); ok {
		return w.Socket()
	}
	return c.Conn
}

// CloseWrite closes the sending side, where the connection below can.
func (c *conn) CloseWrite() error { return linger.HalfClose(c.Conn) }

func (c *conn) Read(p []byte) (int, error) {
	if !c.isRead {
		c.rest, c.err = c.readHeader()
		c.isRead = true
	}
	switch {
	case len(c.rest) > 0:
		n := copy(p, c.rest)
		if c.rest = c.rest[n:]; len(c.rest) == 0 {
			c.rest = nil
		}
		return n, nil
	case c.err != nil:
		return 0, c.err
	}
	return c.Conn.Read(p)
}

// errHeader is in the chain of what Read returns where the header isn't right. failed has been told then.
var errHeader = errors.New("no right PROXY protocol header")

var (
	errMissing = errors.New("no PROXY protocol header, which -proxyprotocol=require asks for")
	errLate    = errors.New("PROXY protocol header not whole in time")
	errCut     = errors.New("the client closed before the PROXY protocol header was whole")
	errClosed  = errors.New("closed before the PROXY protocol header was whole")
)

// readHeader receives the header. It returns what came behind it, and the error that comes behind that.
func (c *conn) readHeader() (rest []byte, err error) {
	var got []byte
	for {
		size, why := headerSize(got)
		switch {
		case why == errNone && !c.of.required:
			return got, nil
		case why == errNone:
			return nil, c.fail(got, errMissing)
		case why != nil:
			return nil, c.fail(got, why)
		case size <= len(got):
			h, why := parse(got[:size])
			if why != nil {
				return nil, c.fail(got, why)
			}
			c.header.Store(h)
			return slices.Clone(got[size:]), nil
		}
		got = slices.Grow(got, max(size-len(got), readAhead))
		n, err := c.Conn.Read(got[len(got):cap(got)])
		got = got[:len(got)+n]
		switch {
		case n > 0 || err == nil:
		case len(got) == 0 || !c.of.required && !isBegun(got): // nothing, or what may be the begin of a request as well
			return got, err
		case errors.Is(err, os.ErrDeadlineExceeded):
			return nil, c.fail(got, errLate)
		case errors.Is(err, net.ErrClosed):
			return nil, c.fail(got, errClosed)
		default:
			return nil, c.fail(got, errCut)
		}
	}
}

// readAhead is what may be received with a header at once, in bytes.
const readAhead = 512

// fail tells why the connection ends, on which got came. It returns an error on which net/http answers nothing.
func (c *conn) fail(got []byte, why error) error {
	line := got[:min(len(got), fixedV2)] // not more: a request with credentials may be behind it
	if !bytes.HasPrefix(got, proxyproto.SIGV2[:min(len(got), len(proxyproto.SIGV2))]) {
		line, _, _ = bytes.Cut(bytes.TrimLeft(got, "\r\n"), []byte("\n"))
		line = bytes.TrimSuffix(line, []byte("\r"))
	}
	c.of.failed(c, line, why)
	return &net.OpError{Op: "read", Err: errHeader}
}
