package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// This file tests what the server assumes of net/http's HTTP/2, as assumed_test.go does of HTTP/1.

// observeHTTP2 has srv serve an http2Peer that has begun.
func observeHTTP2(t *testing.T, srv *http.Server) (*http2Peer, *observed) {
	client, o := observe(t, srv)
	p := newHTTP2PeerOn(t, client)
	go p.send(http2Start, cuts["whole"])
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
			go p.send(request(1), cuts["whole"])
			p.await(1)
			go io.Copy(io.Discard, p.c)
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
		send(p.c, request(1))
		send(p.c, request(3)+request(5))
		send(p.c, reset(3))
		for range 3 {
			release <- struct{}{}
			synctest.Wait()
		}
		send(p.c, request(7))
		send(p.c, reset(7))
		close(release)
		synctest.Wait()
		p.c.Close()
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
		send(p.c, frameOf(headersFrame, endHeaders, 1, block(indexed(3), indexed(4), indexed(6))))
		send(p.c, reset(1)+request(3))
	})
}

// The values of one field keep their order, under the field's canonical name.
func TestAssumedFieldOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := observeHTTP2(t, stockServer(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Header.Values(marker)) }))
		go p.send(request(1, added(marker, "1"), literal("x", "y"), indexed(62), huffman(literal(marker, "2")), literalOf(62, "3")), cuts["whole"])
		if got := p.await(1)[1]; got != "[1 1 2 3]" {
			t.Errorf("%s (streams.take)", got)
		}
	})
}

// Connection: close in an answer has the connection end.
func TestAssumedConnectionClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := observeHTTP2(t, stockServer(func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Connection", "close") }))
		go p.send(request(1), cuts["whole"])
		if got := p.await(0, 1)[0]; got != "GOAWAY 0 " {
			t.Errorf("%q, want a GOAWAY without an error (ServeHTTP)", got)
		}
	})
}

// net/http takes http2Slack more than MaxHeaderBytes, and answers by itself what is larger.
func TestAssumedMaxHeaderBytes(t *testing.T) {
	for over, want := range map[int]string{0: "handler", 1: "431 "} {
		synctest.Test(t, func(t *testing.T) {
			srv := stockServer(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "handler") })
			srv.MaxHeaderBytes = testHead - http2Slack
			p, _ := observeHTTP2(t, srv)
			go p.send(cutIntoFrames(1, 16000, nearLimit(-over)), cuts["whole"])
			if got := p.await(1)[1]; !strings.HasPrefix(got, want) {
				t.Errorf("%d bytes over http2Slack: %q, want %q", over, got, want)
			}
		})
	}
}
