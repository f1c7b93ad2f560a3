package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"
)

// This file holds the way of the log to stderr. glog blocks every handler while
// stderr is stalled, and ends the process when a line can't be written. So it is
// given a pipe that is always read: its lines go to a bounded queue, and from
// there to stderr.

const (
	maxQueued    = 1 << 20     // bytes of log waiting for stderr; past it lines are dropped
	flushTimeout = time.Second // for what is queued at the end
)

// endOfLog is a line that glog never writes, because what a client sent is quoted.
const endOfLog = "\x00\n"

// A logQueue holds lines of the log on their way to stderr.
type logQueue struct {
	pipe    *os.File      // glog writes here
	written chan struct{} // closed when all is written that came before endOfLog

	mu      sync.Mutex // guards the following
	grown   sync.Cond  // lines or ended changed
	lines   []byte     // whole lines
	dropped int        // lines lost since the log last said so
	ended   bool       // endOfLog came
}

// queueLog puts a queue between glog and stderr. It must be called before
// anything logs. os.Stderr is glog's end of the queue from then on; the runtime's
// own output, such as a panic's, still goes straight to stderr.
func queueLog() (*logQueue, error) {
	q, err := newLogQueue(os.Stderr)
	if err != nil {
		return nil, err
	}
	signal.Ignore(syscall.SIGPIPE) // or the end of stderr's reader would be ours
	os.Stderr = q.pipe
	return q, nil
}

// newLogQueue returns a queue to w.
func newLogQueue(w io.Writer) (*logQueue, error) {
	r, pipe, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	q := &logQueue{pipe: pipe, written: make(chan struct{})}
	q.grown.L = &q.mu
	go q.fill(r)
	go q.drain(w)
	return q, nil
}

// flush waits until what was logged before it is written, for flushTimeout at
// most. The pipe stays open: a handler that was cut may still log.
func (q *logQueue) flush() {
	go io.WriteString(q.pipe, endOfLog)
	select {
	case <-q.written:
	case <-time.After(flushTimeout):
	}
}

// fill moves lines from r, the pipe, to the queue, and never waits for stderr.
func (q *logQueue) fill(r io.Reader) {
	br := bufio.NewReaderSize(r, 64<<10) // more than glog's longest line
	for {
		line, err := br.ReadSlice('\n')
		if err != nil && err != bufio.ErrBufferFull { // a longer line comes in pieces
			return
		}
		q.mu.Lock()
		switch {
		case string(line) == endOfLog:
			q.ended = true
		case len(q.lines)+len(line) > maxQueued:
			q.dropped++
		default:
			q.lines = append(q.lines, line...)
		}
		q.grown.Signal()
		q.mu.Unlock()
	}
}

// drain writes the queued lines to w, as many at once as there are. Where that
// fails they are lost, but for the rest of a line that was begun.
func (q *logQueue) drain(w io.Writer) {
	var batch, begun []byte
	for {
		q.mu.Lock()
		for len(q.lines) == 0 && !q.ended {
			q.grown.Wait()
		}
		if len(q.lines) == 0 {
			q.mu.Unlock()
			close(q.written)
			return
		}
		batch, q.lines = q.lines, batch[:0]
		dropped := q.dropped // after the lines in batch
		q.dropped = 0
		q.mu.Unlock()

		if len(begun) > 0 {
			batch = append(begun, batch...)
		}
		if dropped > 0 {
			// Not through glog, whose line might be dropped as well.
			batch = fmt.Appendf(batch, "W%s %7d stderr.go:1] %d lines of the log were dropped while stderr took none\n",
				time.Now().Format("0102 15:04:05.000000"), os.Getpid(), dropped)
		}
		n, _ := w.Write(batch)
		lost := batch[n:]
		if n > 0 && batch[n-1] != '\n' || n == 0 && len(begun) > 0 {
			end := bytes.IndexByte(lost, '\n') + 1
			begun, lost = bytes.Clone(lost[:end]), lost[end:]
		} else {
			begun = nil
		}
		if len(lost) > 0 {
			q.mu.Lock()
			q.dropped += bytes.Count(lost, []byte("\n"))
			if dropped > 0 { // the last line lost said so
				q.dropped += dropped - 1
			}
			q.mu.Unlock()
		}
		if cap(batch) > 64<<10 {
			batch = nil // don't keep what only a stall took
		}
	}
}
