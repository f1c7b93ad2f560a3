package main

import (
	"container/ring"
	"net"
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

	mu    sync.Mutex // guards the following, and the fields of each place
	taken int
	idle  ring.Ring // before the place whose answer ended first
	busy  ring.Ring // before the place that was taken first, or whose request began
}

// A place is a connection's.
type place struct {
	net.Conn
	all  *places
	left chan struct{} // closed when the place is left

	active atomic.Bool // a request began since it was moved

	since time.Time // it came, or its last answer may not be written

	at ring.Ring // its element of all.idle or all.busy; without a Value once the place is left
}

func newPlaces(most int, kept time.Duration) *places {
	return &places{most: most, kept: kept, freed: make(chan struct{}, 1), closed: tally{what: "%d connections were closed to make room for others"}}
}

// take gives nc a place. All who wait have theirs in time if each has it within turn.
func (ps *places) take(nc net.Conn, turn time.Duration) *place {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	for ps.taken >= ps.most {
		first, kept := ps.first(turn)
		if kept -= time.Since(first.since); kept > 0 {
			ps.mu.Unlock()
			select {
			case <-ps.freed:
			case <-time.After(kept):
			}
			ps.mu.Lock()
			continue
		}
		first.remove()
		first.Conn.Close()
		ps.closed.add()
	}
	ps.taken++
	p := &place{Conn: nc, all: ps, since: time.Now(), left: make(chan struct{})}
	p.at.Value = p
	ps.busy.Prev().Link(&p.at)
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
	for {
		first, idle := ps.idle.Next().Value.(*place)
		most := flushTime
		if !idle {
			first, most = ps.busy.Next().Value.(*place), ps.kept
		}
		if !first.active.Swap(false) {
			return first, min(max(turn*time.Duration(ps.most), leastKept), most)
		}
		first.move(&ps.busy)
	}
}

// leave leaves p's place. It can be called more than once.
func (p *place) leave() {
	p.all.mu.Lock()
	defer p.all.mu.Unlock()
	p.remove()
}

// remove leaves p's place. p.all.mu is to be held.
func (p *place) remove() {
	if p.at.Value != nil {
		p.at.Value = nil
		p.at.Prev().Unlink(1)
		p.all.taken--
		close(p.left)
		p.all.free()
	}
}

// free wakes the newcomer that waits for room, if one does.
func (ps *places) free() {
	select {
	case ps.freed <- struct{}{}:
	default:
	}
}

// begin notes that p has a request under way. It is moved when it is to make room, for
// requests not to wait for each other.
func (p *place) begin() { p.active.Store(true) }

// end notes that p has none, and since when its last answer is being written, or the zero
// time if that is done.
func (p *place) end(since time.Time) {
	p.all.mu.Lock()
	defer p.all.mu.Unlock()
	p.since = since
	p.active.Store(false)
	p.move(&p.all.idle)
	p.all.free()
}

// move puts p at the end of others, unless it is left. p.all.mu is to be held.
func (p *place) move(others *ring.Ring) {
	if p.at.Value != nil {
		p.at.Prev().Unlink(1)
		others.Prev().Link(&p.at)
	}
}

// Close closes the connection and leaves the place.
func (p *place) Close() error {
	p.leave()
	return p.Conn.Close()
}

func (p *place) CloseWrite() error { return p.Conn.(halfCloser).CloseWrite() }
