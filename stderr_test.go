package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
)

func testLogQueue(t *testing.T, w io.Writer) *logQueue {
	t.Helper()
	q, err := newLogQueue(w)
	if err != nil {
		t.Fatal(err)
	}
	return q
}

// A device takes writes as its function says.
type device func(p []byte) (int, error)

func (d device) Write(p []byte) (int, error) { return d(p) }

// Lines of many producers come out whole, and each producer's in order.
func TestLogQueue(t *testing.T) {
	var out bytes.Buffer
	q := testLogQueue(t, &out)
	done := make(chan struct{})
	for producer := range 8 {
		go func() {
			for i := range 1000 {
				fmt.Fprintf(q.pipe, "%d %d %s\n", producer, i, strings.Repeat("x", i%100))
			}
			done <- struct{}{}
		}()
	}
	for range 8 {
		<-done
	}
	q.flush()
	var next [8]int
	for line := range strings.Lines(out.String()) {
		var producer, i int
		var rest string
		if n, _ := fmt.Sscanf(line, "%d %d %s", &producer, &i, &rest); n < 2 || len(rest) != i%100 {
			t.Fatalf("not whole: %q", line)
		}
		if next[producer] != i {
			t.Fatalf("producer %d: line %d, want %d", producer, i, next[producer])
		}
		next[producer]++
	}
	if want := [8]int{1000, 1000, 1000, 1000, 1000, 1000, 1000, 1000}; next != want {
		t.Errorf("lines %v, want %v", next, want)
	}
}

var droppedLine = regexp.MustCompile(`(?m)^W\d{4} [\d:.]{15} +\d+ stderr\.go:1\] (\d+) lines of the log were dropped while stderr took none\n`)

// While the device stalls, producers go on and lines are dropped; when it goes on
// the log says how many.
func TestLogStall(t *testing.T) {
	var out bytes.Buffer
	stalled, release := make(chan struct{}), make(chan struct{})
	first := true
	q := testLogQueue(t, device(func(p []byte) (int, error) {
		if first {
			first = false
			close(stalled)
			<-release
		}
		return out.Write(p)
	}))
	const lines = 3 * maxQueued / 100
	line := strings.Repeat("x", 99) + "\n"
	io.WriteString(q.pipe, line)
	<-stalled
	for range lines {
		io.WriteString(q.pipe, line) // would block here if nobody read the pipe
	}
	q.mu.Lock()
	if len(q.lines) > maxQueued {
		t.Errorf("%d bytes are queued", len(q.lines))
	}
	q.mu.Unlock()
	close(release)
	q.flush()
	dropped := 0
	for _, m := range droppedLine.FindAllStringSubmatch(out.String(), -1) {
		n := 0
		fmt.Sscan(m[1], &n)
		dropped += n
	}
	written := strings.Count(out.String(), line)
	if dropped == 0 || dropped+written != lines+1 {
		t.Errorf("%d lines written and %d said to be dropped, of %d", written, dropped, lines+1)
	}
}

// A disk has room for so many bytes.
type disk struct {
	mu   sync.Mutex
	out  bytes.Buffer
	room int
	full chan struct{} // gets a value for each write that it had no room for
}

func (d *disk) Write(p []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	n, _ := d.out.Write(p[:min(d.room, len(p))])
	d.room -= n
	if n < len(p) {
		d.full <- struct{}{}
		return n, errors.New("no space left on device")
	}
	return n, nil
}

// A disk that is full takes part of a line. When it has room again the line goes
// on where it was cut, be it the one that says how many were dropped.
func TestLogFull(t *testing.T) {
	for refill := range 120 {
		d := &disk{room: 15, full: make(chan struct{}, 100)}
		q := testLogQueue(t, d)
		io.WriteString(q.pipe, "line 0\nline 1\nline 2\nline 3\n")
		<-d.full
		io.WriteString(q.pipe, "line 4\n")
		<-d.full
		d.mu.Lock()
		d.room = refill
		d.mu.Unlock()
		io.WriteString(q.pipe, "line 5\n")
		if refill < 20 {
			<-d.full
		}
		d.mu.Lock()
		d.room = 1 << 20
		d.mu.Unlock()
		io.WriteString(q.pipe, "line 6\nline 7\n")
		io.WriteString(q.pipe, "line 8\n")
		q.flush()
		lines := 0
		for line := range strings.Lines(d.out.String()) {
			n := 1
			if m := droppedLine.FindStringSubmatch(line); m != nil {
				n, _ = strconv.Atoi(m[1])
			} else if !regexp.MustCompile(`^line \d\n$`).MatchString(line) {
				t.Errorf("room for %d: not whole: %q", refill, line)
			}
			lines += n
		}
		if lines+q.dropped != 9 {
			t.Errorf("room for %d: %d lines written, or said to be dropped, and %d to be said, want 9:\n%s", refill, lines, q.dropped, &d.out)
		}
	}
}

// A line too long for the queue's reader comes in pieces.
func TestLogLongLine(t *testing.T) {
	var out bytes.Buffer
	q := testLogQueue(t, &out)
	line := strings.Repeat("x", 200_000) + "\n"
	io.WriteString(q.pipe, line+line)
	q.flush()
	if out.String() != line+line {
		t.Errorf("%d bytes, want %d", out.Len(), 2*len(line))
	}
}

// A flush doesn't wait for a device that takes nothing.
func TestLogFlushStalled(t *testing.T) {
	block := make(chan struct{})
	defer close(block)
	q := testLogQueue(t, device(func(p []byte) (int, error) { <-block; return 0, io.ErrClosedPipe }))
	io.WriteString(q.pipe, "line\n")
	q.flush()
}
