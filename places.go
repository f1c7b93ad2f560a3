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
// none does, the one whose request is under way longest. But each has its place for
// keptTime, so that the newest are served however many come.
type places struct {
	most int

	mu     sync.Mutex // guards the following, and the fields of each place
	idle   list.List  // of *place, the longest first
	busy   list.List
	closed tally
}

const keptTime = 100 * time.Millisecond

// A place is a connection's.
type place struct {
	net.Conn
	all  *places
	left chan struct{} // closed when the place is left

	in    *list.List    // all.idle or all.busy; nil once it is left
	at    *list.Element // of in
	since time.Time     // it is there
}

func newPlaces(most int) *places {
	return &places{most: most, closed: tally{what: "%d connections were closed to make room for others"}}
}

// take gives nc a place.
func (ps *places) take(nc net.Conn) *place {
	p := &place{Conn: nc, all: ps, left: make(chan struct{})}
	ps.mu.Lock()
	defer ps.mu.Unlock()
	for ps.idle.Len()+ps.busy.Len() >= ps.most {
		in := &ps.idle
		if in.Len() == 0 {
			in = &ps.busy
		}
		first := in.Front().Value.(*place)
		if kept := keptTime - time.Since(first.since); kept > 0 {
			ps.mu.Unlock()
			time.Sleep(kept)
			ps.mu.Lock()
			continue
		}
		first.move(nil)
		first.Conn.Close()
		ps.closed.add()
	}
	p.move(&ps.idle)
	return p
}

// move moves p to the end of in, or out where in is nil. all.mu is to be held.
func (p *place) move(in *list.List) {
	if p.at != nil {
		p.in.Remove(p.at)
	}
	if p.in, p.at = in, nil; in != nil {
		p.at, p.since = in.PushBack(p), time.Now()
	} else {
		close(p.left)
	}
}

// note notes whether p has a request under way.
func (p *place) note(busy bool) {
	p.all.mu.Lock()
	defer p.all.mu.Unlock()
	switch {
	case p.in == nil: // it made room
	case busy:
		p.move(&p.all.busy)
	default:
		p.move(&p.all.idle)
	}
}

// Close closes the connection and leaves the place.
func (p *place) Close() error {
	p.all.mu.Lock()
	if p.in != nil {
		p.move(nil)
	}
	p.all.mu.Unlock()
	return p.Conn.Close()
}

func (p *place) CloseWrite() error { return p.Conn.(halfCloser).CloseWrite() }
