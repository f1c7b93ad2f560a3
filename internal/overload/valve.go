package overload

import (
	"runtime/debug"
	"runtime/metrics"
	"sync/atomic"

	"httpserver/internal/logging"
)

// This file holds the last word on memory. It is measured, whatever it is held for.

// A valve evicts connections where more memory is live than a share of GOMEMLIMIT. The cheapest to
// lose go first, and as many as hold the excess if all hold the same. Those that are evicted already,
// and not yet closed, count among them.
type valve struct {
	slots  *slots
	most   uint64 // bytes
	closed logging.Tally
	peak   atomic.Uint64 // the most that was live, not yet logged
}

// valveShare of GOMEMLIMIT, in percent, may be live. The rest is for garbage, and for what is
// allocated while the collector runs.
const valveShare = 60

// newValve returns a valve for slots within GOMEMLIMIT.
func newValve(slots *slots) *valve {
	v := &valve{slots: slots, most: uint64(debug.SetMemoryLimit(-1)) / 100 * valveShare}
	v.closed.What = "%d connections were closed to free memory: %d MB were in use, and %d may be"
	v.closed.More = func() []any { return []any{v.peak.Swap(0) >> 20, v.most >> 20} }
	return v
}

// check is to be called after each collection.
func (v *valve) check() {
	live := liveMemory()
	if live <= v.most {
		return
	}
	each := live/uint64(v.slots.count()+1) + 1
	if closed := v.slots.evictSome(int((live-v.most)/each) + 1); closed > 0 {
		v.peak.Store(max(v.peak.Load(), live)) // collections end one after the other
		v.closed.Add(closed)
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
