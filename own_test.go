package main

import (
	"bufio"
	"net/http"
	"strings"
	"testing"
)

// This file measures what our connections add to net/http's work.

// benchRequestOf returns benchRequest as net/http hands it over.
func benchRequestOf(tb testing.TB) *http.Request {
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(benchRequest)))
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

func BenchmarkServe(b *testing.B) {
	b.ReportAllocs()
	c, r, buf, w := newTestConn(peer{}), benchRequestOf(b), make([]byte, 4096), newResponseWriter()
	for b.Loop() {
		c.Read(buf)
		again := *r
		c.of.ServeHTTP(w, again.WithContext(c.of.withConn(r.Context(), c)))
	}
}

// Keeping a head costs no allocation.
func TestAllocations(t *testing.T) {
	if raceDetector() {
		t.Skip("under the race detector, sync.Pool forgets")
	}
	c, r, buf := newTestConn(peer{}), benchRequestOf(t), make([]byte, 4096)
	if got := testing.AllocsPerRun(1000, func() { c.Read(buf); c.take(r).head.free() }); got > 0 {
		t.Errorf("%v allocations", got)
	}
}
