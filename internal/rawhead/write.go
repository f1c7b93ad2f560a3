package rawhead

import (
	"runtime"
	"time"
)

// This file holds what is done with what net/http writes.

func (c *conn) Write(p []byte) (int, error) {
	if c.http2 != nil {
		c.writing.Lock()
		c.noteFrames(p)
		n, err := c.socket.Write(p)
		c.writing.Unlock()
		return n, err
	}
	if !c.handled.Load() && !c.silent.Load() {
		c.tellRefused(p)
	}
	return c.thriftyConn.Write(p)
}

// noteFrames notes p, which net/http sends next over HTTP/2, where it sets no deadline: its own
// limit, WriteByteTimeout, would have it send the rest of p in another Write, to be noted again.
//
// It isn't inlined: net/http writes in a new goroutine each time, whose stack of 2 KB just holds
// a Write. With the variables of this function on it, too, it would grow, for 25,000 instructions.
//
//go:noinline
func (c *conn) noteFrames(p []byte) {
	now := time.Now()
	if late := c.of.writeTimeout; late > 0 && now.Sub(c.writeFrom) >= min(time.Second, late/2) { // as a thriftyConn
		c.writeFrom = now
		c.socket.SetWriteDeadline(now.Add(late))
	}
	c.mu.Lock()
	open := c.http2.Sent(p)
	c.mu.Unlock()
	if open > 1 {
		// Handlers that are ready run first, for the next Write to take the frames of all:
		// at ten streams at once there are 0.3 Writes a request, and else 2.
		runtime.Gosched()
	}
}

// maxUnanswered is how often net/http may read while a Write is under way. It reads once or twice
// for each frame, and may have to answer each: a client that reads none of the answers would have
// it hold 10,000.
const maxUnanswered = 200

// awaitWrite waits for the end of a Write that has been under way for as many Reads.
func (c *conn) awaitWrite() {
	if c.reads++; c.reads > maxUnanswered {
		c.writing.Lock()
	} else if !c.writing.TryLock() {
		return
	}
	c.reads = 0
	c.writing.Unlock()
}
