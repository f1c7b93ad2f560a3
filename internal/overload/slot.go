package overload

import (
	"net"
	"sync/atomic"
	"time"

	"httpserver/internal/below"
	"httpserver/internal/linger"
)

// This file holds a connection that holds a slot, and what is noted of it.

// A slot is a connection with one.
type slot struct {
	net.Conn
	of      *slots
	closed  chan struct{} // once the connection is closed or evicted
	evicted atomic.Bool

	// These are set by each request, and read when a connection is to be evicted.
	state atomic.Int32 // a State
	since atomic.Int64 // a stamp

	index   int  // in slots.held, or -1
	closing bool // counts in slots.closing
}

// A State says what a connection does. The cheapest to lose comes first.
type State int32

const (
	Idle   State = iota // has had its answer
	silent              // has sent nothing
	Begun               // has sent a part of a handshake or of its first request
	Served
)

// slotOf returns the slot of nc, which may be a connection over it, or nil.
func slotOf(nc net.Conn) *slot {
	s, _ := below.Find[*slot](nc)
	return s
}

// Note notes what nc does, which is a connection of a Limits' listener, or over one. One that has sent
// nothing begins with its first byte, and not before.
func Note(nc net.Conn, state State) {
	if s := slotOf(nc); s != nil && !(state == Begun && s.doing() == silent) {
		s.note(state, time.Now())
	}
}

// Closed returns a channel that is closed once nc is closed or evicted. It is nil where nc has no slot.
func Closed(nc net.Conn) <-chan struct{} {
	if s := slotOf(nc); s != nil {
		return s.closed
	}
	return nil
}

// Evicted reports whether nc was evicted.
func Evicted(nc net.Conn) bool {
	s := slotOf(nc)
	return s != nil && s.evicted.Load()
}

// stamp returns t as a number, for an atomic.
func stamp(t time.Time) int64 { return int64(t.Sub(started)) }

var started = time.Now()

// doing returns the state of s.
func (s *slot) doing() State { return State(s.state.Load()) }

// note notes the state of s, since then.
func (s *slot) note(state State, since time.Time) {
	s.since.Store(stamp(since))
	s.state.Store(int32(state))
}

// Read notes that something came. With the first byte a client begins its request, or handshake;
// more of them don't prolong its stay, or it would never end.
func (s *slot) Read(p []byte) (int, error) {
	n, err := s.Conn.Read(p)
	if n > 0 && s.doing() == silent {
		s.note(Begun, time.Now())
	}
	return n, err
}

// Socket returns the connection without its slot, for rawhead to write to.
func (s *slot) Socket() net.Conn { return s.Conn }

// Close closes the connection and releases the slot. It can be called more than once.
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
	case ss.released <- struct{}{}:
	default:
	}
	return s.Conn.Close()
}

// CloseWrite closes the sending side, where the connection can.
func (s *slot) CloseWrite() error { return linger.HalfClose(s.Conn) }
