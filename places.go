package main

import (
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// This file holds how many connections there are at once.

// Places are those of connections. When all are taken and one more comes, the idle
// connection that has been so longest makes room, or, if none is idle, the one whose
// request is awaited or under way longest. But a new one is kept for some time, for it to be
// served, and one for flushTime after an answer.
type places struct {
	most   int
	kept   time.Duration // keptTime
	closed tally
	freed  chan struct{} // has an element where there may be room now
	wanted atomic.Bool   // a newcomer waits for room

	mu    sync.Mutex // guards the following
	taken []*place
}

// A place is a connection's.
type place struct {
	net.Conn
	all  *places
	left chan struct{} // closed when the place is left

	// A request only stamps these. They are looked at when somebody is to make room.
	idle  atomic.Bool
	since atomic.Int64 // it came, or its request began, or its last answer may not be written; a stamp
}

func newPlaces(most int, kept time.Duration) *places {
	return &places{most: most, kept: kept, freed: make(chan struct{}, 1), closed: tally{what: "%d connections were closed to make room for others"}}
}

// stamp returns t as a number, for an atomic.
func stamp(t time.Time) int64 { return int64(t.Sub(longAgo)) }

// take gives nc a place. All who wait have theirs in time if each has it within turn.
func (ps *places) take(nc net.Conn, turn time.Duration) *place {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	for len(ps.taken) >= ps.most {
		ps.wanted.Store(true) // before the places are looked at
		first, kept := ps.first(turn)
		if kept -= time.Duration(stamp(time.Now()) - first.since.Load()); kept > 0 {
			ps.mu.Unlock()
			select {
			case <-ps.freed:
			case <-time.After(kept):
			}
			ps.mu.Lock()
			continue
		}
		ps.remove(first)
		first.Conn.Close()
		ps.closed.add()
	}
	ps.wanted.Store(false)
	p := &place{Conn: nc, all: ps, left: make(chan struct{})}
	p.begin()
	ps.taken = append(ps.taken, p)
	return p
}

const (
	// A new connection has its place for keptTime for certain, or for less where others
	// would wait too long, but for leastKept at least.
	keptTime  = 250 * time.Millisecond
	leastKept = 30 * time.Millisecond

	// flushTime is the same for the end of HTTP/2's last answer to be written.
	flushTime = 100 * time.Millisecond
)

// first returns the place of the connection that makes room first, and how long that is
// kept for all to have a turn. ps.mu is to be held.
func (ps *places) first(turn time.Duration) (first *place, kept time.Duration) {
	var idle, busy *place
	for _, p := range ps.taken {
		oldest := &busy
		if p.idle.Load() {
			oldest = &idle
		}
		if *oldest == nil || p.since.Load() < (*oldest).since.Load() {
			*oldest = p
		}
	}
	first, most := idle, flushTime
	if idle == nil {
		first, most = busy, ps.kept
	}
	return first, min(max(turn*time.Duration(ps.most), leastKept), most)
}

// leave leaves p's place. It can be called more than once.
func (p *place) leave() {
	p.all.mu.Lock()
	defer p.all.mu.Unlock()
	p.all.remove(p)
}

// remove leaves p's place. ps.mu is to be held.
func (ps *places) remove(p *place) {
	if i := slices.Index(ps.taken, p); i >= 0 {
		last := len(ps.taken) - 1
		ps.taken[i], ps.taken[last] = ps.taken[last], nil
		ps.taken = ps.taken[:last]
		close(p.left)
		ps.free()
	}
}

// free wakes the newcomer that waits for room, if one does.
func (ps *places) free() {
	select {
	case ps.freed <- struct{}{}:
	default:
	}
}

// begin notes that p has a request under way, or awaits its first.
func (p *place) begin() {
	p.since.Store(stamp(time.Now()))
	p.idle.Store(false)
}

// end notes that p has none, and since when its last answer is being written. One that is written
// ends flushTime earlier.
func (p *place) end(since time.Time) {
	p.since.Store(stamp(since))
	p.idle.Store(true)
	if p.all.wanted.Load() {
		p.all.free()
	}
}

// Close closes the connection and leaves the place.
func (p *place) Close() error {
	p.leave()
	return p.Conn.Close()
}

func (p *place) CloseWrite() error { return p.Conn.(halfCloser).CloseWrite() }
