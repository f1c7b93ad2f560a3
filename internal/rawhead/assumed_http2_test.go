package rawhead

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"httpserver/internal/frame"
	"httpserver/internal/rawhead/http2"
	"httpserver/internal/wire"
)

// This file tests what the server assumes of net/http's HTTP/2, as assumed_test.go does of HTTP/1.

// observeHTTP2 has srv serve an http2Peer that has begun.
func observeHTTP2(t *testing.T, srv *http.Server) (*wire.HTTP2Peer, *observed) {
	client, o := observe(t, srv)
	p := wire.NewHTTP2PeerOn(t, client)
	go p.Send(wire.HTTP2Start, wire.Cuts["whole"])
	synctest.Wait()
	return p, o
}

// HTTP/2's timer for idle connections is set up when a server first serves.
func TestAssumedIdleTimer(t *testing.T) {
	for _, without := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			srv := stockServer(func(http.ResponseWriter, *http.Request) {})
			if without {
				withoutIdleTimer(srv)
			}
			srv.ReadTimeout, srv.IdleTimeout = time.Minute, time.Minute
			p, o := observeHTTP2(t, srv)
			go p.Send(wire.Request(1), wire.Cuts["whole"])
			p.Await(1)
			go io.Copy(io.Discard, p.Conn)
			time.Sleep(10 * time.Minute)
			if ended := strings.HasSuffix(o.did(), "closed"); ended == without {
				t.Errorf("with timeouts set later (%v) an idle connection ends: %v (withoutIdleTimer)", without, ended)
			}
		})
	}
}

// Of HTTP/2, StateActive comes before the first stream's handler, and StateIdle after the last
// stream's, or its reset.
func TestAssumedHTTP2ConnState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		var o *observed
		p, o := observeHTTP2(t, stockServer(func(http.ResponseWriter, *http.Request) {
			o.note("begin")
			<-release
			o.note("end")
		}))
		send(p.Conn, wire.Request(1))
		send(p.Conn, wire.Request(3)) // one by one, for their handlers to be released in this order
		send(p.Conn, wire.Request(5))
		send(p.Conn, wire.Reset(3))
		for range 3 {
			release <- struct{}{}
			synctest.Wait()
		}
		send(p.Conn, wire.Request(7))
		send(p.Conn, wire.Reset(7))
		close(release)
		synctest.Wait()
		p.Conn.Close()
		synctest.Wait()
		const want = "new active idle active begin end idle active begin idle end Close closed"
		if got := o.did("read", "write"); got != want {
			t.Errorf("%s, want %s (noteState, streams.none)", got, want)
		}
	})
}

// Frames are taken in order: a stream is over whose reset comes before the request that a
// handler has.
func TestAssumedFrameOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		contexts := make(chan context.Context, 1)
		p, _ := observeHTTP2(t, stockServer(func(_ http.ResponseWriter, r *http.Request) {
			if r.Method == "POST" {
				contexts <- r.Context()
				<-r.Context().Done()
			} else if first := <-contexts; first.Err() == nil {
				t.Error("a handler has a request while the stream reset before it isn't over (streams.take)")
			}
		}))
		send(p.Conn, wire.FrameOf(frame.Headers, frame.EndHeaders, 1, wire.Block(wire.Indexed(3), wire.Indexed(4), wire.Indexed(6))))
		send(p.Conn, wire.Reset(1)+wire.Request(3))
	})
}

// The values of one field keep their order, under the field's canonical name.
func TestAssumedFieldOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := observeHTTP2(t, stockServer(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Header.Values(http2.Marker)) }))
		go p.Send(wire.Request(1, wire.Added(http2.Marker, "1"), wire.Literal("x", "y"), wire.Indexed(62), wire.Huffman(wire.Literal(http2.Marker, "2")), wire.LiteralOf(62, "3")), wire.Cuts["whole"])
		if got := p.Await(1)[1]; got != "[1 1 2 3]" {
			t.Errorf("%s (streams.take)", got)
		}
	})
}

// Connection: close in an answer has the connection end.
func TestAssumedConnectionClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := observeHTTP2(t, stockServer(func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Connection", "close") }))
		go p.Send(wire.Request(1), wire.Cuts["whole"])
		if got := p.Await(0, 1)[0]; got != "GOAWAY 0 " {
			t.Errorf("%q, want a GOAWAY without an error (ServeHTTP)", got)
		}
	})
}

// net/http takes http2Slack more than MaxHeaderBytes, and answers by itself what is larger.
func TestAssumedMaxHeaderBytes(t *testing.T) {
	for over, want := range map[int]string{0: "handler", 1: "431 "} {
		synctest.Test(t, func(t *testing.T) {
			srv := stockServer(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "handler") })
			srv.MaxHeaderBytes = wire.TestHead - http2Slack
			p, _ := observeHTTP2(t, srv)
			go p.Send(wire.CutIntoFrames(1, 16000, nearLimit(-over)), wire.Cuts["whole"])
			if got := p.Await(1)[1]; !strings.HasPrefix(got, want) {
				t.Errorf("%d bytes over http2Slack: %q, want %q", over, got, want)
			}
		})
	}
}
