package main

import (
	"slices"
	"sync"
	"time"
)

// This file holds which streams of an HTTP/2 connection are not over. Until then net/http
// keeps a goroutine and buffers for each, for an answer that the client doesn't take too,
// whose handler is long done.

// Streams are followed from their first frame to their last.
type streams struct {
	idle func(since time.Time) // called when none is open any more, while none can begin

	mu    sync.Mutex // guards the following
	open  []stream
	since time.Time // when none was open any more, or could be
	sent  frame     // header of the frame that is being sent, as much as has been
	rest  int       // bytes of that frame yet to be sent
}

// A stream is one, or a part of what one takes of memory.
type stream struct {
	number int
	record uint64 // of its request; 0 for its trailers
	memory *budget
	cost   int
	reset  uint64 // the last record when its client reset it, or 0
}

// begin notes what the stream of a record takes of b, in bytes.
func (ss *streams) begin(number int, record uint64, b *budget, cost int) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	ss.open = append(ss.open, stream{number: number, record: record, memory: b, cost: cost})
}

// has reports whether a stream is open.
func (ss *streams) has(number int) bool {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	return slices.ContainsFunc(ss.open, func(s stream) bool { return s.number == number })
}

// idleFor returns for how long none has been open.
func (ss *streams) idleFor() time.Duration {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	if len(ss.open) > 0 {
		return 0
	}
	return time.Since(ss.since)
}

// reset notes that a stream's client resets it, after so many records. It is not over by that:
// behind an error of the connection net/http takes no reset, and keeps all streams for a second,
// or, where a Write stalls, for half a minute.
func (ss *streams) reset(number int, last uint64) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	for i := range ss.open {
		if s := &ss.open[i]; s.number == number && s.reset == 0 {
			s.reset = last
		}
	}
}

// handle notes that a handler has the request of a record. net/http has taken what came before
// it, then, and that is over which was reset.
func (ss *streams) handle(record uint64) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	ss.end(func(s *stream) bool { return s.reset != 0 && s.reset < record })
}

// forgo notes that the request of a record is over, or that no handler will have it.
func (ss *streams) forgo(record uint64) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	ss.end(func(s *stream) bool { return s.reset != 0 && s.record == record })
}

// none notes that net/http has no stream. But for those whose record waits for its handler, which
// it may have yet to begin, what is reset is over.
func (ss *streams) none(waits func(record uint64) bool) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	ss.end(func(s *stream) bool { return s.reset != 0 && !waits(s.record) })
}

// end gives back what the streams take that are over: first all, and then it removes them, for
// the stack of follow. ss.mu is to be held.
func (ss *streams) end(over func(*stream) bool) {
	ended := false
	for i := range ss.open {
		if s := &ss.open[i]; over(s) {
			s.memory.giveBack(s.cost)
			s.number, ended = 0, true
		}
	}
	if !ended {
		return
	}
	ss.open = slices.DeleteFunc(ss.open, func(s stream) bool { return s.number == 0 })
	if len(ss.open) == 0 {
		ss.since = time.Now()
		ss.idle(ss.since)
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
				ss.end(func(s *stream) bool { return s.number == f.stream() })
			}
			ss.rest, ss.sent = f.length(), f[:0]
		}
	}
	return len(ss.open)
}
