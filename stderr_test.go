package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
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
				fmt.Fprintf(q.pipe, "%d %d %s\n", producer, i, strings.Repeat("x", i))
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
		if _, err := fmt.Sscanf(line, "%d %d %s", &producer, &i, &rest); i > 0 && (err != nil || len(rest) != i) {
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

// A device that is full takes part of a line. When it has room again the line
// goes on where it was cut.
func TestLogFull(t *testing.T) {
	var out bytes.Buffer
	room := 25
	tried := make(chan struct{}, 1)
	q := testLogQueue(t, device(func(p []byte) (int, error) {
		defer func() {
			select {
			case tried <- struct{}{}:
			default:
			}
		}()
		n, _ := out.Write(p[:min(room, len(p))])
		room -= n
		if n < len(p) {
			return n, errors.New("no space left on device")
		}
		return n, nil
	}))
	io.WriteString(q.pipe, "1234567 1\n1234567 2\n1234567 3\n1234567 4\n1234567 5\n")
	<-tried
	q.mu.Lock() // the consumer comes here after it has counted
	for len(q.lines) > 0 || q.dropped == 0 {
		q.mu.Unlock()
		q.mu.Lock()
	}
	room = 1000
	q.mu.Unlock()
	io.WriteString(q.pipe, "after 1\n")
	q.flush()
	got := droppedLine.ReplaceAllString(out.String(), "dropped $1\n")
	lines := strings.Split(strings.TrimSuffix(got, "\n"), "\n")
	total := 0
	for _, line := range lines {
		n := 1
		fmt.Sscanf(line, "dropped %d", &n)
		if !regexp.MustCompile(`^(1234567 \d|after 1|dropped \d)$`).MatchString(line) {
			t.Errorf("not whole: %q", line)
		}
		total += n
	}
	if total != 6 || !strings.HasPrefix(got, "1234567 1\n1234567 2\n1234567 3\n") {
		t.Errorf("%d lines accounted for, want 6:\n%s", total, got)
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
