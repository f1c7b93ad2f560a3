// Package rawhead keeps the heads of requests as they arrived, beside net/http, which edits them:
// names as they were spelt, order, repeats, and over HTTP/2 the pseudo-fields too.
//
//	func main() {
//		ln, err := net.Listen("tcp", "localhost:8000")
//		if err != nil {
//			log.Fatal(err)
//		}
//		srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
//			rawhead.Of(r).OrView(r).WriteText(w, r)
//		})}
//		log.Fatal(rawhead.Serve(srv, ln, rawhead.Options{}))
//	}
//
// On the way of a request it stands between TLS and net/http: net/http reads from a connection of
// this package, in which a tracker, one for each version of HTTP, follows the bytes that pass. Over
// HTTP/1 they pass unchanged. Over HTTP/2 each request gets one field more, which names its head,
// and is taken out before a handler sees the request. Where the tracker isn't certain, it keeps
// nothing for the rest of the connection: what is shown is right or absent.
package rawhead

import (
	"cmp"
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

// This file holds what an http.Server needs for its connections to keep heads.

// Options say what there is memory for, and who is told of what. All may be nil.
type Options struct {
	// Memory is what heads over 4 KiB, and requests of HTTP/2 beside others, acquire, in bytes. It
	// is to be at least HeadCopies times srv.MaxHeaderBytes. Without it there is no limit but
	// that of each connection of HTTP/2: 18 MiB, or 8 times srv.MaxHeaderBytes where that is more.
	Memory *semaphore.Weighted

	// Refused is told of each request that no handler gets. It must not block, nor use the
	// connection.
	Refused func(Refusal)

	// Closed returns a channel that is closed with nc, which the listener gave, whoever closes it. Where it is
	// before net/http closes nc, the log says that somebody else did.
	Closed func(nc net.Conn) <-chan struct{}
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

// Serve serves ln as srv.Serve does, and keeps the heads of its requests for Of. It is to be called
// once. ln may give connections of TLS: each a *tls.Conn whose handshake is done.
//
// srv.MaxHeaderBytes is the largest head, counting 32 bytes more for each field, as HTTP/2 counts
// (RFC 9113 section 6.5.2). A larger one gets 431. srv.ReadHeaderTimeout is also what a header block
// of HTTP/2 has to come whole. srv.ConnState and srv.ConnContext are told of the connections that ln
// gave, and that one of HTTP/2 is new until its first request has come.
//
// Where srv.Protocols has HTTP/2, it is taken in the clear too, by prior knowledge. OPTIONS * is for
// the handler. Request.Trailer isn't filled over HTTP/2.
func Serve(srv *http.Server, ln net.Listener, o Options) error {
	if o.Refused == nil {
		o.Refused = func(Refusal) {}
	}
	if srv.Handler == nil {
		srv.Handler = http.DefaultServeMux
	}
	if srv.MaxHeaderBytes <= 0 {
		srv.MaxHeaderBytes = http.DefaultMaxHeaderBytes
	}
	if srv.Protocols == nil {
		srv.Protocols = new(http.Protocols)
		srv.Protocols.SetHTTP1(true)
		srv.Protocols.SetHTTP2(true)
	}
	srv.Protocols.SetUnencryptedHTTP2(srv.Protocols.HTTP2()) // net/http sees no TLS
	var config http.HTTP2Config
	if srv.HTTP2 != nil {
		config = *srv.HTTP2
	}
	config.MaxConcurrentStreams = cmp.Or(config.MaxConcurrentStreams, 100)
	config.MaxReadFrameSize, config.MaxDecoderHeaderTableSize = http2.MaxFrame, http2.TableSize
	s := &server{options: o, handler: srv.Handler, context: srv.ConnContext, state: srv.ConnState,
		headTimeout: cmp.Or(srv.ReadHeaderTimeout, srv.ReadTimeout), writeTimeout: srv.WriteTimeout,
		maxHead: srv.MaxHeaderBytes, maxOpen: config.MaxConcurrentStreams}
	srv.Handler, srv.ConnState, srv.ConnContext, srv.HTTP2 = s, s.noteState, s.withConn, &config
	srv.MaxHeaderBytes = 2*s.maxHead + http2.MarkerSize - http2Slack // over HTTP/2 we answer up to twice the limit, over HTTP/1 any
	srv.DisableGeneralOptionsHandler = true                          // it would answer OPTIONS * past us
	boundFields(srv)
	withoutIdleTimer(srv)
	return srv.Serve(headListener{ln, s})
}

// http2Slack is what net/http takes over HTTP/2 beyond MaxHeaderBytes.
const http2Slack = 10 * head.FieldCost

// account returns that of nc.
func (s *server) account(nc net.Conn) account {
	return account{memory: s.options.Memory, maxHead: s.maxHead, maxOpen: s.maxOpen, tell: func(r Refusal) {
		r.Conn = nc
		s.options.Refused(r)
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
	if hc, ok := nc.(halfCloser); ok {
		return newConn(hc, l.server), nil
	}
	return nc, nil // its heads are as net/http has them
}

// overTLS returns the conn over tc, whose handshake is done. net/http takes HTTP/2 from
// it as it does in the clear, and refuses it by itself over what HTTP/2 prohibits.
func overTLS(tc *tls.Conn, s *server) net.Conn {
	state := tc.ConnectionState()
	if prohibited(state) {
		s.options.Refused(Refusal{Conn: tc, Reason: "HTTP/2 over " + tls.CipherSuiteName(state.CipherSuite) + ", which it prohibits"})
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

// withConn is a ConnContext.
func (s *server) withConn(ctx context.Context, nc net.Conn) context.Context {
	if s.context != nil {
		ctx = s.context(ctx, given(nc))
	}
	return context.WithValue(ctx, connKey{}, connOf(nc))
}

// given returns the connection that the listener gave for nc.
func given(nc net.Conn) net.Conn {
	if c := connOf(nc); c != nil {
		return c.halfCloser
	}
	return nc
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

// noteState is a ConnState.
func (s *server) noteState(nc net.Conn, state http.ConnState) {
	if c := connOf(nc); c != nil {
		state = c.noteState(state)
	}
	if s.state != nil {
		s.state(given(nc), state)
	}
}

// noteState returns the state to be told for the one that net/http tells.
func (c *conn) noteState(state http.ConnState) http.ConnState {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.http2 != nil && !c.http2.HasBegun() && state != http.StateClosed: // net/http has a connection of HTTP/2 begin idle
		return http.StateNew
	case c.http2 != nil && state == http.StateIdle:
		c.http2.Idle()
	case state == http.StateIdle:
		c.handled.Store(false)
		c.http1.Idle()
		c.account.resize(0)
		c.readError = nil // net/http may have ended a Read that it began while the handler ran
	case state == http.StateHijacked:
		c.http1.Pass()
	}
	return state
}
