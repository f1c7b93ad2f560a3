package main

import (
	"context"
	"errors"
	"net"
	"runtime"
	"syscall"
	"time"
)

// This file holds the connections that wait for a place.

// A backlog accepts connections as they come, and has them wait. In the kernel's own
// queue there is less room, and who finds none tries again after a second at best.
type backlog struct {
	net.Listener
	places  *places
	waiting chan newcomer
	errs    chan error      // of Listener.Accept
	open    context.Context // until Close
	cancel  context.CancelFunc
}

// A newcomer is a connection that waits.
type newcomer struct {
	net.Conn
	since time.Time
}

// waitTime is how long a connection is to wait at most.
const waitTime = 500 * time.Millisecond

// newBacklog returns one of connections accepted from ln within l.
func newBacklog(ln net.Listener, l *limits) *backlog {
	b := &backlog{Listener: ln, places: l.places, waiting: make(chan newcomer, l.waiting), errs: make(chan error)}
	b.open, b.cancel = context.WithCancel(context.Background())
	go b.fill()
	return b
}

// fill accepts until the listener is closed, and then closes what waits.
func (b *backlog) fill() {
	for {
		nc, err := b.Listener.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			b.cancel()
			b.closeWaiting()
			return
		case err != nil:
			select {
			case b.errs <- err: // when asked for: net/http does nothing for a while after one
			case <-b.open.Done():
			}
		default:
			select {
			case b.waiting <- newcomer{nc, time.Now()}:
			case <-b.open.Done():
				nc.Close()
			}
		}
	}
}

func (b *backlog) closeWaiting() {
	for {
		select {
		case n := <-b.waiting:
			n.Close()
		default:
			return
		}
	}
}

// Close closes the listener, and what waits.
func (b *backlog) Close() error {
	b.cancel()
	return b.Listener.Close()
}

// acceptPlace gives a place to the connection that has waited longest. While others wait, one
// whose client is gone gets none. That is so of one that closed its sending half, too: the
// kernel doesn't tell them apart.
func (b *backlog) acceptPlace() (*place, error) {
	for {
		select {
		case err := <-b.errs:
			return nil, err
		case <-b.open.Done():
			return nil, net.ErrClosed
		case n := <-b.waiting:
			others := len(b.waiting)
			if others == 0 || !isGone(n.Conn) {
				return b.places.take(n.Conn, (waitTime-time.Since(n.since))/time.Duration(others+1)), nil
			}
			n.Close()
		}
	}
}

// isGone reports whether the client of nc has closed it, or its sending half, as far as Linux
// tells: its struct tcp_info begins with the state (tcp(7)).
func isGone(nc net.Conn) bool {
	const tcpInfo, closed, closeWait = 11, 7, 8
	if runtime.GOOS != "linux" {
		return false
	}
	var info int
	onSocket(nc, func(fd int) { info, _ = syscall.GetsockoptInt(fd, syscall.IPPROTO_TCP, tcpInfo) })
	return info&0xff == closed || info&0xff == closeWait
}
