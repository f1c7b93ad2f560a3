// Package logging hands lines to glog, so that none can stall or end the server, or be forged by a
// client.
package logging

import (
	"io"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/golang/glog"
)

// This file holds the way of a line to stderr. glog blocks its callers while stderr is stalled, and
// ends the process when a line can't be written. So a line goes to a bounded queue. One goroutine takes
// it from there to glog, and glog writes to a pipe instead of stderr.

const (
	maxQueued    = 1 << 20                // bytes of log that wait for glog; past it lines are dropped
	lineCost     = 200                    // of a line that waits, in bytes, beside its text
	flushTimeout = time.Second            // for what is queued at the end
	lateAfter    = time.Second            // past it the log says so, because glog's time isn't the line's own
	retryAfter   = 100 * time.Millisecond // a write to stderr that failed
)

// logs is what waits for glog.
var logs = newLogQueue()

// Later queues log, a function that logs a line by glog and holds size bytes of text.
// It never waits for glog.
func Later(size int, log func()) {
	logs.put(logLine{log, size + lineCost, time.Now()})
}

// A Writer is where net/http's complaints go.
type Writer struct{}

func (Writer) Write(p []byte) (int, error) {
	text := string(p)
	Later(len(text), func() { glog.Error(text) })
	return len(p), nil
}

// A logQueue holds lines on their way to glog.
type logQueue struct {
	mu      sync.Mutex // guards the following
	grown   sync.Cond  // lines or ended changed
	lines   []logLine
	size    int  // of the lines
	dropped int  // lines, since the log last said so
	ended   bool // nothing is put any more
}

type logLine struct {
	log  func()
	size int
	at   time.Time
}

func newLogQueue() *logQueue {
	q := new(logQueue)
	q.grown.L = &q.mu
	return q
}

func (q *logQueue) put(l logLine) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.size+l.size > maxQueued {
		q.dropped++
		return
	}
	q.lines = append(q.lines, l)
	q.size += l.size
	q.grown.Signal()
}

// take returns the lines that wait, once there are any, and how many were dropped
// after them. It returns none at the end. The memory of batch is used again.
func (q *logQueue) take(batch []logLine) (lines []logLine, dropped int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.lines) == 0 && !q.ended {
		q.grown.Wait()
	}
	clear(batch)
	lines, q.lines = q.lines, batch[:0]
	dropped, q.dropped = q.dropped, 0
	q.size = 0
	return lines, dropped
}

// end has handOn return when all is handed on.
func (q *logQueue) end() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.ended = true
	q.grown.Signal()
}

// maxKeptLines is the most lines whose memory a queue keeps.
const maxKeptLines = 1 << 10

// handOn hands the lines to glog until the end.
func (q *logQueue) handOn() {
	var batch []logLine
	for {
		var dropped int
		if batch, dropped = q.take(batch); len(batch) == 0 {
			return
		}
		if late := time.Since(batch[0].at); late > lateAfter {
			glog.Warningf("the next %d lines are late, by up to %v", len(batch), late.Round(time.Millisecond))
		}
		for _, l := range batch {
			l.log()
		}
		if dropped > 0 {
			glog.Warningf("%d lines of the log were dropped", dropped)
		}
		if cap(batch) > maxKeptLines {
			batch = nil
		}
	}
}

// Start puts a pipe between glog and stderr, and has what is queued handed to glog.
// flush waits until what was logged before it is written, for flushTimeout at most.
// Nothing that is logged later is written. os.Stderr is glog's end of the pipe from
// then on; the runtime's own output, such as a panic's, still goes straight to stderr.
func Start() (flush func(), err error) {
	r, pipe, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	signal.Ignore(syscall.SIGPIPE) // or the end of stderr's reader would be ours
	stderr := os.Stderr
	os.Stderr = pipe
	written := make(chan struct{})
	go func() {
		logs.handOn()
		glog.Flush()
		pipe.Close()
	}()
	go func() {
		passOn(stderr, r)
		close(written)
	}()
	return func() {
		logs.end()
		select {
		case <-written:
		case <-time.After(flushTimeout):
		}
	}, nil
}

// passOn writes what comes from r to w, to the last byte: what w takes only in part, as
// a disk that is full, or not at all, is written on later.
func passOn(w io.Writer, r io.Reader) {
	b := make([]byte, 32<<10)
	for {
		n, err := r.Read(b)
		for rest := b[:n]; len(rest) > 0; {
			n, err := w.Write(rest)
			if rest = rest[n:]; err != nil {
				time.Sleep(retryAfter)
			}
		}
		if err != nil {
			return
		}
	}
}
