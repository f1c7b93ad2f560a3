package main

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"time"
)

// This file holds which heads of HTTP/1 get to net/http.

// admit takes p for a part of a head of HTTP/1, which net/http reads next. net/http
// bounds the bytes of a head, but not its fields, and not what all of them take.
func (c *conn) admit(p []byte) error {
	c.size += len(p) + fieldCost*bytes.Count(p, []byte("\n"))
	cost := c.limits.cost(c.limits.head)
	switch {
	case c.size > c.limits.head+2*fieldCost: // neither the request line nor the empty line is a field
		return c.refuse(http.StatusRequestHeaderFieldsTooLarge,
			fmt.Sprintf("over %d bytes, each field counted %d longer than it is", c.limits.head, fieldCost))
	case c.size <= smallHead || c.cost > 0 || cost == 0:
		return nil
	case !c.limits.memory.wait(cost, c.place.left):
		c.limits.refused.add()
		return c.refuse(http.StatusServiceUnavailable, "no memory for a large head; try again")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cost = cost
	if c.closed {
		c.giveBack()
	}
	return nil
}

// giveBack gives back what is taken of the shared memory.
func (c *conn) giveBack() {
	if c.cost > 0 {
		c.limits.memory.giveBack(c.cost)
		c.cost = 0
	}
}

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
	return os.ErrDeadlineExceeded
}
