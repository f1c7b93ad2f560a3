package main

import (
	"crypto/tls"
	"fmt"
	"math"
	"os"
	"runtime/debug"
	"sync"
	"time"

	"github.com/golang/glog"
	"golang.org/x/sync/semaphore"
)

// This file holds what clients get of memory and of file descriptors: a few numbers, which the log
// says at the start. Beside them stands the valve, which measures.

// Limits are what all clients share, and the largest head that one may send.
type limits struct {
	head    int                 // bytes, each field counted fieldCost longer than it is
	slots   *slots              // connections
	queue   int                 // connections that wait for a slot, within a GOMEMLIMIT
	memory  *semaphore.Weighted // bytes for large heads, and for requests of HTTP/2
	large   int                 // heads of the largest size that there is memory for, within a GOMEMLIMIT
	streams int                 // requests at once on a connection of HTTP/2
	bounded bool                // by GOMEMLIMIT
	refused tally
}

// fieldCost is what a field counts beside its bytes (RFC 9113 section 6.5.2).
const fieldCost = 32

// How GOMEMLIMIT is divided, in bytes. A connection with one request, or with freeRequests of
// HTTP/2, whose heads are small, is what a slot stands for.
const (
	baseMemory         = 8 << 20  // of the process at rest
	leastMemory        = 32 << 20 // with less, what is promised isn't kept
	slotCost           = 96 << 10
	slotCostTLS        = 160 << 10
	slotCostClientCert = 1400 << 10 // with a certificate of maxHandshake bytes
	queueCost          = 20 << 10   // a connection that waits for a slot, which the kernel buffers
	maxQueue           = 4096
	keptFiles          = 32 // descriptors that are not for connections
)

// How many requests a client may have at once on a connection of HTTP/2.
const (
	maxStreams        = 100
	maxStreamsBounded = 32 // within a GOMEMLIMIT
)

// newLimits returns the limits that GOMEMLIMIT and the limit of open files set, with
// at most conns connections where that isn't 0. They are over TLS unless config is nil.
// It returns an error where GOMEMLIMIT is too small to serve, or for a head of that size.
func newLimits(head, conns int, config *tls.Config) (*limits, error) {
	l := &limits{head: head, memory: semaphore.NewWeighted(math.MaxInt64), streams: maxStreams, refused: tally{what: "%d requests were refused for want of memory"}}
	if limit := debug.SetMemoryLimit(-1); limit < math.MaxInt64 {
		if limit < leastMemory {
			return nil, fmt.Errorf("GOMEMLIMIT %s: want at least %dMiB", os.Getenv("GOMEMLIMIT"), leastMemory>>20)
		}
		limit -= baseMemory
		memory := limit / 4
		if int64(headCopies*head) > memory {
			return nil, fmt.Errorf("-maxhead %d: want at most %d, a sixteenth of what GOMEMLIMIT leaves", head, memory/headCopies)
		}
		l.memory, l.streams, l.bounded = semaphore.NewWeighted(memory), maxStreamsBounded, true
		l.queue, l.large = min(maxQueue, int(limit)/queueCost), int(memory)/(headCopies*head)
		if conns == 0 {
			conns = int(limit) / costOfSlot(config)
		}
	}
	if most := maxFiles() - keptFiles; conns == 0 || conns > most {
		conns = most
	}
	l.slots = newSlots(max(1, conns))
	return l, nil
}

// costOfSlot returns what a connection may take of the memory limit, in bytes.
func costOfSlot(config *tls.Config) int {
	switch {
	case config == nil:
		return slotCost
	case config.ClientAuth == tls.NoClientCert:
		return slotCostTLS
	default:
		return slotCostClientCert
	}
}

// log says the limits, once.
func (l *limits) log() {
	bounded := "without a GOMEMLIMIT as many as come"
	if l.bounded {
		bounded = fmt.Sprintf("%d of the largest at once; %d connections wait", l.large, l.queue)
	}
	later(0, func() {
		glog.Infof("limits: %d connections; %d requests at once on one of HTTP/2; heads of %d bytes, %s", l.slots.most, l.streams, l.head, bounded)
	})
}

// tooLargeHead says what a head is that is larger than most bytes.
func tooLargeHead(most int) string {
	return fmt.Sprintf("over %d bytes, each field counted %d longer than it is", most, fieldCost)
}

// A tally logs how many there were of something, once a second at most.
type tally struct {
	what string       // a format of how many, and of what more returns
	more func() []any // what else is said; nil for nothing

	mu sync.Mutex // guards the following
	n  int        // not yet logged
}

// add counts n more, which is not 0.
func (c *tally) add(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n += n; c.n == n {
		time.AfterFunc(time.Second, func() {
			c.mu.Lock()
			said := []any{c.n}
			c.n = 0
			c.mu.Unlock()
			if c.more != nil {
				said = append(said, c.more()...)
			}
			later(0, func() { glog.Warningf(c.what, said...) })
		})
	}
}
