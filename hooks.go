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

// takeHead returns the head of r as it arrived, or nil where it isn't known. It must
// be called once for each request, before anything else is done with it.
func takeHead(r *http.Request) *head {
	c, _ := r.Context().Value(connKey{}).(*conn)
	if c == nil {
		return nil
	}
	c.handled.Store(true)
	if c.tls != nil {
		r.TLS = c.tls
	}
	if r.ProtoMajor == 2 {
		c.place.begin() // net/http tells only of the first of several at once
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.settle()
	return c.feed.take(r)
}

// noteState is an http.Server's ConnState.
func noteState(nc net.Conn, state http.ConnState) {
	c := connOf(nc)
	switch {
	case c == nil:
	case state == http.StateActive:
		c.place.begin()
	case state == http.StateIdle:
		if c.http2 == nil { // else its streams tell: net/http has yet to write the end of the answer
			c.handled.Store(false)
			c.place.end(time.Now().Add(-flushTime)) // it is written
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.feed.none()
		c.giveBack()
	}
}
