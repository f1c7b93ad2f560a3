package rawhead

import (
	"io"
	"log"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"httpserver/internal/wire"
)

// This file has net/http alone serve connections that tell what it does with them.

// stockServer returns a server as net/http makes it, of HTTP/1 and, in the clear, of HTTP/2.
func stockServer(h http.HandlerFunc) *http.Server {
	srv := &http.Server{Handler: h, Protocols: new(http.Protocols), ErrorLog: log.New(io.Discard, "", 0)}
	srv.Protocols.SetHTTP1(true)
	srv.Protocols.SetUnencryptedHTTP2(true)
	return srv
}

// A observed is the server's end of a pipe, in a bubble, and notes what net/http does with it.
// A Read of a pipe returns bytes of one Write only.
type observed struct {
	net.Conn
	t             *testing.T
	since         time.Time
	reads, writes atomic.Int32 // under way
	received      atomic.Int64 // bytes

	mu   sync.Mutex
	done []string // what net/http did, in order
}

// observe has srv serve a pipe, and returns the client's end and the server's.
func observe(t *testing.T, srv *http.Server) (client net.Conn, w *observed) {
	client, server := net.Pipe()
	client.SetDeadline(time.Now().Add(time.Hour))
	w = &observed{Conn: server, t: t, since: time.Now()}
	srv.ConnState = func(nc net.Conn, state http.ConnState) {
		if nc != w {
			t.Error("ConnState is called with another connection than the listener's (connOf)")
		}
		w.note(state.String())
	}
	conns := make(wire.Stage, 1)
	conns <- w
	go srv.Serve(conns)
	t.Cleanup(func() { close(conns); client.Close() })
	return client, w
}

// send sends texts, each in a Write of its own, and drops what is answered.
func send(client net.Conn, texts ...string) {
	go io.Copy(io.Discard, client)
	go func() {
		for _, text := range texts {
			io.WriteString(client, text)
		}
	}()
	synctest.Wait()
}

func (w *observed) note(what string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.done = append(w.done, what)
}

// did returns what net/http did but for others, and once what it did several times on end.
func (w *observed) did(others ...string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	done := slices.DeleteFunc(slices.Clone(w.done), func(what string) bool { return slices.Contains(others, what) })
	return strings.Join(slices.Compact(done), " ")
}

func (w *observed) Read(p []byte) (int, error) {
	if w.reads.Add(1) > 1 {
		w.t.Error("two Reads are under way at once (conn.rest)")
	}
	defer w.reads.Add(-1)
	n, err := w.Conn.Read(p)
	if w.received.Add(int64(n)); n > 0 {
		w.note("read")
	}
	return n, err
}

func (w *observed) Write(p []byte) (int, error) {
	if w.writes.Add(1) > 1 {
		w.t.Error("two Writes are under way at once (streams.follow)")
	}
	defer w.writes.Add(-1)
	w.note("write")
	return w.Conn.Write(p)
}

func (w *observed) SetReadDeadline(t time.Time) error {
	if !t.IsZero() && !t.After(time.Now()) && !t.Before(w.since) {
		w.t.Error("a Read is ended by a deadline that is not long ago (longAgo)")
	}
	return w.Conn.SetReadDeadline(t)
}

func (w *observed) Close() error { w.note("Close"); return w.Conn.Close() }

func (w *observed) CloseWrite() error { w.note("CloseWrite"); return nil }

// played returns what a stock server of h answers to raw, on the connection that as makes of it.
func played(h http.HandlerFunc, raw string, as func(*wire.Script) net.Conn) string {
	s, scripts := wire.NewScript(raw, wire.Cuts["whole"]), make(wire.Stage, 1)
	scripts <- as(s)
	go stockServer(h).Serve(scripts)
	<-s.Closed
	close(scripts)
	return s.Out.String()
}
