package logging

import (
	"sync"
	"time"

	"github.com/golang/glog"
)

// A Tally logs how many there were of something, once a second at most.
type Tally struct {
	What string       // a format of how many, and of what more returns
	More func() []any // what else is said; nil for nothing

	mu sync.Mutex // guards the following
	n  int        // not yet logged
}

// Add counts n more, which is not 0.
func (c *Tally) Add(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n += n; c.n == n {
		time.AfterFunc(time.Second, func() {
			c.mu.Lock()
			said := []any{c.n}
			c.n = 0
			c.mu.Unlock()
			if c.More != nil {
				said = append(said, c.More()...)
			}
			Later(0, func() { glog.Warningf(c.What, said...) })
		})
	}
}
