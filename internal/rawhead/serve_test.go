package rawhead

import (
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"testing"
	"time"

	"golang.org/x/sync/semaphore"

	"httpserver/internal/handshake"
	"httpserver/internal/rawhead/http2"
	"httpserver/internal/wire"
)

// This file holds the servers of the tests: with our connections, and with net/http's alone.

// echo reads the body, and answers with the text form of the head, or of net/http's view.
func echo(w http.ResponseWriter, r *http.Request) {
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	Of(r).OrView(r).WriteText(w, r)
}

const testStreams = 100

// newEcho returns a server of echo for HTTP/1 and HTTP/2.
func newEcho() *http.Server {
	srv := &http.Server{
		Handler:           http.HandlerFunc(echo),
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       120 * time.Second,
		MaxHeaderBytes:    wire.TestHead,
		ErrorLog:          log.New(io.Discard, "", 0),
		Protocols:         new(http.Protocols),
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams:          testStreams,
			MaxReceiveBufferPerConnection: 512 << 10,
			MaxReceiveBufferPerStream:     512 << 10,
		},
		DisableGeneralOptionsHandler: true,
	}
	srv.Protocols.SetHTTP1(true)
	srv.Protocols.SetHTTP2(true)
	srv.Protocols.SetUnencryptedHTTP2(true)
	return srv
}

// serveEcho has srv serve ln, over TLS unless config is nil, or has net/http alone do so, which
// takes heads of the same sizes.
func serveEcho(srv *http.Server, ln net.Listener, config *tls.Config, ours bool) error {
	if ours {
		if config != nil {
			ln = handshake.Listener(ln, config, time.Minute, func(net.Conn, error) {})
		}
		return Serve(srv, ln, Options{})
	}
	if config != nil {
		ln = tls.NewListener(ln, config)
	}
	srv.MaxHeaderBytes = 2*wire.TestHead - http2Slack
	srv.HTTP2.MaxReadFrameSize, srv.HTTP2.MaxDecoderHeaderTableSize = http2.MaxFrame, http2.TableSize
	boundFields(srv)
	return srv.Serve(ln)
}

// serveWithin serves with m to acquire from, and returns the address.
func serveWithin(t *testing.T, m *semaphore.Weighted) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := newEcho()
	t.Cleanup(func() { srv.Close() })
	go Serve(srv, ln, Options{Memory: m})
	return ln.Addr().String()
}

// newTestServer returns a server of no http.Server, with m to acquire from.
func newTestServer(m *semaphore.Weighted) *server {
	return &server{options: Options{Memory: m, Refused: func(Refusal) {}}, handler: http.HandlerFunc(echo),
		headTimeout: 10 * time.Second, writeTimeout: 30 * time.Second, maxHead: wire.TestHead, maxOpen: testStreams}
}

// newTestHTTP2 returns a tracker of no connection, and its account of m.
func newTestHTTP2(m *semaphore.Weighted) (*http2.Tracker, *account) {
	a := newTestServer(m).account(new(wire.Script))
	return http2.New(wire.TestHead, m != nil, &a), &a
}

// newTestConn returns a conn of nc alone.
func newTestConn(nc halfCloser) *conn { return newConn(nc, newTestServer(nil)) }
