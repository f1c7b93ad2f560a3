package main

import (
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"time"

	"github.com/golang/glog"
)

// This file holds the last word on memory: it is measured, whatever it is held for.

// A valve evicts connections where more memory is live than a share of GOMEMLIMIT, the cheapest to
// lose first, and as many as hold the excess if all hold the same. Those that are evicted, and that
// net/http has not let go of, count among them.
type valve struct {
	slots *slots
	most  uint64 // bytes

	mu     sync.Mutex // guards the following, which are not logged yet
	closed int
	peak   uint64 // the most that was live
}

// valveShare of GOMEMLIMIT, in percent, may be live. The rest is for garbage, and for what is
// allocated while the collector runs.
const valveShare = 60

// newValve returns a valve for slots within GOMEMLIMIT.
func newValve(slots *slots) *valve {
	return &valve{slots: slots, most: uint64(debug.SetMemoryLimit(-1)) / 100 * valveShare}
}

// check is to be called after each collection.
func (v *valve) check() {
	live := liveMemory()
	if live <= v.most {
		return
	}
	each := live/uint64(v.slots.count()+1) + 1
	closed := v.slots.evictSome(int((live-v.most)/each) + 1)
	if closed > 0 {
		v.log(closed, live)
	}
}

// liveMemory returns how many bytes of the heap were live at the last collection, and of stacks
// are now.
func liveMemory() (bytes uint64) {
	samples := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/memory/classes/heap/stacks:bytes"}}
	metrics.Read(samples)
	for _, s := range samples {
		bytes += s.Value.Uint64()
	}
	return bytes
}

// log logs what was closed, once a second at most.
func (v *valve) log(closed int, live uint64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.peak = max(v.peak, live)
	if v.closed += closed; v.closed == closed {
		time.AfterFunc(time.Second, func() {
			v.mu.Lock()
			n, peak := v.closed, v.peak
			v.closed, v.peak = 0, 0
			v.mu.Unlock()
			later(0, func() {
				glog.Warningf("%d connections were closed to free memory: %d MB were in use, and %d may be", n, peak>>20, v.most>>20)
			})
		})
	}
}
