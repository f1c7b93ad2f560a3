package main

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"
)

// This file holds which heads of HTTP/1 get to net/http.

// admit has a head go on of which size has come, as limits.head counts. net/http bounds
// the bytes of a head, but not its fields, and not what all of them take.
func (c *conn) admit(size int) error {
	switch {
	case size > c.limits.head+2*fieldCost: // neither the request line nor the empty line is a field
		return c.refuse(http.StatusRequestHeaderFieldsTooLarge, tooLargeHead(c.limits.head))
	case size <= smallHead || c.hasAcquired():
		return nil
	}
	cost := headCopies * c.limits.head
	switch err := c.await(cost); err {
	case nil:
	case errNoMemory:
		c.limits.refused.add(1)
		return c.refuse(http.StatusServiceUnavailable, "no memory for a large head; try again")
	default:
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.acquired = cost
	if c.closed {
		c.release()
	}
	return nil
}

// What a large head of HTTP/1 waits for memory.
const (
	memoryWait  = 5 * time.Second
	memoryRetry = 10 * time.Millisecond
)

var errNoMemory = errors.New("no memory")

// await acquires memory, and tries for memoryWait at most, while the connection has its slot. It
// doesn't queue at the semaphore, where a large head would have all others wait for it. It returns
// errNoMemory, or net.ErrClosed where the slot is lost.
func (c *conn) await(cost int) error {
	if c.limits.memory.TryAcquire(int64(cost)) {
		return nil
	}
	late, again := time.After(memoryWait), time.NewTicker(memoryRetry)
	defer again.Stop()
	for {
		select {
		case <-again.C:
			if c.limits.memory.TryAcquire(int64(cost)) {
				return nil
			}
		case <-c.slot.left:
			return net.ErrClosed
		case <-late:
			return errNoMemory
		}
	}
}

// hasAcquired reports whether the head has its memory.
func (c *conn) hasAcquired() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.acquired > 0
}

// release releases what is acquired. c.mu is to be held.
func (c *conn) release() { resize(c.limits.memory, &c.acquired, 0) }

// refuse answers in net/http's stead, which reads a head and so has nothing to write.
// It returns an error on which net/http closes the connection and says nothing.
func (c *conn) refuse(status int, why string) error {
	again := ""
	if status == http.StatusServiceUnavailable {
		again = "Retry-After: 1\r\n"
	}
	text := http.StatusText(status)
	c.SetWriteDeadline(time.Now().Add(lingerTimeout))
	fmt.Fprintf(c, "HTTP/1.1 %d %s\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n%s\r\n%d %s: %s\n",
		status, text, again, status, text, why)
	c.CloseWrite()
	c.answered, c.refused = true, nil // net/http takes half a line for one, and may refuse it
	return os.ErrDeadlineExceeded
}
