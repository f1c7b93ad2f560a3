package main

import (
	"crypto/tls"
	"fmt"
	"math"
	"runtime/debug"
	"sync"
	"syscall"
	"time"

	"github.com/golang/glog"
	"golang.org/x/sync/semaphore"
)

// This file holds how much of memory and of file descriptors clients get.

// Limits are what all clients share, and the largest head that one may send.
type limits struct {
	head    int                 // bytes, each field counted fieldCost longer than it is
	places  *places             // of connections
	waiting int                 // connections beside them
	memory  *semaphore.Weighted // bytes for large heads, and for streams beside others
	bounded bool                // by GOMEMLIMIT
	refused tally               // of what there was no memory for
}

// fieldCost is what a field counts beside its bytes (RFC 9113 section 6.5.2).
const fieldCost = 32

// What is taken of the shared memory, in bytes. A connection and one request with a
// small head are not counted: they are what a connection's place stands for.
const (
	smallHead           = 4 << 10
	headCopies          = 4               // of a large head: ours, and net/http's while it reads it
	streamCost          = 16 << 10        // a stream of HTTP/2, until it is over
	handlerCost         = 16 << 10        // beside that, until its handler is done
	ownMemory           = 72 << 10        // for two streams with heads of 1 KiB
	connMemory          = 18 << 20        // for other streams of one connection, which hold a third of it at most
	announcedCost       = 80              // a byte of Trailer, of which net/http makes a map
	maxAnnounced        = 64              // bytes of it that a refused request may hold
	memoryWait          = 5 * time.Second // how long a connection waits for it
	memoryRetry         = 10 * time.Millisecond
	placeCost           = 96 << 10 // of the memory limit, for each connection
	placeCostTLS        = 160 << 10
	placeCostClientCert = 1400 << 10 // the same with a certificate of maxHandshake bytes
	keptFiles           = 32         // descriptors that are not for connections
	maxWaiting          = 8 << 10    // connections that wait for a place, of a KB each
)

// newLimits returns the limits that GOMEMLIMIT and the limit of open files set, with
// at most conns connections where that isn't 0. They are over TLS unless config is nil.
// It returns an error where the memory for large heads doesn't bear one.
func newLimits(head, conns int, config *tls.Config) (*limits, error) {
	l := &limits{head: head, waiting: maxWaiting, memory: semaphore.NewWeighted(math.MaxInt64), refused: tally{what: "%d requests were refused for want of memory"}}
	cost := placeCost
	if config != nil {
		cost = placeCostTLS
		if config.ClientAuth != tls.NoClientCert {
			cost = placeCostClientCert
		}
	}
	if limit := debug.SetMemoryLimit(-1); limit < math.MaxInt64 {
		memory := limit / 4
		l.memory, l.bounded = semaphore.NewWeighted(memory), true
		if int64(l.cost(head)) > memory {
			return nil, fmt.Errorf("-maxhead %d: want at most %d, a sixteenth of GOMEMLIMIT", head, memory/headCopies)
		}
		if conns == 0 {
			conns = int(limit) / cost
		}
	}
	var files syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files) == nil && files.Cur < math.MaxInt32 {
		most := int(files.Cur) - keptFiles
		if conns == 0 || conns > most {
			conns = most
		}
		l.waiting = max(0, min(maxWaiting, most-conns))
	}
	if conns == 0 {
		conns = math.MaxInt
	}
	l.places = newPlaces(max(1, conns), keptTime)
	return l, nil
}

// cost returns what a head of size bytes takes of the shared memory.
func (l *limits) cost(size int) int {
	if size <= smallHead {
		return 0
	}
	return headCopies * size
}

// tooLarge says what a head is that is larger than the largest.
func (l *limits) tooLarge() string {
	return fmt.Sprintf("over %d bytes, each field counted %d longer than it is", l.head, fieldCost)
}

// A budget is a part of the memory, in bytes, that one connection has.
type budget struct {
	of *semaphore.Weighted // what it takes is taken of this as well; nil if of none

	mu   sync.Mutex // guards the following
	left int        // less than none after exceed
}

// try takes n bytes, unless there are fewer.
func (b *budget) try(n int) bool { return b.swap(0, n) }

// swap gives back old bytes and takes n, and nobody takes one between. Where there are fewer it
// does nothing.
func (b *budget) swap(old, n int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	more := n - old
	if more > 0 && (b.left < more || !tryAcquire(b.of, more)) {
		return false
	}
	if more < 0 {
		releaseTo(b.of, -more)
	}
	b.left -= more
	return true
}

// exceed takes n bytes even if this budget has fewer, unless what it is of does.
func (b *budget) exceed(n int) bool {
	if !tryAcquire(b.of, n) {
		return false
	}
	b.mu.Lock()
	b.left -= n
	b.mu.Unlock()
	return true
}

// giveBack gives n bytes back; 0 is a no-op.
func (b *budget) giveBack(n int) {
	if n == 0 {
		return
	}
	b.mu.Lock()
	b.left += n
	b.mu.Unlock()
	releaseTo(b.of, n)
}

// tryAcquire and releaseTo are the methods of a semaphore, or nothing where there is none.
func tryAcquire(s *semaphore.Weighted, n int) bool { return s == nil || s.TryAcquire(int64(n)) }

func releaseTo(s *semaphore.Weighted, n int) {
	if s != nil {
		s.Release(int64(n))
	}
}

// A tally logs how many there were of something, once a second at most.
type tally struct {
	mu   sync.Mutex // guards the following
	n    int        // not yet logged
	what string     // has a %d
}

func (c *tally) add() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n++; c.n == 1 {
		time.AfterFunc(time.Second, func() {
			c.mu.Lock()
			n := c.n
			c.n = 0
			c.mu.Unlock()
			later(0, func() { glog.Warningf(c.what, n) })
		})
	}
}
