package overload

import (
	"os"
	"runtime"
	"runtime/debug"
)

// This file holds how lazy the garbage collector is.

// The heap in use is mostly so small that with GOGC=100, Go's own, its collection takes
// a tenth of the CPU time under load. At 300 the process peaks 10 MB higher. A larger
// heap, such as of thousands of connections, gets no more garbage than that beside it,
// or than it would with 100.
const (
	lazyGarbage = 12 << 20 // bytes
	lazyPercent = 300
)

// TuneCollector keeps the collector as lazy as that, unless the environment sets GOGC.
func TuneCollector() {
	if os.Getenv("GOGC") != "" {
		return
	}
	percent := lazyPercent
	debug.SetGCPercent(percent)
	afterCollections(func() {
		want := min(max(lazyGarbage*100/int(liveMemory()+1), 100), lazyPercent)
		if want > percent*11/10 || want < percent*9/10 { // to set it stops the world
			debug.SetGCPercent(want)
			percent = want
		}
	})
}

// afterCollections calls f after the next collection, and after each that follows: then what is
// allocated here is garbage.
func afterCollections(f func()) {
	runtime.AddCleanup(new([64]byte), func(f func()) {
		f()
		afterCollections(f)
	}, f)
}
