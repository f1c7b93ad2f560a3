package main

import (
	"sync"
	"time"

	"github.com/golang/glog"
)

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
