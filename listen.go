package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/golang/glog"
)

// This file holds what is done with a client from the time the kernel has it until
// net/http does: TCP, then TLS, then the connection that keeps heads.

// newListener returns ln with connections that keep heads, over TLS unless config is
// nil.
func newListener(ln net.Listener, config *tls.Config) net.Listener {
	if config == nil {
		return listener{ln}
	}
	return newTLSListener(ln, config)
}

// A listener accepts connections in the clear.
type listener struct{ net.Listener }

func (l listener) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return newConn(nc.(halfCloser), logRefused), nil
}

// A tlsListener accepts connections that have agreed on TLS. It ends here and not in
// net/http, for the connections to see the plain bytes.
type tlsListener struct {
	net.Listener
	config *tls.Config
	conns  chan net.Conn
	errs   chan error      // of Listener.Accept
	open   context.Context // until Close
	cancel context.CancelFunc
}

func newTLSListener(ln net.Listener, config *tls.Config) *tlsListener {
	l := &tlsListener{Listener: ln, config: config, conns: make(chan net.Conn), errs: make(chan error)}
	l.open, l.cancel = context.WithCancel(context.Background())
	go l.acceptTCP()
	return l
}

// acceptTCP has a handshake with each client, all at once.
func (l *tlsListener) acceptTCP() {
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

var errSlowHandshake = fmt.Errorf("not done within %v", headTimeout)

// handshake makes nc ready to be accepted. A client that speaks plain HTTP is told
// so, as by net/http.
func (l *tlsListener) handshake(nc net.Conn) {
	ctx, cancel := context.WithTimeoutCause(l.open, headTimeout, errSlowHandshake)
	defer cancel()
	tc := tls.Server(nc, l.config)
	if err := tc.HandshakeContext(ctx); err != nil {
		var notTLS tls.RecordHeaderError
		if errors.As(err, &notTLS) && 'A' <= notTLS.RecordHeader[0] && notTLS.RecordHeader[0] <= 'Z' {
			io.WriteString(nc, "HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n")
			err = errors.New("client sent an HTTP request to an HTTPS server")
		}
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		if l.open.Err() == nil {
			later(0, func() { glog.Errorf("TLS handshake with %v: %v", nc.RemoteAddr(), err) })
		}
		nc.Close()
		return
	}
	c := overTLS(tc)
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
	case err := <-l.errs:
		return nil, err
	case <-l.open.Done():
		return nil, net.ErrClosed
	}
}

// Close ends handshakes too.
func (l *tlsListener) Close() error {
	l.cancel()
	return l.Listener.Close()
}
