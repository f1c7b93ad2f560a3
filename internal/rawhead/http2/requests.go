package http2

import (
	"crypto/rand"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"httpserver/internal/frame"
	"httpserver/internal/head"
)

// This file holds the open requests of an HTTP/2 connection: their heads, until a handler has them,
// and what they cost.

// Requests are open from their header block on. A request ends with the frame by which the server ends
// its stream. It also ends with its handler, if the client is gone, and when net/http has no stream.
type requests struct {
	observer Observer
	open     []openRequest
	last     uint64 // number of a marker

	begun [frame.HeaderSize + 8]byte // the first bytes of the frame that is being sent
	sent  int                        // how many of them have been
	rest  int                        // bytes yet to be sent behind them

	goneAway bool // a GOAWAY with an error has been sent
}

type openRequest struct {
	Request
	marker    uint64
	taken     bool // by its handler
	cost      int  // as the observer said
	bodyEnded bool // the client has sent END_STREAM, or trailers
	trailers  []head.Field
}

// A Request is what a handler gets to know of its request.
type Request struct {
	Head   *head.Head // as it arrived; nil where that isn't known, or once the handler is done
	As     Verdict
	Last   bool // of its connection
	Stream int
}

// firstNumber has nineteen digits, as all that follow have. So all markers have one size.
const firstNumber = 1e18

// MarkerSize is the size of a marker, in bytes as RFC 9113 section 6.5.2 counts.
const MarkerSize = 26 + 19 + head.FieldCost

// Marker is the name of the field, which no client can guess.
var (
	Marker    = strings.ToLower(rand.Text())
	markerKey = http.CanonicalHeaderKey(Marker)
)

// nextMarker returns the field for the next request: a literal without indexing, with a new name
// (RFC 7541 section 6.2.2).
func (rs *requests) nextMarker() []byte {
	rs.last++
	var digits [20]byte
	value := strconv.AppendUint(digits[:0], firstNumber+rs.last, 10)
	field := make([]byte, 0, 64)
	field = append(append(field, 0, byte(len(Marker))), Marker...)
	return append(append(field, byte(len(value))), value...)
}

// begin begins a request under the last marker, which cost so much. With bodyEnded no body follows.
func (rs *requests) begin(cost int, bodyEnded bool, one Request) {
	rs.open = append(rs.open, openRequest{Request: one, marker: rs.last, cost: cost, bodyEnded: bodyEnded})
}

// take takes the marker out of r, and returns what it names, or nothing. The marker is the last field of
// its name.
func (rs *requests) take(r *http.Request) (none Request) {
	values := r.Header[markerKey]
	if len(values) == 0 {
		return none
	}
	last := len(values) - 1
	r.Header[markerKey] = values[:last]
	if last == 0 {
		delete(r.Header, markerKey)
	}
	number, _ := strconv.ParseUint(values[last], 10, 64)
	i := slices.IndexFunc(rs.open, func(one openRequest) bool { return firstNumber+one.marker == number })
	if i < 0 || rs.open[i].taken {
		return none
	}
	rs.open[i].taken = true
	return rs.open[i].Request
}

func (rs *requests) done(h *head.Head, gone bool) {
	i := rs.findHead(h)
	switch {
	case i < 0:
	case gone:
		rs.end(i)
	default:
		rs.open[i].Head = nil
	}
}

// endBody notes the end of the body that came on stream.
func (rs *requests) endBody(stream int) {
	if i := rs.find(stream); i >= 0 {
		rs.open[i].bodyEnded = true
	}
}

func (rs *requests) trailers(h *head.Head) []head.Field {
	i := rs.findHead(h)
	if i < 0 {
		return nil
	}
	return rs.open[i].trailers
}

// findHead returns the index of the request with this head, or -1.
func (rs *requests) findHead(h *head.Head) int {
	return slices.IndexFunc(rs.open, func(one openRequest) bool { return one.Head == h })
}

// none ends all requests but the last: net/http has no stream, but may not have read the last request yet.
func (rs *requests) none() {
	for i := len(rs.open) - 1; i >= 0; i-- {
		if rs.open[i].marker != rs.last {
			rs.end(i)
		}
	}
}

// close ends all.
func (rs *requests) close() {
	for len(rs.open) > 0 {
		rs.end(0)
	}
}

// end ends a request.
func (rs *requests) end(i int) {
	one := &rs.open[i]
	rs.observer.Ended(one.cost)
	if !one.taken {
		one.Head.Free()
	}
	rs.open = slices.Delete(rs.open, i, i+1)
	if len(rs.open) == 0 && cap(rs.open) > 16 {
		rs.open = nil
	}
}

// find returns the index of the first request of a stream, or -1. There may be a second one, which
// net/http has not refused yet.
func (rs *requests) find(stream int) int {
	return slices.IndexFunc(rs.open, func(one openRequest) bool { return one.Stream == stream })
}

// follow notes p, which net/http sends next. A frame in it that ends a stream ends the stream's request.
// last is the frame that net/http has read last.
func (rs *requests) follow(p []byte, last frame.Frame) {
	for len(p) > 0 {
		if rs.rest > 0 {
			n := min(rs.rest, len(p))
			rs.rest, p = rs.rest-n, p[n:]
			continue
		}
		n := copy(rs.begun[rs.sent:rs.looked()], p)
		rs.sent, p = rs.sent+n, p[n:]
		if rs.sent == rs.looked() {
			f := frame.Frame(rs.begun[:rs.sent])
			rs.rest, rs.sent = frame.HeaderSize+f.Length()-rs.sent, 0
			switch i := rs.find(f.Stream()); {
			case f.Kind() == frame.GoAway, f.Ends() && (i < 0 || !rs.open[i].taken):
				rs.tell(f, i, last)
				fallthrough
			case f.Ends():
				if i >= 0 {
					rs.end(i)
				}
			}
		}
	}
}

// looked returns how many bytes are looked at of the frame that is being sent.
func (rs *requests) looked() int {
	if rs.sent >= frame.HeaderSize {
		switch frame.Frame(rs.begun[:]).Kind() {
		case frame.Reset:
			return frame.HeaderSize + 4
		case frame.GoAway:
			return frame.HeaderSize + 8
		}
	}
	return frame.HeaderSize
}

// tell tells what f refuses, if it does: the request with this index, or none at -1. It isn't inlined, for
// what it takes of a stack not to be there when each answer is sent: see noteFrames in rawhead.
//
//go:noinline
func (rs *requests) tell(f frame.Frame, i int, last frame.Frame) {
	var one *openRequest
	if i >= 0 {
		one = &rs.open[i]
	}
	if r, ok := refusal(f, one, len(rs.open), last); ok {
		rs.goneAway = rs.goneAway || f.Kind() == frame.GoAway
		rs.observer.Refused(r)
	}
}
