package rawhead

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"strings"
	"time"

	"golang.org/x/sync/semaphore"

	"httpserver/internal/head"
	"httpserver/internal/rawhead/http2"
)

// This file holds what rawhead needs of an http.Server, and how a handler gets at its head.

// Options say what there is memory for, and who is told of what.
type Options struct {
	Memory  *semaphore.Weighted               // for large heads, and for requests of HTTP/2; nil for no limit
	Refused func(Refusal)                     // is told of each request that no handler gets; nil for nobody
	Closed  func(nc net.Conn) <-chan struct{} // of a connection accepted: is closed once somebody else has closed it; nil for nobody does
}

// A server is an http.Server whose connections keep heads.
type server struct {
	options                   Options
	handler                   http.Handler
	context                   func(context.Context, net.Conn) context.Context // or nil
	state                     func(net.Conn, http.ConnState)                  // or nil
	headTimeout, writeTimeout time.Duration
	maxHead, maxOpen          int
}

// serveHeads has srv serve ln, for takeHead to know the heads of its requests. A connection may be
// a *tls.Conn whose handshake is done.
//
// srv.MaxHeaderBytes is the largest head, each field counted 32 bytes longer than it is, as over
// HTTP/2. Larger ones get 431. srv.ReadHeaderTimeout bounds header blocks of HTTP/2 too. srv.ConnState
// is told that a connection of HTTP/2 is new until its first request has come.
func Serve(srv *http.Server, ln net.Listener, o Options) error {
	if o.Refused == nil {
		o.Refused = func(Refusal) {}
	}
	s := &server{options: o, handler: srv.Handler, context: srv.ConnContext, state: srv.ConnState, headTimeout: srv.ReadHeaderTimeout, writeTimeout: srv.WriteTimeout,
		maxHead: srv.MaxHeaderBytes, maxOpen: srv.HTTP2.MaxConcurrentStreams}
	srv.Handler, srv.ConnState, srv.ConnContext = s, s.noteState, s.withConn
	srv.MaxHeaderBytes = 2*s.maxHead + http2.MarkerSize - http2Slack // over HTTP/2 we answer up to twice the limit, over HTTP/1 any
	srv.HTTP2.MaxReadFrameSize, srv.HTTP2.MaxDecoderHeaderTableSize = http2.MaxFrame, http2.TableSize
	boundFields(srv)
	withoutIdleTimer(srv)
	return srv.Serve(headListener{ln, s})
}

// http2Slack is what net/http takes over HTTP/2 beyond MaxHeaderBytes.
const http2Slack = 10 * head.FieldCost

// account returns that of a new connection.
func (s *server) account() account {
	return account{memory: s.options.Memory, maxHead: s.maxHead, maxOpen: s.maxOpen, refused: func() {
		s.options.Refused(Refusal{Status: http.StatusServiceUnavailable})
	}}
}

// A headListener accepts connections that keep heads.
type headListener struct {
	net.Listener
	server *server
}

func (l headListener) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	if tc, ok := nc.(*tls.Conn); ok {
		return overTLS(tc, l.server), nil
	}
	return newConn(nc.(halfCloser), l.server), nil
}

// overTLS returns the conn over tc, whose handshake is done. net/http takes HTTP/2 from
// it as it does in the clear, and refuses it by itself over what HTTP/2 prohibits.
func overTLS(tc *tls.Conn, s *server) net.Conn {
	state := tc.ConnectionState()
	if prohibited(state) {
		return tc
	}
	c := newConn(tc, s)
	if state.NegotiatedProtocol != http2ALPN {
		return tlsConn{c, tc}
	}
	c.tls = &state
	return c
}

// http2ALPN is the name by which TLS clients agree on HTTP/2 (RFC 9113 section 3.2).
const http2ALPN = "h2"

// prohibited reports whether state is of HTTP/2 over what it prohibits: all of TLS 1.2
// but those with ephemeral keys and AEAD (RFC 9113 section 9.2.2).
func prohibited(state tls.ConnectionState) bool {
	suite := tls.CipherSuiteName(state.CipherSuite)
	return state.NegotiatedProtocol == http2ALPN && state.Version == tls.VersionTLS12 &&
		!(strings.HasPrefix(suite, "TLS_ECDHE_") && (strings.Contains(suite, "_GCM_") || strings.Contains(suite, "_POLY1305_")))
}

// A tlsConn is a conn of HTTP/1 over TLS. Through ConnectionState net/http fills in
// Request.TLS, and learns that HTTP/2 is not to be expected.
type tlsConn struct {
	*conn
	tls *tls.Conn
}

func (c tlsConn) ConnectionState() tls.ConnectionState { return c.tls.ConnectionState() }

type connKey struct{}

// withConn is an http.Server's ConnContext.
func (s *server) withConn(ctx context.Context, nc net.Conn) context.Context {
	if s.context != nil {
		ctx = s.context(ctx, nc)
	}
	return context.WithValue(ctx, connKey{}, connOf(nc))
}

// connOf returns the conn that nc is, or nil.
func connOf(nc net.Conn) *conn {
	switch nc := nc.(type) {
	case *conn:
		return nc
	case tlsConn:
		return nc.conn
	}
	return nil
}

// noteState is an http.Server's ConnState.
func (s *server) noteState(nc net.Conn, state http.ConnState) {
	c := connOf(nc)
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.http2 != nil && !c.http2.HasBegun(): // net/http has a connection of HTTP/2 begin idle
		state = http.StateNew
	case state == http.StateIdle:
		c.handled.Store(false)
		c.tracker().Idle()
		c.account.resize(0)
	}
	if s.state != nil {
		s.state(nc, state)
	}
}
