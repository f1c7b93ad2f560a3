package logging

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"time"
)

// Lines of many producers come out in each producer's order.
func TestLogQueue(t *testing.T) {
	q, done := newLogQueue(), make(chan struct{})
	var next [8]int
	for producer := range 8 {
		go func() {
			for i := range 1000 {
				q.put(logLine{func() {
					if next[producer] != i {
						t.Errorf("producer %d: line %d, want %d", producer, i, next[producer])
					}
					next[producer]++
				}, 100, time.Now()})
			}
			done <- struct{}{}
		}()
	}
	go func() {
		for range 8 {
			<-done
		}
		q.end()
	}()
	q.handOn()
	if want := [8]int{1000, 1000, 1000, 1000, 1000, 1000, 1000, 1000}; next != want {
		t.Errorf("lines %v, want %v", next, want)
	}
}

// While glog stalls, producers go on, a bounded number of bytes waits, and what else
// comes is dropped and counted.
func TestLogStall(t *testing.T) {
	q, logged := newLogQueue(), 0
	put := func() { q.put(logLine{func() { logged++ }, 1000, time.Now()}) }
	for range 2 * maxQueued / 1000 {
		put() // would block here if it waited
	}
	const waiting = maxQueued / 1000
	if len(q.lines) != waiting || q.dropped != 2*maxQueued/1000-waiting {
		t.Errorf("%d lines wait, want %d, and %d are dropped", len(q.lines), waiting, q.dropped)
	}
	q.end()
	q.handOn()
	put()
	q.handOn()
	if q.dropped != 0 || logged != waiting+1 {
		t.Errorf("later %d lines are dropped, and %d logged", q.dropped, logged-waiting)
	}
}

// A disk has room for so many bytes, and for more each time it has none.
type disk struct {
	out        bytes.Buffer
	room, more int
}

func (d *disk) Write(p []byte) (int, error) {
	n, _ := d.out.Write(p[:min(d.room, len(p))])
	d.room -= n
	if n < len(p) {
		d.room += d.more
		return n, errors.New("no space left on device")
	}
	return n, nil
}

// A disk that is full takes part of a line. When it has room again the line goes on
// where it was cut.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	const lines = "line 0\nline 1\nline 2\nline 3\n"
	for more := 7; more < 20; more++ {
		d := &disk{room: 10, more: more}
		passOn(d, io.MultiReader(strings.NewReader(lines), strings.NewReader(lines)))
		if d.out.String() != lines+lines {
			t.Errorf("room for %d: %q", more, &d.out)
		}
	}
}
