package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"log"
	"net"
	"net/http"
	"time"

	"httpserver/internal/handshake"
	"httpserver/internal/logging"
	"httpserver/internal/overload"
	"httpserver/internal/proxyprotocol"
	"httpserver/internal/rawhead"
)

// This file holds the http.Server, and the way of a connection to it.

// What a client may take of the server's time.
const (
	headTimeout     = 10 * time.Second  // to send the head, or a PROXY protocol header, or to agree on TLS
	requestTimeout  = 30 * time.Second  // to send the whole request
	responseTimeout = 30 * time.Second  // to take the response
	idleTimeout     = 120 * time.Second // between requests
)

// How much net/http takes of the bodies on a connection of HTTP/2 before a handler reads them,
// which may be never, in bytes.
const (
	bodyWindow        = 512 << 10
	boundedBodyWindow = 64 << 10 // within a GOMEMLIMIT: the least that net/http knows
)

// newServer returns a server of h within the limits above and l, for HTTP/1 and HTTP/2, the latter
// by prior knowledge too. It takes heads up to maxHead.
func newServer(h *handler, maxHead int, l *overload.Limits) *http.Server {
	window := bodyWindow
	if l.Bounded {
		window = boundedBodyWindow
	}
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: headTimeout,
		ReadTimeout:       requestTimeout,
		WriteTimeout:      responseTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHead,
		ErrorLog:          log.New(complaints{}, "", 0),
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams:          l.Streams,
			MaxReceiveBufferPerConnection: window,
			MaxReceiveBufferPerStream:     window,
		},
		ConnState: noteConnState,
		ConnContext: func(ctx context.Context, nc net.Conn) context.Context {
			return context.WithValue(ctx, connKey{}, nc)
		},
	}
}

// complaints are net/http's. Those of which rawhead tells more aren't logged.
type complaints struct{ logging.Writer }

func (c complaints) Write(p []byte) (int, error) {
	if bytes.HasPrefix(p, []byte("http2: server connection error")) {
		return len(p), nil
	}
	return c.Writer.Write(p)
}

type connKey struct{}

// connOf returns the connection that r came on, or nil.
func connOf(r *http.Request) net.Conn {
	nc, _ := r.Context().Value(connKey{}).(net.Conn)
	return nc
}

// serveOn has srv serve ln within l, over TLS unless config is nil, behind PROXY protocol headers as
// -proxyprotocol says.
func serveOn(srv *http.Server, ln net.Listener, config *tls.Config, l *overload.Limits) error {
	ln = l.Listener(ln)
	if *proxyProto != "off" {
		ln = proxyprotocol.Listener(ln, *proxyProto == "require", func(nc net.Conn, line []byte, err error) {
			logRefused(rawhead.Refusal{Conn: nc, Line: line, Reason: whyEnded(nc, err)})
		})
	}
	if config != nil {
		ln = handshake.Listener(ln, config, headTimeout, logHandshake)
	}
	noMemory := logging.Tally{What: "%d requests were refused for want of memory"}
	return rawhead.Serve(srv, ln, rawhead.Options{Memory: l.Memory, Closed: overload.Closed, Refused: func(r rawhead.Refusal) {
		if r.NoMemory {
			noMemory.Add(1)
		}
		logRefused(r)
	}})
}

// noteConnState tells what a connection does to who may evict it.
func noteConnState(nc net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		overload.Note(nc, overload.Begun)
	case http.StateActive:
		overload.Note(nc, overload.Served)
	case http.StateIdle:
		overload.Note(nc, overload.Idle)
	}
}
