package main

import (
	"crypto/rand"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// This file holds the streams of an HTTP/2 connection that are not over. Until then net/http
// keeps a goroutine and buffers for each, also for an answer that the client doesn't take,
// whose handler is long done.
//
// It also brings the head of each request to its handler, past net/http, which tells a handler
// no stream's number. A marker, one field more in the request, names the head.

// Streams are followed from their request to the last frame of their answer.
type streams struct {
	idle  func(since time.Time) // called when none is open any more
	part  *budget               // the connection's
	open  []stream              // in the order of their requests
	last  uint64                // number of a marker
	since time.Time             // when none was open any more, or could be
	rest  int                   // bytes yet to be sent of the frame that is being sent

	header [frameHeader]byte // of that frame
	sent   int               // bytes of it that have been
}

// A stream is one that has had a request, or what net/http may take for one.
type stream struct {
	number int
	marker uint64
	head   *head   // until a handler has it
	memory *budget // that the stream takes
	cost   int     // of it, in bytes
	reset  uint64  // the last marker when its client reset it, or 0
	again  bool    // another of its number was open: net/http takes one of them at most

	trailers int // bytes of the connection's part, for what net/http keeps of them
}

// firstNumber is a number of nineteen digits, as all that follow are, for all markers
// to be of one size.
const firstNumber = 1e18

// markerSize is that size, in bytes as RFC 9113 section 6.5.2 counts.
const markerSize = 26 + 19 + fieldCost

// marker is the name of the field, which no client can guess.
var (
	marker    = strings.ToLower(rand.Text())
	markerKey = http.CanonicalHeaderKey(marker)
)

// nextMarker returns a field for a begin that may follow: a literal without indexing, with a new
// name (RFC 7541 section 6.2.2).
func (ss *streams) nextMarker() []byte {
	ss.last++
	var digits [20]byte
	value := strconv.AppendUint(digits[:0], firstNumber+ss.last, 10)
	field := make([]byte, 0, 64)
	field = append(append(field, 0, byte(len(marker))), marker...)
	return append(append(field, byte(len(value))), value...)
}

// begin notes the request of a stream under the last marker, and that the stream takes cost of b.
func (ss *streams) begin(number int, h *head, b *budget, cost int) {
	again := ss.find(number) >= 0
	ss.open = append(ss.open, stream{number: number, marker: ss.last, head: h, memory: b, cost: cost, again: again})
}

// take takes the marker out of r, and returns the head that it names, or nil. Ours is the last
// field of its name. What was reset before that request is over: net/http takes frames in order.
// So is that request, where its context has ended, and what came later of its number.
func (ss *streams) take(r *http.Request) *head {
	values := r.Header[markerKey]
	if len(values) == 0 {
		return nil
	}
	last := len(values) - 1
	r.Header[markerKey] = values[:last]
	if last == 0 {
		delete(r.Header, markerKey)
	}
	number, _ := strconv.ParseUint(values[last], 10, 64)
	i := slices.IndexFunc(ss.open, func(s stream) bool { return firstNumber+s.marker == number })
	if i < 0 {
		return nil
	}
	taken, ended := ss.open[i], r.Context().Err() != nil
	ss.open[i].head = nil
	ss.end(func(s stream) bool {
		return s.reset != 0 && (s.reset < taken.marker || s.marker == taken.marker && ended) ||
			s.number == taken.number && s.marker > taken.marker
	})
	return taken.head
}

// idleFor returns for how long none has been open.
func (ss *streams) idleFor() time.Duration {
	if len(ss.open) > 0 {
		return 0
	}
	return time.Since(ss.since)
}

// reset notes that a stream's client resets it. It is not over by that: behind an error of the
// connection net/http takes no reset, and keeps all streams for a second, or, where a Write
// stalls, for half a minute.
func (ss *streams) reset(number int) {
	for i := range ss.open {
		if s := &ss.open[i]; s.number == number && s.reset == 0 {
			s.reset = ss.last
		}
	}
}

// none notes that net/http has no stream. What is reset is over, but for the last request, which
// net/http may have yet to take. So is a second request of a number.
func (ss *streams) none() {
	ss.end(func(s stream) bool {
		return s.again || s.reset != 0 && (s.head == nil || s.marker != ss.last)
	})
}

// end ends the streams that are over.
func (ss *streams) end(over func(stream) bool) {
	for i := len(ss.open) - 1; i >= 0; i-- {
		if over(ss.open[i]) {
			ss.endAt(i, time.Now())
		}
	}
}

// endAt ends a stream. No handler will have a head that it still has.
func (ss *streams) endAt(i int, now time.Time) {
	s := &ss.open[i]
	s.memory.giveBack(s.cost)
	ss.part.giveBack(s.trailers)
	s.head.free()
	last := len(ss.open) - 1
	copy(ss.open[i:], ss.open[i+1:])
	ss.open[last] = stream{}
	ss.open = ss.open[:last]
	if len(ss.open) == 0 {
		ss.since = now
		ss.idle(now)
		if cap(ss.open) > 16 {
			ss.open = nil
		}
	}
}

// follow ends the streams whose last frame begins in p, which net/http sends next, now, and
// returns how many are open.
func (ss *streams) follow(p []byte, now time.Time) (open int) {
	for len(p) > 0 {
		if ss.rest > 0 {
			n := min(ss.rest, len(p))
			ss.rest, p = ss.rest-n, p[n:]
			continue
		}
		n := copy(ss.header[ss.sent:], p)
		ss.sent, p = ss.sent+n, p[n:]
		if f := frame(ss.header[:]); ss.sent == frameHeader {
			if f.ends() {
				if i := ss.find(f.stream()); i >= 0 {
					ss.endAt(i, now)
				}
			}
			ss.rest, ss.sent = f.length(), 0
		}
	}
	return len(ss.open)
}

// find returns the index of the first stream of a number, or -1. There are two where net/http
// refuses the first request of that number, and has yet to say so.
func (ss *streams) find(number int) int {
	for i := range ss.open {
		if ss.open[i].number == number {
			return i
		}
	}
	return -1
}
