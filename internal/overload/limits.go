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

// This file holds what clients get of memory and of file descriptors: a few numbers, which the log
// says at the start. Beside them stands the valve, which measures.

// A limitsConfig says what is to be limited.
type Config struct {
	MaxConns   int           // at once; 0 is derived from GOMEMLIMIT, and without one from the limit of open files
	MaxHead    int           // bytes of the largest head
	HeadCopies int           // how often a large head is in memory
	TLS        bool          // connections are over TLS
	ClientCert bool          // and ask for a client's certificate
	Idle       time.Duration // how long a connection that is served nothing may stay
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

// newLimits returns the limits that GOMEMLIMIT, the limit of open files and config set. It returns
// an error where GOMEMLIMIT is too small to serve, or for the largest head. Within a GOMEMLIMIT the
// valve is at work from then on.
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

// Listener returns ln with a slot for each connection. Others wait in the kernel, but the first.
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
