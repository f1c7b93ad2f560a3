package main

import (
	"io"
	"net"
	"net/http"
	"slices"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"
)

// A newcomer that waits for room has it when another leaves, or goes idle.
func TestPlacesAreWaitedFor(t *testing.T) {
	for what, free := range map[string]func(*place){
		"leaves":     func(p *place) { p.Close() },
		"goes idle":  func(p *place) { p.end(time.Now().Add(-flushTime)) },
		"is flushed": func(p *place) { p.end(time.Now()); time.Sleep(flushTime) },
	} {
		synctest.Test(t, func(t *testing.T) {
			_, server := net.Pipe()
			ps := newPlaces(1, time.Hour)
			first, taken := ps.take(server, time.Hour), false
			go func() {
				ps.take(server, time.Hour)
				taken = true
			}()
			synctest.Wait()
			if taken {
				t.Error("room for two")
			}
			free(first)
			synctest.Wait()
			if !taken {
				t.Errorf("no room when another %s", what)
			}
		})
	}
}

// A connection of HTTP/2 is idle from its first answer on, once the end of that is written,
// and each request counts.
func TestPlaceOfHTTP2(t *testing.T) {
	c := newTestConn(newScript(http2Start+request(1)+request(3), cuts["whole"]))
	other := c.limits.places.take(nil, 0)
	isIdle := c.place.idle.Load
	noteState(c, http.StateActive)
	io.ReadAll(iotest.OneByteReader(c))
	if noteState(c, http.StateIdle); isIdle() {
		t.Error("idle before the first request")
	}
	other.begin()
	takeHead((&http.Request{ProtoMajor: 2}).WithContext(withConn(t.Context(), c)))
	if first, _ := c.limits.places.first(0); first != other {
		t.Error("a request doesn't count")
	}
	end := func(stream int) { c.Write([]byte(frameOf(dataFrame, endStream, stream))) }
	if end(1); isIdle() {
		t.Error("idle while a request is under way")
	}
	if noteState(c, http.StateIdle); isIdle() {
		t.Error("idle before the end of the answer is written")
	}
	if end(3); !isIdle() || stamp(time.Now()) < c.place.since.Load() {
		t.Errorf("busy after the last answer, or idle since %d", c.place.since.Load())
	}
}

// The connection that has been idle longest makes room, or, if none is idle, the one
// whose request is awaited or under way longest, but not before its time.
func TestPlaces(t *testing.T) {
	const kept = 100 * time.Millisecond
	ps := newPlaces(3, kept)
	var taken []*place
	take := func() {
		_, server := net.Pipe()
		taken = append(taken, ps.take(server, time.Hour))
	}
	gone := func() (all []int) {
		for i, p := range taken {
			select {
			case <-p.left:
				all = append(all, i)
			default:
			}
		}
		return all
	}
	for range 3 {
		take()
	}
	answer := func(i int) {
		taken[i].begin()
		taken[i].end(time.Now().Add(-flushTime))
	}
	answer(2)
	answer(0)
	answer(2) // is idle less long than 0
	for _, test := range []struct {
		what  string
		begin func()
		gone  []int // at the end
	}{
		{"one of two idle ones", func() {}, []int{0}},
		{"the last idle one", func() {}, []int{0, 2}},
		{"one that waits for a request", func() { taken[1].begin() }, []int{0, 2, 3}},
		{"one whose request is under way", func() { taken[4].begin() }, []int{0, 1, 2, 3}},
		{"none, where there is some", func() {
			taken[1].begin() // has no place any more
			taken[1].Close()
			taken[5].Close()
		}, []int{0, 1, 2, 3, 5}},
	} {
		test.begin()
		before := gone()
		take()
		if got := gone(); !slices.Equal(got, test.gone) {
			t.Errorf("%s is to make room: %v are gone, want %v", test.what, got, test.gone)
		}
		for _, i := range gone() {
			if p := taken[i]; !slices.Contains(before, i) && i != 0 && i != 2 && time.Duration(stamp(time.Now())-p.since.Load()) < kept {
				t.Errorf("%s made room too early", test.what)
			}
		}
	}
}

// A connection that is new, or whose answer is being written, is kept shorter while many wait,
// for the last of them to have its place in time, but not too short to be served.
func TestPlacesAreKeptShorterForMany(t *testing.T) {
	for _, test := range []struct{ turn, busy, idle time.Duration }{
		{waitTime, keptTime, flushTime},
		{2 * time.Millisecond, 200 * time.Millisecond, flushTime},
		{time.Millisecond / 2, 50 * time.Millisecond, 50 * time.Millisecond},
		{time.Microsecond, leastKept, leastKept},
		{-time.Second, leastKept, leastKept},
	} {
		for _, idle := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				_, server := net.Pipe()
				ps, begin, want := newPlaces(100, keptTime), time.Now(), test.busy
				for range 100 {
					p := ps.take(server, time.Hour)
					if idle {
						want = test.idle
						p.end(begin)
					}
				}
				if ps.take(server, test.turn); time.Since(begin) != want {
					t.Errorf("kept for %v with a turn each %v, idle: %v, want %v", time.Since(begin), test.turn, idle, want)
				}
			})
		}
	}
}
