package overload

import (
	"cmp"
	"context"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"httpserver/internal/logging"
)

// This file holds how many connections there are at once, and which of them is closed for another.

// Slots are those of connections. When all are taken and one more comes, the cheapest to lose is
// evicted: one that is idle, else one that has sent nothing, else one without a whole request, else
// one that is served; of these the one that has been so longest. But each has a stay for certain
// after it came, sent a part of its first request, began to be served, or became idle; and while
// more than half of all are cheaper to lose, it stays until one of those has had its stay.
type slots struct {
	most    int
	evicted logging.Tally
	freed   chan struct{} // has an element where one has been let go of

	mu      sync.Mutex // guards the following
	taken   []*slot
	closing int // evicted, and not yet let go of
}

// stay is long enough for a client of which the network takes some 10 ms to send what comes next.
// Those that are farther away send a part, and go after all that have sent nothing. Longer, and
// those that wait behind thousands wait for more than a second.
const stay = 30 * time.Millisecond

// A slot is a connection that has one.
type slot struct {
	net.Conn
	of   *slots
	left chan struct{} // closed with the connection

	// A request only stamps these. They are looked at when somebody is to be evicted.
	state atomic.Int32
	since atomic.Int64 // a stamp

	index   int  // of slots.taken, or -1
	closing bool // of slots.closing
}

// The states of a slot, cheapest to lose first.
const (
	Idle   = iota // after a request
	silent        // nothing has come
	Begun         // a part of a handshake or of the first request has
	Served
)

// slotOf returns the slot of nc, which may be a connection over it, or nil.
func slotOf(nc net.Conn) *slot {
	for {
		switch c := nc.(type) {
		case *slot:
			return c
		case interface{ NetConn() net.Conn }:
			nc = c.NetConn()
		default:
			return nil
		}
	}
}

// noteState notes what nc does, which is a connection with a slot, or over one. One that is silent
// begins with what it sends.
func Note(nc net.Conn, state int32) {
	if s := slotOf(nc); s != nil && !(state == Begun && s.state.Load() == silent) {
		s.note(state, time.Now())
	}
}

// closedBy returns a channel that is closed once nc is closed or evicted. It is nil where nc has no
// slot.
func Closed(nc net.Conn) <-chan struct{} {
	if s := slotOf(nc); s != nil {
		return s.left
	}
	return nil
}

func newSlots(most int) *slots {
	return &slots{most: most, freed: make(chan struct{}, 1), evicted: logging.Tally{What: "%d connections were closed to make room for others"}}
}

// stamp returns t as a number, for an atomic.
func stamp(t time.Time) int64 { return int64(t.Sub(started)) }

var started = time.Now()

// acquire gives nc a slot. It waits for one, or until ctx is done, and then closes nc.
func (ss *slots) acquire(ctx context.Context, nc net.Conn) (*slot, error) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	for len(ss.taken) >= ss.most {
		late := time.Hour // until another is let go of
		if ss.closing <= ss.most/8 {
			var cheapest *slot
			if cheapest, late = ss.cheapest(); cheapest != nil {
				ss.evict(cheapest)
				ss.evicted.Add(1)
				continue
			}
		}
		ss.mu.Unlock()
		select {
		case <-ss.freed:
		case <-time.After(late):
		case <-ctx.Done():
		}
		ss.mu.Lock()
		if ctx.Err() != nil {
			nc.Close()
			return nil, net.ErrClosed
		}
	}
	s := &slot{Conn: nc, of: ss, left: make(chan struct{}), index: len(ss.taken)}
	s.note(silent, time.Now())
	ss.taken = append(ss.taken, s)
	return s, nil
}

// cheapest returns the slot that is cheapest to lose of those that have had their stay, or nil and
// how long the first of them has yet to stay. ss.mu is to be held.
func (ss *slots) cheapest() (*slot, time.Duration) {
	var cheapest *slot
	before, late, count := stamp(time.Now().Add(-stay)), stay, [Served + 1]int{}
	for _, s := range ss.taken {
		count[s.state.Load()]++
		left := time.Duration(s.since.Load() - before)
		switch {
		case left > 0:
			late = min(late, left)
		case cheapest == nil || compareSlots(s, cheapest) < 0:
			cheapest = s
		}
	}
	if cheapest != nil {
		cheaper := 0
		for _, n := range count[:cheapest.state.Load()] {
			cheaper += n
		}
		if cheaper > len(ss.taken)/2 {
			return nil, late
		}
	}
	return cheapest, late
}

// compareSlots compares what it costs to lose two.
func compareSlots(a, b *slot) int {
	return cmp.Or(cmp.Compare(a.state.Load(), b.state.Load()), cmp.Compare(a.since.Load(), b.since.Load()))
}

// evict closes the connection of s. ss.mu is to be held.
func (ss *slots) evict(s *slot) {
	ss.remove(s)
	ss.closing++
	s.closing = true
	s.Conn.Close()
}

// remove takes s out of those taken. ss.mu is to be held.
func (ss *slots) remove(s *slot) {
	last := len(ss.taken) - 1
	ss.taken[s.index] = ss.taken[last]
	ss.taken[s.index].index = s.index
	ss.taken[last], ss.taken = nil, ss.taken[:last]
	s.index = -1
	close(s.left)
}

// evictSome evicts the n connections that are cheapest to lose, and returns how many it did. Those
// that are evicted and not yet let go of count among the n. Those that have just come are spared.
func (ss *slots) evictSome(n int) int {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	before := stamp(time.Now().Add(-stay))
	all := slices.Clone(ss.taken)
	all = slices.DeleteFunc(all, func(s *slot) bool {
		state := s.state.Load()
		return (state == silent || state == Begun) && s.since.Load() > before
	})
	slices.SortFunc(all, compareSlots)
	n = max(0, min(n-ss.closing, len(all)))
	for _, s := range all[:n] {
		ss.evict(s)
	}
	return n
}

// sweep evicts those that have been served nothing since before then.
func (ss *slots) sweep(then time.Time) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	for _, s := range slices.Clone(ss.taken) {
		if s.state.Load() != Served && s.since.Load() < stamp(then) {
			ss.evict(s)
		}
	}
}

// count returns how many connections there are.
func (ss *slots) count() int {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	return len(ss.taken) + ss.closing
}

// note notes the state of s, since then.
func (s *slot) note(state int32, since time.Time) {
	s.since.Store(stamp(since))
	s.state.Store(state)
}

// Read notes that something came. With the first byte a client begins its request, or handshake;
// more of them don't prolong its stay, or it would never end.
func (s *slot) Read(p []byte) (int, error) {
	n, err := s.Conn.Read(p)
	if n > 0 && s.state.Load() == silent {
		s.note(Begun, time.Now())
	}
	return n, err
}

// Close closes the connection and lets go of the slot. It can be called more than once.
func (s *slot) Close() error {
	ss := s.of
	ss.mu.Lock()
	switch {
	case s.closing:
		s.closing = false
		ss.closing--
	case s.index >= 0:
		ss.remove(s)
	}
	ss.mu.Unlock()
	select { // wakes the one that waits
	case ss.freed <- struct{}{}:
	default:
	}
	return s.Conn.Close()
}

func (s *slot) CloseWrite() error { return s.Conn.(interface{ CloseWrite() error }).CloseWrite() }
