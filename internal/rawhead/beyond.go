package rawhead

import (
	"net/http"

	"httpserver/internal/head"
)

// This file holds what a handler gets to know beside its request's head.

// Trailers returns the trailers of r as they arrived: over HTTP/1 lines, each ended by LF, and over HTTP/2 fields.
// They are as large as a head may be at most, and over HTTP/1 4 KiB. It returns nil where there are none, or where
// they aren't known. It is to be called by the handler, once it has read the body to its end.
func Trailers(r *http.Request) (lines []byte, fields []head.Field) {
	c, one := connAndRequest(r)
	if c == nil {
		return nil, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.http2 != nil {
		return nil, c.http2.Trailers(one.head)
	}
	return c.http1.Trailers(), nil
}

// WriteHTTP2 writes what the client of r announced of itself over HTTP/2, as a member http2, after a comma.
// It writes nothing over HTTP/1.
func WriteHTTP2(j head.JSON, r *http.Request) {
	c, one := connAndRequest(r)
	if c == nil || c.http2 == nil {
		return
	}
	c.mu.Lock()
	announced := c.http2.Announced()
	c.mu.Unlock()
	j.WriteString(`,"http2":`)
	announced.WriteJSON(j, one.stream)
}

// connAndRequest returns what is known of r, or nil where nothing is.
func connAndRequest(r *http.Request) (*conn, *headRequest) {
	one, ok := r.Context().Value(requestKey{}).(*headRequest)
	if !ok || one.head == nil {
		return nil, nil
	}
	return one.Context.Value(connKey{}).(*conn), one
}
