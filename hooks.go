package main

import (
	"context"
	"net"
	"net/http"
	"time"
)

// This file holds what an http.Server calls where a connection is ours, beside its
// methods, and what a handler asks of it.

type connKey struct{}

// withConn is an http.Server's ConnContext, for takeHead.
func withConn(ctx context.Context, nc net.Conn) context.Context {
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

// connBehind returns the conn that r came on, or nil.
func connBehind(r *http.Request) *conn {
	c, _ := r.Context().Value(connKey{}).(*conn)
	return c
}

// takeHead returns the head of r as it arrived, or nil where it isn't known. It must
// be called once for each request, before anything else is done with it.
func takeHead(r *http.Request) *head {
	c := connBehind(r)
	if c == nil {
		return nil
	}
	c.handled.Store(true)
	if c.tls != nil {
		r.TLS = c.tls
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.http2 == nil { // else the head has what it costs
		if cost := costOf(c.feed.headSize()); cost < c.acquired {
			resize(c.limits.memory, &c.acquired, cost)
		}
	}
	return c.feed.take(r)
}

// closingOf returns a channel that is closed with r's connection. The context isn't done with that while
// net/http has bytes that it hasn't read, as of the next request.
func closingOf(r *http.Request) <-chan struct{} {
	if c := connBehind(r); c != nil {
		return c.slot.left
	}
	return nil
}

// freeHead is to be called when the handler of r is done, whose head h is. It may be nil.
func freeHead(r *http.Request, h *head) {
	if c := connBehind(r); c != nil && c.http2 != nil && h != nil {
		c.mu.Lock()
		c.http2.requests.done(h, r.Context().Err() != nil)
		c.mu.Unlock()
	}
	h.free()
}

// noteState is an http.Server's ConnState.
func noteState(nc net.Conn, state http.ConnState) {
	c := connOf(nc)
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.http2 != nil && !c.http2.hasBegun(): // net/http has a connection of HTTP/2 begin idle
	case state == http.StateActive:
		c.slot.note(served, time.Now())
	case state == http.StateIdle:
		c.handled.Store(false)
		since := time.Now()
		if c.http2 == nil { // else the end of the answer is yet to be written
			since = since.Add(-stay)
		}
		c.slot.note(idle, since)
		c.feed.none()
		c.release()
	}
}
