package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"syscall"
	"time"

	"github.com/golang/glog"
)

// This file holds what is done with a client from the time the kernel has it until
// net/http does: TCP, then TLS, then the connection that keeps heads.

// newListener returns ln with connections that keep heads, within l, over TLS unless
// config is nil.
func newListener(ln net.Listener, config *tls.Config, l *limits) net.Listener {
	if l.bounded {
		boundBuffers(ln, l.queue)
	}
	clear := listener{Listener: ln, limits: l}
	clear.open, clear.cancel = context.WithCancel(context.Background())
	go clear.sweep()
	if config == nil {
		return clear
	}
	return newTLSListener(clear, config)
}

// What the kernel is asked to buffer of a connection, in bytes. It takes twice as much, and
// unasked up to some MB, which count in a pod.
const (
	receiveBuffer = 8 << 10
	sendBuffer    = 8 << 10
)

// boundBuffers has connections that come to ln buffered as said above, and so many of them wait in
// the kernel for a slot, unless net.core.somaxconn says less. They have the sizes of their listener
// (tcp(7)).
func boundBuffers(ln net.Listener, queue int) {
	onSocket(ln, func(fd int) {
		syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_RCVBUF, receiveBuffer)
		syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_SNDBUF, sendBuffer)
		syscall.Listen(fd, queue)
	})
}

// onSocket calls f with the descriptor of a connection or listener, if that is the kernel's.
func onSocket(c any, f func(fd int)) {
	if sc, ok := c.(syscall.Conn); ok {
		if raw, err := sc.SyscallConn(); err == nil {
			raw.Control(func(fd uintptr) { f(int(fd)) })
		}
	}
}

// A listener accepts connections in the clear. Those that find no slot wait for one in the kernel,
// but the first.
type listener struct {
	net.Listener
	limits *limits
	open   context.Context // until Close
	cancel context.CancelFunc
}

func (l listener) Accept() (net.Conn, error) {
	s, err := l.acceptSlot()
	if err != nil {
		return nil, err
	}
	return newConn(s.Conn.(halfCloser), s, l.limits, logRefused), nil
}

func (l listener) acceptSlot() (*slot, error) {
	nc, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return l.limits.slots.acquire(l.open, nc)
}

// sweepTime is how often connections are looked for that have been idle for too long. Those of
// HTTP/1 net/http has closed by then, or gives headTimeout for another head.
const sweepTime = 10 * time.Second

func (l listener) sweep() {
	again := time.NewTicker(sweepTime)
	defer again.Stop()
	for {
		select {
		case now := <-again.C:
			l.limits.slots.sweep(now.Add(-idleTimeout - headTimeout))
		case <-l.open.Done():
			return
		}
	}
}

func (l listener) Close() error {
	l.cancel()
	return l.Listener.Close()
}

// A tlsListener accepts connections that have agreed on TLS. It ends here and not in
// net/http, for the connections to see the plain bytes.
type tlsListener struct {
	listener
	config *tls.Config
	conns  chan net.Conn
	failed chan error // of Listener.Accept
}

func newTLSListener(ln listener, config *tls.Config) *tlsListener {
	l := &tlsListener{listener: ln, config: config, conns: make(chan net.Conn), failed: make(chan error)}
	go l.acceptTCP()
	return l
}

// acceptTCP has a handshake with each client, all at once, until the listener is closed.
func (l *tlsListener) acceptTCP() {
	for {
		s, err := l.acceptSlot()
		if err == nil {
			go l.handshake(s)
			continue
		}
		select {
		case l.failed <- err: // net/http waits before it accepts again
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
	errSlowHandshake  = fmt.Errorf("not done within %v", headTimeout)
	errLargeHandshake = fmt.Errorf("client sent over %d bytes", maxHandshake)
	errPlainHTTP      = errors.New("client sent an HTTP request to an HTTPS server")
)

// A boundedConn reads of the connection what r does.
type boundedConn struct {
	*slot
	r *io.LimitedReader
}

func (c boundedConn) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.noteRead(n)
	return n, err
}

// handshake makes s's connection ready to be accepted. A client that speaks plain HTTP is told
// so, as by net/http.
func (l *tlsListener) handshake(s *slot) {
	ctx, cancel := context.WithTimeoutCause(l.open, headTimeout, errSlowHandshake)
	defer cancel()
	bound := &io.LimitedReader{R: s, N: maxHandshake}
	tc := tls.Server(boundedConn{s, bound}, l.config)
	if err := tc.HandshakeContext(ctx); err != nil {
		var notTLS tls.RecordHeaderError
		switch {
		case ctx.Err() != nil:
			err = context.Cause(ctx)
		case errors.As(err, &notTLS) && 'A' <= notTLS.RecordHeader[0] && notTLS.RecordHeader[0] <= 'Z':
			io.WriteString(s, "HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n")
			err = errPlainHTTP
		case bound.N == 0:
			err = errLargeHandshake
		}
		if l.open.Err() == nil {
			peer, why := s.RemoteAddr(), fmt.Sprintf("%.*s", maxLoggedLine, err) // copies
			later(len(why), func() { glog.Errorf("TLS handshake with %v: %s", peer, why) })
			newConn(s, s, l.limits, nil).CloseWrite() // for the client to read the answer or alert
		}
		s.Close()
		return
	}
	bound.N = math.MaxInt64
	c := overTLS(tc, s, l.limits)
	select {
	case l.conns <- c:
	case <-l.open.Done():
		c.Close()
	}
}

func (l *tlsListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case err := <-l.failed:
		return nil, err
	case <-l.open.Done():
		return nil, net.ErrClosed
	}
}
