package main

import (
	"fmt"
	"math"
	"net"
	"os"
	"runtime/debug"
	"time"

	"github.com/golang/glog"
	"golang.org/x/sync/semaphore"
)

// This file holds what clients get of memory and of file descriptors: a few numbers, which the log
// says at the start. Beside them stands the valve, which measures.

// A limitsConfig says what is to be limited.
type limitsConfig struct {
	conns      int           // at once; 0 is derived from GOMEMLIMIT, and without one from the limit of open files
	head       int           // bytes of the largest head
	headCopies int           // how often a large head is in memory
	tls        bool          // connections are over TLS
	clientCert bool          // and ask for a client's certificate
	idle       time.Duration // how long a connection that is served nothing may stay
}

// Limits are what all clients share.
type limits struct {
	bounded bool                // by GOMEMLIMIT
	streams int                 // requests at once on a connection of HTTP/2
	memory  *semaphore.Weighted // bytes, for what is large; nil for no limit

	config limitsConfig
	slots  *slots // connections
	queue  int    // connections that wait for a slot, within a GOMEMLIMIT
	large  int    // heads of the largest size that there is memory for, within a GOMEMLIMIT
}

// How GOMEMLIMIT is divided, in bytes. A slot stands for a connection whose requests are few and
// small.
const (
	baseMemory         = 8 << 20  // of the process at rest
	leastMemory        = 32 << 20 // with less, what is promised isn't kept
	slotCost           = 96 << 10
	slotCostTLS        = 160 << 10
	slotCostClientCert = 1400 << 10 // with the largest certificate that is taken
	queueCost          = 20 << 10   // a connection that waits for a slot, which the kernel buffers
	maxQueue           = 4096
	keptFiles          = 32 // descriptors that are not for connections
)

// How many requests a client may have at once on a connection of HTTP/2.
const (
	maxStreams        = 100
	maxStreamsBounded = 32 // within a GOMEMLIMIT
)

// newLimits returns the limits that GOMEMLIMIT, the limit of open files and config set. It returns
// an error where GOMEMLIMIT is too small to serve, or for the largest head. Within a GOMEMLIMIT the
// valve is at work from then on.
func newLimits(config limitsConfig) (*limits, error) {
	l, conns := &limits{config: config, streams: maxStreams}, config.conns
	if limit := debug.SetMemoryLimit(-1); limit < math.MaxInt64 {
		if limit < leastMemory {
			return nil, fmt.Errorf("GOMEMLIMIT %s: want at least %dMiB", os.Getenv("GOMEMLIMIT"), leastMemory>>20)
		}
		limit -= baseMemory
		memory := limit / 4
		if int64(config.headCopies*config.head) > memory {
			return nil, fmt.Errorf("-maxhead %d: want at most %d, a sixteenth of what GOMEMLIMIT leaves", config.head, memory/int64(config.headCopies))
		}
		l.memory, l.streams, l.bounded = semaphore.NewWeighted(memory), maxStreamsBounded, true
		l.queue, l.large = min(maxQueue, int(limit)/queueCost), int(memory)/(config.headCopies*config.head)
		if conns == 0 {
			conns = int(limit) / config.slotCost()
		}
	}
	if most := maxFiles() - keptFiles; conns == 0 || conns > most {
		conns = most
	}
	l.slots = newSlots(max(1, conns))
	if l.bounded {
		afterCollections(newValve(l.slots).check)
	}
	return l, nil
}

// slotCost returns what a connection may take of the memory limit, in bytes.
func (c limitsConfig) slotCost() int {
	switch {
	case c.clientCert:
		return slotCostClientCert
	case c.tls:
		return slotCostTLS
	default:
		return slotCost
	}
}

// listener returns ln with a slot for each connection. Others wait in the kernel, but the first.
func (l *limits) listener(ln net.Listener) net.Listener {
	if l.bounded {
		boundBuffers(ln, l.queue)
	}
	return newSlotListener(ln, l.slots, l.config.idle)
}

// log says the limits, once.
func (l *limits) log() {
	bounded := "without a GOMEMLIMIT as many as come"
	if l.bounded {
		bounded = fmt.Sprintf("%d of the largest at once; %d connections wait", l.large, l.queue)
	}
	later(0, func() {
		glog.Infof("limits: %d connections; %d requests at once on one of HTTP/2; heads of %d bytes, %s", l.slots.most, l.streams, l.config.head, bounded)
	})
}
