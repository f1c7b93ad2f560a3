//go:build unix

package test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"httpserver/internal/frame"
)

// live returns how many bytes of the process's heap and stacks are in use.
func (p *process) live() int {
	_, profile := p.get("/debug/pprof/heap?gc=1&debug=1")
	var heap, stacks int
	for line := range strings.Lines(profile) {
		fmt.Sscanf(line, "# HeapAlloc = %d", &heap)
		fmt.Sscanf(line, "# Stack = %d", &stacks)
	}
	return heap + stacks
}

// One request holds at most 1 MB, and one connection of many at most 8 MB.
func TestHeld(t *testing.T) {
	if !*soak {
		t.Skip("no -soak")
	}
	for _, a := range attacks("/hello", "/hello?delay=30s") {
		if a.raw {
			continue
		}
		t.Run(a.name, func(t *testing.T) {
			p := start(t, "-v=0")
			p.live()
			rest, most := p.live(), 1<<20
			if strings.HasPrefix(a.sent, frame.Preface) {
				most = 8 << 20
			}
			const conns = 10 // what else is in use hardly counts
			for range conns {
				go a.once(p.addr)
			}
			var held []int
			for range 10 {
				time.Sleep(200 * time.Millisecond)
				held = append(held, (p.live()-rest)/conns)
			}
			slices.Sort(held)
			median := held[len(held)/2] // more while heads come, with net/http's own of them
			t.Logf("%s: %d KB, at most %d KB", a.name, median>>10, slices.Max(held)>>10)
			if median > most {
				t.Errorf("%d bytes are held", median)
			}
		})
	}
}
