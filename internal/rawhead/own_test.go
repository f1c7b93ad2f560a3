package rawhead

import (
	"bufio"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"httpserver/internal/wire"
)

// A peer sends benchRequest, over and over, and takes what comes.
type peer struct{ net.Conn }

func (peer) Read(p []byte) (int, error) { return copy(p, wire.BenchRequest), nil }

func (peer) Write(p []byte) (int, error) { return len(p), nil }

func (peer) CloseWrite() error { return nil }

func (peer) SetReadDeadline(time.Time) error { return nil }

func (peer) SetWriteDeadline(time.Time) error { return nil }

// This file measures what our connections add to net/http's work.

// benchRequestOf returns benchRequest as net/http hands it over.
func benchRequestOf(tb testing.TB) *http.Request {
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(wire.BenchRequest)))
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

func BenchmarkServe(b *testing.B) {
	b.ReportAllocs()
	c, r, buf, w := newTestConn(peer{}), benchRequestOf(b), make([]byte, 4096), wire.NewResponseWriter()
	for b.Loop() {
		c.Read(buf)
		again := *r
		c.of.ServeHTTP(w, again.WithContext(c.of.withConn(r.Context(), c)))
	}
}

// Keeping a head costs no allocation.
func TestAllocations(t *testing.T) {
	if wire.RaceDetector() {
		t.Skip("under the race detector, sync.Pool forgets")
	}
	c, r, buf := newTestConn(peer{}), benchRequestOf(t), make([]byte, 4096)
	if got := testing.AllocsPerRun(1000, func() { c.Read(buf); c.take(r).Head.Free() }); got > 0 {
		t.Errorf("%v allocations", got)
	}
}
