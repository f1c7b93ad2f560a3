// Package handshake has clients agree on TLS before net/http sees them.
//
// On the way of a request it stands between the slot and the head: rawhead is to see the plain bytes.
package handshake

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"time"

	"httpserver/internal/below"
	"httpserver/internal/clienthello"
	"httpserver/internal/linger"
)

// A tlsListener accepts connections whose handshake is done: each is a *tls.Conn.
type tlsListener struct {
	net.Listener
	config  *tls.Config
	timeout time.Duration // of a handshake
	failed  func(nc net.Conn, err error)
	open    context.Context // until Close
	cancel  context.CancelFunc
	conns   chan net.Conn
	errs    chan error // of Listener.Accept
}

// Listener returns ln over TLS. Each connection that it accepts is a *tls.Conn whose handshake is done, and
// of which Hello says what the client offered: config must not have a GetConfigForClient. A client has timeout
// for the handshake, and 16 KiB. failed is told of each that fails, unless its client sent nothing. Other
// handshakes don't wait for a slow one.
func Listener(ln net.Listener, config *tls.Config, timeout time.Duration, failed func(nc net.Conn, err error)) net.Listener {
	config = config.Clone()
	config.GetConfigForClient = keepHello
	l := &tlsListener{Listener: ln, config: config, timeout: timeout, failed: failed, conns: make(chan net.Conn), errs: make(chan error)}
	l.open, l.cancel = context.WithCancel(context.Background())
	go l.acceptAll()
	return l
}

// acceptAll has a handshake with each client, all at once, until the listener is closed.
func (l *tlsListener) acceptAll() {
	for {
		nc, err := l.Listener.Accept()
		if err == nil {
			go l.handshake(nc)
			continue
		}
		select {
		case l.errs <- err: // net/http waits before it accepts again
		case <-l.open.Done():
			return
		}
	}
}

// maxHandshake is the most that a client may send to agree on TLS, in bytes. Its
// certificates may take 75 times theirs.
const maxHandshake = 16 << 10

// Why a handshake failed, where crypto/tls doesn't know.
var (
	errLargeHandshake = fmt.Errorf("client sent over %d bytes", maxHandshake)
	errProxy          = errors.New("client sent a PROXY protocol header: see -proxyprotocol")
	errPlainHTTP      = errors.New("client sent an HTTP request to an HTTPS server")
)

// A boundedConn reads of the connection what r does, and keeps what its client offered.
type boundedConn struct {
	net.Conn
	r     *io.LimitedReader
	hello *clienthello.Hello // or nil; not written to after the handshake
}

func (c *boundedConn) Read(p []byte) (int, error) { return c.r.Read(p) }

// NetConn returns the connection below, as a tls.Conn's does.
func (c *boundedConn) NetConn() net.Conn { return c.Conn }

// keepHello keeps the hello of a client. It is a tls.Config's GetConfigForClient: by nil the handshake goes
// on with that Config.
func keepHello(info *tls.ClientHelloInfo) (*tls.Config, error) {
	info.Conn.(*boundedConn).hello = clienthello.Keep(info)
	return nil, nil
}

// Hello returns what the client of nc offered, a connection that Listener gave or one over it. It returns nil
// where that isn't known.
func Hello(nc net.Conn) *clienthello.Hello {
	if c, ok := below.Find[*boundedConn](nc); ok {
		return c.hello
	}
	return nil
}

// handshake makes nc ready to be accepted. A client that speaks plain HTTP is told so, as by
// net/http.
func (l *tlsListener) handshake(nc net.Conn) {
	nc.SetDeadline(time.Now().Add(l.timeout))
	bound := &io.LimitedReader{R: nc, N: maxHandshake}
	tc := tls.Server(&boundedConn{Conn: nc, r: bound}, l.config)
	if err := tc.HandshakeContext(l.open); err != nil {
		var notTLS tls.RecordHeaderError
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			err = fmt.Errorf("not done within %v", l.timeout)
		case errors.As(err, &notTLS) && (string(notTLS.RecordHeader[:]) == "PROXY" || string(notTLS.RecordHeader[:]) == "\r\n\r\n\x00"):
			err = errProxy
		case errors.As(err, &notTLS) && 'A' <= notTLS.RecordHeader[0] && notTLS.RecordHeader[0] <= 'Z':
			io.WriteString(nc, "HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n")
			err = errPlainHTTP
		case bound.N == 0:
			err = errLargeHandshake
		}
		if l.open.Err() == nil && bound.N < maxHandshake {
			l.failed(nc, err)
			linger.CloseWrite(nc) // for the client to read the answer or alert
		}
		nc.Close()
		return
	}
	bound.N = math.MaxInt64
	nc.SetDeadline(time.Time{})
	select {
	case l.conns <- tc:
	case <-l.open.Done():
		tc.Close()
	}
}

func (l *tlsListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case err := <-l.errs:
		return nil, err
	case <-l.open.Done():
		return nil, net.ErrClosed
	}
}

func (l *tlsListener) Close() error {
	l.cancel()
	return l.Listener.Close()
}
