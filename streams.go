package main

import (
	"context"
	"slices"
	"sync"
)

// This file holds which streams of an HTTP/2 connection are not over. Until then net/http
// keeps a goroutine and buffers for each, for an answer that the client doesn't take too,
// whose handler is long done.

// Streams are followed from their first frame to their last.
type streams struct {
	idle func() // called when none is open any more, while none can begin

	mu   sync.Mutex // guards the following
	open []stream
	sent frame // header of the frame that is being sent, as much as has been
	rest int   // bytes of that frame yet to be sent
}

// A stream is one, or a part of what one takes of memory.
type stream struct {
	number int
	memory *budget
	cost   int

	request context.Context // of its request, once that is handled; net/http ends it with the stream
	reset   bool            // by its client
}

// begin notes what a stream takes of b, in bytes.
func (ss *streams) begin(number int, b *budget, cost int) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	ss.open = append(ss.open, stream{number: number, memory: b, cost: cost})
}

// has reports whether a stream is open.
func (ss *streams) has(number int) bool {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	return ss.find(number) != nil
}

// find returns an open stream, or nil. ss.mu is to be held.
func (ss *streams) find(number int) *stream {
	for i := range ss.open {
		if ss.open[i].number == number {
			return &ss.open[i]
		}
	}
	return nil
}

// handle notes the context of a stream's request, which is forgone if no handler gets it.
func (ss *streams) handle(number int, request context.Context) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	if s := ss.find(number); s != nil {
		s.request = request
		ss.endAfter(s)
	}
}

// forgone is a context that is over.
var forgone, forgo = context.WithCancel(context.Background())

func init() { forgo() }

// reset notes that a stream's client resets it. That ends it when net/http goes along, as it
// doesn't behind an error of the connection.
func (ss *streams) reset(number int) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	if s := ss.find(number); s != nil && !s.reset {
		s.reset = true
		ss.endAfter(s)
	}
}

// endAfter ends s after its request, if it is reset. ss.mu is to be held.
func (ss *streams) endAfter(s *stream) {
	if !s.reset || s.request == nil {
		return
	}
	number := s.number
	context.AfterFunc(s.request, func() {
		ss.mu.Lock()
		defer ss.mu.Unlock()
		ss.end(number)
	})
}

// end gives back what a stream takes, once it is over. ss.mu is to be held.
func (ss *streams) end(number int) {
	before := len(ss.open)
	for i := range ss.open {
		if s := &ss.open[i]; s.number == number { // a copy would outgrow the stack, as below
			s.memory.giveBack(s.cost)
		}
	}
	ss.open = slices.DeleteFunc(ss.open, func(s stream) bool { return s.number == number })
	if before > 0 && len(ss.open) == 0 {
		ss.idle()
		if cap(ss.open) > 16 {
			ss.open = nil
		}
	}
}

// endAll ends all streams.
func (ss *streams) endAll() {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	for _, s := range ss.open {
		s.memory.giveBack(s.cost)
	}
	ss.open = nil
}

// follow ends the streams whose last frame begins in p, which net/http sends next, and
// returns how many are open. It isn't to be part of conn.Write, whose goroutine would outgrow
// its first stack; nor is it called after the write, when that needs more of it.
//
//go:noinline
func (ss *streams) follow(p []byte) (open int) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	for len(p) > 0 {
		if ss.rest > 0 {
			n := min(ss.rest, len(p))
			ss.rest, p = ss.rest-n, p[n:]
			continue
		}
		n := min(frameHeader-len(ss.sent), len(p))
		ss.sent, p = append(ss.sent, p[:n]...), p[n:]
		if f := ss.sent; len(f) == frameHeader {
			if f.ends() {
				ss.end(f.stream())
			}
			ss.rest, ss.sent = f.length(), f[:0]
		}
	}
	return len(ss.open)
}
