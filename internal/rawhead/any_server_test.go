package rawhead

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"httpserver/internal/handshake"
	"httpserver/internal/wire"
)

// This file serves http.Servers that are set up otherwise than ours.

// serveOf has srv serve, over TLS if secure, and returns the address.
func serveOf(t *testing.T, srv *http.Server, secure bool) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().String()
	if secure {
		ln = handshake.Listener(ln, &tls.Config{Certificates: []tls.Certificate{wire.NewPair(t, nil)}, NextProtos: []string{"h2"}}, time.Minute, func(net.Conn, error) {})
	}
	t.Cleanup(func() { srv.Close() })
	go Serve(srv, ln, Options{})
	return addr
}

// A server of no settings shows heads, over HTTP/2 too, and has all that it says itself told of the
// connections that the listener gave.
func TestServerOfNoSettings(t *testing.T) {
	t.Parallel()
	given, base := make(chan net.Conn, 9), 0
	addr := serveOf(t, &http.Server{
		Handler:     http.HandlerFunc(echo),
		BaseContext: func(ln net.Listener) context.Context { base += len(ln.Addr().Network()) / 3; return t.Context() },
		ConnContext: func(ctx context.Context, nc net.Conn) context.Context { given <- nc; return ctx },
	}, true)
	p := wire.NewHTTP2Peer(t, "tcp", addr, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
	p.Send(wire.HTTP2Start+wire.Request(1), wire.Cuts["whole"])
	if got := p.Await(1)[1]; got != wire.Shown4 {
		t.Errorf("it shows %q, want %q", got, wire.Shown4)
	}
	if _, ok := (<-given).(*conn); ok || base != 1 {
		t.Errorf("ConnContext is told of ours: %v; BaseContext is called %d times", ok, base)
	}
}

// A connection that a handler takes over passes all bytes, however many.
func TestHijackedConnection(t *testing.T) {
	t.Parallel()
	addr := serveOf(t, &http.Server{MaxHeaderBytes: 1 << 10, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, buf, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		io.CopyN(c, buf, 120_000)
	})}, false)
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	sent := strings.Repeat("GET /\x00", 20_000)
	go io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"+sent)
	if got, _ := io.ReadAll(c); string(got) != sent {
		t.Errorf("%d of %d bytes come back", len(got), len(sent))
	}
}

// OPTIONS * shows its head, as every request.
func TestGeneralOptions(t *testing.T) {
	t.Parallel()
	addr := serveOf(t, &http.Server{Handler: http.HandlerFunc(echo)}, false)
	if _, got, _ := wire.RoundTrip(t, addr, "OPTIONS", "OPTIONS * HTTP/1.1\r\nHost: a\r\nx-id: 1\r\n\r\n"); got != "OPTIONS * HTTP/1.1\nHost: a\nx-id: 1\n" {
		t.Errorf("it shows %q", got)
	}
}
