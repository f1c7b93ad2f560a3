package main

import (
	"container/list"
	"net"
	"sync"
	"time"
)

// This file holds how many connections there are at once.

// Places are those of connections. When all are taken and one more comes, the
// connection that has waited longest for its client's next request makes room, or, if
// none waits, the one whose request is under way longest. But each has its place for
// keptTime, so that the newest are served however many come.
type places struct {
	most int

	mu     sync.Mutex // guards the following, and the fields of each place
	order  list.List  // of *place, by when a request last began or ended
	closed tally
}

const keptTime = 100 * time.Millisecond

// A place is a connection's.
type place struct {
	net.Conn
	all   *places
	since time.Time
	left  chan struct{} // closed when the place is left

	at   *list.Element // of all.order; nil once the place is left
	busy bool          // a request is under way
}

func newPlaces(most int) *places {
	return &places{most: most, closed: tally{what: "%d connections were closed to make room for others"}}
}

// take gives nc a place.
func (ps *places) take(nc net.Conn) *place {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	for ps.order.Len() >= ps.most {
		first := ps.first()
		if kept := keptTime - time.Since(first.since); kept > 0 {
			ps.mu.Unlock()
			time.Sleep(kept)
			ps.mu.Lock()
			continue
		}
		first.leave()
		first.Conn.Close()
		ps.closed.add()
	}
	p := &place{Conn: nc, all: ps, since: time.Now(), left: make(chan struct{})}
	p.at = ps.order.PushBack(p)
	return p
}

// first returns the place of the connection that makes room first.
func (ps *places) first() *place {
	for at := ps.order.Front(); at != nil; at = at.Next() {
		if p := at.Value.(*place); !p.busy {
			return p
		}
	}
	return ps.order.Front().Value.(*place)
}

// leave leaves p's place. p.all.mu is to be held.
func (p *place) leave() {
	if p.at != nil {
		p.all.order.Remove(p.at)
		p.at = nil
		close(p.left)
	}
}

// note notes whether p has a request under way.
func (p *place) note(busy bool) {
	p.all.mu.Lock()
	defer p.all.mu.Unlock()
	if p.busy = busy; p.at != nil {
		p.all.order.MoveToBack(p.at)
	}
}

// Close closes the connection and leaves the place.
func (p *place) Close() error {
	p.all.mu.Lock()
	p.leave()
	p.all.mu.Unlock()
	return p.Conn.Close()
}

func (p *place) CloseWrite() error { return p.Conn.(halfCloser).CloseWrite() }
