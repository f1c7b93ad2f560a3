package main

import (
	"crypto/rand"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// This file brings the head of each request of an HTTP/2 connection to its handler,
// past net/http, which tells a handler no stream's number.

// Records are the heads of requests that no handler has yet, each under a number. A
// marker, one field more in the request, names it.
type records struct {
	waiting []record // by number
	size    int      // of their heads
	last    uint64   // number, of a marker
	streams *streams
}

// firstNumber is a number of nineteen digits, as all that follow are, for all markers
// to be of one size.
const firstNumber = 1e18

// markerSize is that size, in bytes as RFC 9113 section 6.5.2 counts.
const markerSize = 26 + 19 + fieldCost

type record struct {
	number uint64
	head   *head
	size   int
	at     time.Time // it was put
}

// Bounds of what waits on one connection. The oldest are those of requests that
// net/http refused, if any are.
const (
	unclaimedAfter = 10 * dropAfter // while others come, which may keep a handler from its processor
	maxRecords     = 512
	maxRecordBytes = 4 << 20
)

// marker is the name of the field, which no client can guess.
var (
	marker    = strings.ToLower(rand.Text())
	markerKey = http.CanonicalHeaderKey(marker)
)

// nextMarker returns a field for a put that may follow: a literal without indexing, with a new
// name (RFC 7541 section 6.2.2).
func (rs *records) nextMarker() []byte {
	rs.last++
	var digits [20]byte
	value := strconv.AppendUint(digits[:0], firstNumber+rs.last, 10)
	field := make([]byte, 0, 64)
	field = append(append(field, 0, byte(len(marker))), marker...)
	return append(append(field, byte(len(value))), value...)
}

// put records h, of size bytes, under the last marker.
func (rs *records) put(h *head, size int) {
	now := time.Now()
	rs.drop(now.Add(-unclaimedAfter))
	rs.waiting = append(rs.waiting, record{rs.last, h, size, now})
	rs.size += size
	for len(rs.waiting) > maxRecords || rs.size > maxRecordBytes && len(rs.waiting) > 1 {
		rs.dropFirst()
	}
}

// drop drops what was put before then, and reports whether anything is left.
func (rs *records) drop(then time.Time) (more bool) {
	for len(rs.waiting) > 0 && rs.waiting[0].at.Before(then) {
		rs.dropFirst()
	}
	return len(rs.waiting) > 0
}

// has reports whether a record waits.
func (rs *records) has(number uint64) bool {
	return slices.ContainsFunc(rs.waiting, func(rec record) bool { return rec.number == number })
}

// dropFirst drops the oldest.
func (rs *records) dropFirst() {
	rec := rs.remove(0)
	rec.head.free()
	rs.streams.forgo(rec.number)
}

// take takes the marker out of r, and returns what it names, or nil. Ours is the last
// field of its name.
func (rs *records) take(r *http.Request) *head {
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
	i := slices.IndexFunc(rs.waiting, func(rec record) bool { return firstNumber+rec.number == number })
	if i < 0 {
		return nil
	}
	rec := rs.remove(i)
	rs.streams.handle(rec.number)
	if r.Context().Err() != nil {
		rs.streams.forgo(rec.number)
	}
	return rec.head
}

// remove takes a record out.
func (rs *records) remove(i int) record {
	rec := rs.waiting[i]
	rs.waiting = slices.Delete(rs.waiting, i, i+1)
	if len(rs.waiting) == 0 && cap(rs.waiting) > 16 {
		rs.waiting = nil
	}
	rs.size -= rec.size
	return rec
}
