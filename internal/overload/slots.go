package overload

import (
	"cmp"
	"context"
	"net"
	"slices"
	"sync"
	"time"

	"httpserver/internal/logging"
)

// This file holds how many connections there are at once, and which of them is evicted for another.

// Slots are what connections need to be served. When all are held and one more connection comes,
// the cheapest to lose is evicted: an idle one, else one that has sent nothing, else one without a
// whole request, else one that is being served. Among equals the one goes that has been so longest.
//
// Each connection has a stay: so long it is not evicted, after it came, sent its first byte, ended its
// TLS handshake, began to be served, or became idle. While more than half of all are cheaper to lose, a
// connection stays until one of those has had its stay.
type slots struct {
	most     int
	evicted  logging.Tally
	released chan struct{} // has an element once a slot has been released

	mu      sync.Mutex // guards the following
	held    []*slot
	closing int // evicted, and not yet closed by who holds the connection
}

// stay is enough for a client some 10 ms away to send what comes next. Those that are farther away
// send a part, and then go after all that have sent nothing. With a longer stay those that wait
// behind thousands wait for more than a second.
const stay = 30 * time.Millisecond

func newSlots(most int) *slots {
	return &slots{most: most, released: make(chan struct{}, 1), evicted: logging.Tally{What: "%d connections were closed to make room for others"}}
}

// maxClosing is the share of slots whose connections may be evicted and not yet closed: closing isn't
// freeing at once.
const maxClosing = 8 // one of so many

// acquire gives nc a slot. It waits for one, or until ctx is done, and then closes nc and returns
// net.ErrClosed.
func (ss *slots) acquire(ctx context.Context, nc net.Conn) (*slot, error) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	for len(ss.held) >= ss.most {
		late := time.Hour // until one is released
		if ss.closing <= ss.most/maxClosing {
			var cheapest *slot
			if cheapest, late = ss.cheapest(); cheapest != nil {
				ss.evict(cheapest)
				ss.evicted.Add(1)
				continue
			}
		}
		ss.mu.Unlock()
		select {
		case <-ss.released:
		case <-time.After(late):
		case <-ctx.Done():
		}
		ss.mu.Lock()
		if ctx.Err() != nil {
			nc.Close()
			return nil, net.ErrClosed
		}
	}
	s := &slot{Conn: nc, of: ss, closed: make(chan struct{}), index: len(ss.held)}
	s.note(silent, time.Now())
	ss.held = append(ss.held, s)
	return s, nil
}

// cheapest returns the slot that is cheapest to lose of those that have had their stay, or nil and
// how long the first of them has yet to stay. ss.mu is to be held.
func (ss *slots) cheapest() (*slot, time.Duration) {
	var cheapest *slot
	before, late, count := stamp(time.Now().Add(-stay)), stay, [Served + 1]int{}
	for _, s := range ss.held {
		count[s.doing()]++
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
		for _, n := range count[:cheapest.doing()] {
			cheaper += n
		}
		if cheaper > len(ss.held)/2 {
			return nil, late
		}
	}
	return cheapest, late
}

// compareSlots compares what it costs to lose two.
func compareSlots(a, b *slot) int {
	return cmp.Or(cmp.Compare(a.doing(), b.doing()), cmp.Compare(a.since.Load(), b.since.Load()))
}

// evict closes the connection of s. ss.mu is to be held.
func (ss *slots) evict(s *slot) {
	s.evicted.Store(true)
	ss.remove(s)
	ss.closing++
	s.closing = true
	s.Conn.Close()
}

// remove takes s out of those held. ss.mu is to be held.
func (ss *slots) remove(s *slot) {
	last := len(ss.held) - 1
	ss.held[s.index] = ss.held[last]
	ss.held[s.index].index = s.index
	ss.held[last], ss.held = nil, ss.held[:last]
	s.index = -1
	close(s.closed)
}

// evictSome evicts the n connections that are cheapest to lose, and returns how many it did. Those
// that are evicted and not yet closed count among the n. Those that have just come are spared.
func (ss *slots) evictSome(n int) int {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	before := stamp(time.Now().Add(-stay))
	all := slices.Clone(ss.held)
	all = slices.DeleteFunc(all, func(s *slot) bool {
		state := s.doing()
		return (state == silent || state == Begun) && s.since.Load() > before
	})
	slices.SortFunc(all, compareSlots)
	n = max(0, min(n-ss.closing, len(all)))
	for _, s := range all[:n] {
		ss.evict(s)
	}
	return n
}

// sweep evicts those that were served nothing since then.
func (ss *slots) sweep(then time.Time) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	for _, s := range slices.Clone(ss.held) {
		if s.doing() != Served && s.since.Load() < stamp(then) {
			ss.evict(s)
		}
	}
}

// count returns how many connections there are.
func (ss *slots) count() int {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	return len(ss.held) + ss.closing
}
