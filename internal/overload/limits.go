// Package overload says how many connections there are, how much memory clients get, and who goes
// when either is short.
//
// On the way of a request it comes first: a connection is accepted once it has a slot. Where slots
// are short, the connection that is cheapest to lose is evicted. Within a GOMEMLIMIT, large heads
// and requests of HTTP/2 acquire their memory from Limits.Memory. After each collection of garbage
// the memory in use is measured, and connections are evicted where it is too much.
package overload

import (
	"fmt"
	"math"
	"net"
	"os"
	"runtime/debug"
	"time"

	"github.com/golang/glog"
	"golang.org/x/sync/semaphore"

	"httpserver/internal/logging"
)

// This file holds the numbers that limit clients. The log says them at the start.

// A Config says what is to be limited.
type Config struct {
	MaxConns   int           // at once; 0 is derived from GOMEMLIMIT, and without one from the limit of open files
	MaxHead    int           // bytes of the largest head
	HeadCopies int           // how often a large head is in memory
	TLS        bool          // connections are over TLS
	ClientCert bool          // and ask for a client's certificate
	Idle       time.Duration // a connection that is served nothing for longer is evicted
}

// Limits are what all clients share.
type Limits struct {
	Bounded bool                // by GOMEMLIMIT
	Streams int                 // requests at once on a connection of HTTP/2
	Memory  *semaphore.Weighted // bytes, for what is large; nil for no limit

	config Config
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

// New returns the limits that GOMEMLIMIT, the limit of open files and config set. It returns an error
// where GOMEMLIMIT is too small to serve, or too small for the largest head. Within a GOMEMLIMIT it
// starts to measure memory.
func New(config Config) (*Limits, error) {
	l, conns := &Limits{config: config, Streams: maxStreams}, config.MaxConns
	if limit := debug.SetMemoryLimit(-1); limit < math.MaxInt64 {
		if limit < leastMemory {
			return nil, fmt.Errorf("GOMEMLIMIT %s: want at least %dMiB", os.Getenv("GOMEMLIMIT"), leastMemory>>20)
		}
		limit -= baseMemory
		memory := limit / 4
		if int64(config.HeadCopies*config.MaxHead) > memory {
			return nil, fmt.Errorf("-maxhead %d: want at most %d, a sixteenth of what GOMEMLIMIT leaves", config.MaxHead, memory/int64(config.HeadCopies))
		}
		l.Memory, l.Streams, l.Bounded = semaphore.NewWeighted(memory), maxStreamsBounded, true
		l.queue, l.large = min(maxQueue, int(limit)/queueCost), int(memory)/(config.HeadCopies*config.MaxHead)
		if conns == 0 {
			conns = int(limit) / config.slotCost()
		}
	}
	if most := maxFiles() - keptFiles; conns == 0 || conns > most {
		conns = most
	}
	l.slots = newSlots(max(1, conns))
	if l.Bounded {
		afterCollections(newValve(l.slots).check)
	}
	return l, nil
}

// slotCost returns what a connection may take of the memory limit, in bytes.
func (c Config) slotCost() int {
	switch {
	case c.ClientCert:
		return slotCostClientCert
	case c.TLS:
		return slotCostTLS
	default:
		return slotCost
	}
}

// Listener returns ln, whose connections each hold a slot. Others wait in the kernel, but the first.
func (l *Limits) Listener(ln net.Listener) net.Listener {
	if l.Bounded {
		boundBuffers(ln, l.queue)
	}
	return newSlotListener(ln, l.slots, l.config.Idle)
}

// Log says the limits, once.
func (l *Limits) Log() {
	bounded := "without a GOMEMLIMIT as many as come"
	if l.Bounded {
		bounded = fmt.Sprintf("%d of the largest at once; %d connections wait", l.large, l.queue)
	}
	logging.Later(0, func() {
		glog.Infof("limits: %d connections; %d requests at once on one of HTTP/2; heads of %d bytes, %s", l.slots.most, l.Streams, l.config.MaxHead, bounded)
	})
}
