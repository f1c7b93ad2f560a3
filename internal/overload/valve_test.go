package overload

import (
	"runtime/debug"
	"testing"
	"time"
)

// Where more is in use than may be, connections are closed, and else none.
func TestValve(t *testing.T) {
	for most, want := range map[uint64]int{1 << 40: 0, 1: 10} {
		ss := newSlots(100)
		for range 10 {
			take(ss, new(hanging)).note(Served, time.Now().Add(-stay))
		}
		v := &valve{slots: ss, most: most}
		if v.check(); ss.closing != want {
			t.Errorf("with a limit of %d bytes %d of 10 are closed, want %d", most, ss.closing, want)
		}
	}
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(100 << 20))
	if v := newValve(nil); v.most/(1<<20) != valveShare {
		t.Errorf("%d bytes of 100 MiB may be in use", v.most)
	}
}
