package rawhead

import (
	"context"
	"io"
	"net"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"httpserver/internal/frame"
	"httpserver/internal/rawhead/http2"
	"httpserver/internal/wire"
)

// A connection that the feed ends is kept for a while, unless it makes room.
func TestEnd(t *testing.T) {
	for want, leave := range map[time.Duration]bool{endTime: false, endTime / 2: true} {
		synctest.Test(t, func(t *testing.T) {
			c, begin := newTestConn(wire.NewScript(wire.HTTP2Start+wire.FrameOf(0xbe, 0, 0, strings.Repeat("a", http2.MaxFrame+1))+wire.Request(1), wire.Cuts["whole"])), time.Now()
			if leave {
				closed := make(chan struct{})
				c.closed = closed
				time.AfterFunc(want, func() { close(closed) })
			}
			io.ReadFull(c, make([]byte, len(frame.Preface)))
			if _, err := io.Copy(io.Discard, struct{ io.Reader }{c}); err != nil || time.Since(begin) != want {
				t.Errorf("%v after %v, want the end after %v", err, time.Since(begin), want)
			}
		})
	}
}

// Heads wait for their handlers as long as those take to begin, as where the process was stopped.
func TestHeadsWaitForHandlers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newTestConn(wire.NewScript(wire.HTTP2Start+wire.Request(1)+wire.Reset(1)+wire.Request(3), wire.Cuts["whole"]))
		io.ReadFull(c, make([]byte, len(frame.Preface)))
		io.CopyN(io.Discard, c, int64(len(wire.HTTP2Start+wire.Request(1)+wire.Reset(1)+wire.Request(3))))
		c.of.noteState(c, http.StateIdle)
		time.Sleep(time.Minute)
		c.of.noteState(c, http.StateIdle)
		if c.take(marked(2)).Head == nil {
			t.Error("a head is gone")
		}
		c.Close()
	})
}

// Nothing is held of a connection of HTTP/2 that ended with a stream open.
func TestEndWithOpenStream(t *testing.T) {
	t.Parallel()
	srv, conns := newEcho(), make(chan weak.Pointer[net.TCPConn], 1)
	srv.ConnContext = func(ctx context.Context, nc net.Conn) context.Context {
		conns <- weak.Make(nc.(*net.TCPConn))
		return ctx
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer srv.Close()
	go Serve(srv, ln, Options{})
	p := wire.NewHTTP2Peer(t, "tcp", ln.Addr().String(), nil)
	p.Send(wire.HTTP2NoWindow+wire.Request(1), wire.Cuts["whole"])
	if !p.AwaitHead(1) {
		t.Fatal("no answer")
	}
	p.Conn.Close()
	c := <-conns
	for begin := time.Now(); c.Value() != nil; runtime.GC() {
		if time.Since(begin) > 20*time.Second {
			t.Fatal("it is held")
		}
	}
}

// A connection of HTTP/2 is told to be new until its first request has come.
func TestStatesOfHTTP2(t *testing.T) {
	srv, told := newTestServer(nil), []http.ConnState(nil)
	srv.state = func(_ net.Conn, state http.ConnState) { told = append(told, state) }
	c := newConn(wire.NewScript(wire.HTTP2Start+wire.Request(1), wire.Cuts["whole"]), srv)
	srv.noteState(c, http.StateActive) // HTTP/2's preface is taken for a request
	io.ReadFull(c, make([]byte, len(frame.Preface)))
	srv.noteState(c, http.StateIdle)
	c.Read(make([]byte, 1000))
	srv.noteState(c, http.StateActive)
	srv.noteState(c, http.StateIdle)
	if want := []http.ConnState{http.StateActive, http.StateNew, http.StateNew, http.StateActive, http.StateIdle}; !slices.Equal(told, want) {
		t.Errorf("%v, want %v", told, want)
	}
	c = newConn(wire.NewScript(wire.HTTP2Start, wire.Cuts["whole"]), srv)
	io.ReadFull(c, make([]byte, len(frame.Preface)))
	if srv.noteState(c, http.StateClosed); told[len(told)-1] != http.StateClosed {
		t.Errorf("one that is closed before is told as %v", told[len(told)-1])
	}
}
