package rawhead

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"httpserver/internal/head"
	"httpserver/internal/rawhead/http2"
)

// This file holds what a handler gets of its request's head.

// A headRequest is the context of one, with its head.
type headRequest struct {
	context.Context
	head   *head.Head // or nil
	stream int        // of HTTP/2
}

type requestKey struct{}

func (r *headRequest) Value(key any) any {
	if key == (requestKey{}) {
		return r
	}
	return r.Context.Value(key)
}

// Of returns the head of r as it arrived, or nil where that isn't known, or the handler has returned.
func Of(r *http.Request) *head.Head {
	if one, ok := r.Context().Value(requestKey{}).(*headRequest); ok {
		return one.head
	}
	return nil
}

// ServeHTTP has the handler serve r, or refuses it.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c, _ := r.Context().Value(connKey{}).(*conn)
	if c == nil { // of another listener
		s.handler.ServeHTTP(w, r)
		return
	}
	if c.tls != nil {
		r.TLS = c.tls
	}
	r.Trailer = nil // net/http's map of what is announced takes 80 times its size
	one := c.take(r)
	defer c.done(r, one.Head)
	if one.Last {
		w.Header().Set("Connection", "close") // net/http makes it a GOAWAY
	}
	if one.As != http2.Taken {
		c.refuseHTTP2(w, r, one.As)
		return
	}
	putHead(r, one)
	s.handler.ServeHTTP(w, r)
}

// putHead has Of(r) return the head of one. It isn't inlined, for its copy of the request not to be on the
// stack while the handler runs: over HTTP/2 that stack would grow, for 40,000 instructions.
//
//go:noinline
func putHead(r *http.Request, one http2.Request) {
	*r = *r.WithContext(&headRequest{r.Context(), one.Head, one.Stream})
}

// refuseHTTP2 answers a request of HTTP/2 in the handler's stead. net/http holds r until the client has
// taken the answer.
func (c *conn) refuseHTTP2(w http.ResponseWriter, r *http.Request, as http2.Verdict) {
	r.Method, r.RequestURI = cut(r.Method), cut(r.RequestURI)
	line := cut(head.RequestLine(r))
	r.Header, r.URL, r.Host, r.RequestURI = nil, new(url.URL), "", ""
	status, why := http.StatusRequestHeaderFieldsTooLarge, "request head "+headTooLarge(c.account.maxHead)
	if as == http2.NoMemory {
		status, why = http.StatusServiceUnavailable, "no memory for another request like this; try again"
		w.Header().Set("Retry-After", "1")
	}
	http.Error(w, why, status)
	c.account.tell(Refusal{Line: []byte(line), Status: status, Reason: why, NoMemory: as == http2.NoMemory})
}

// cut returns as much of s as is told of a first line.
func cut(s string) string { return strings.Clone(s[:min(len(s), maxLine)]) }

// take takes the head of r, which is to be a request's first.
func (c *conn) take(r *http.Request) http2.Request {
	c.handled.Store(true)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.http2 != nil { // whose head has what it costs
		return c.http2.Take(r)
	}
	if cost := costOf(c.http1.HeadSize()); cost < c.account.acquired {
		c.account.resize(cost)
	}
	return http2.Request{Head: c.http1.Take(r)}
}

// done frees h, whose handler is done. net/http may hold r for longer.
func (c *conn) done(r *http.Request, h *head.Head) {
	if one, ok := r.Context().(*headRequest); ok {
		one.head = nil
	}
	if c.http2 != nil && h != nil {
		c.mu.Lock()
		c.http2.Done(h, r.Context().Err() != nil)
		c.mu.Unlock()
	}
	h.Free()
}
