package rawhead

import (
	"cmp"
	"errors"
	"fmt"
	"iter"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"httpserver/internal/head"
	"httpserver/internal/linger"
)

// This file holds which heads of HTTP/1 get to net/http, and what is told of those that don't get
// to a handler.

// A Refusal is of a request that no handler gets.
type Refusal struct {
	Conn   net.Conn         // that the listener gave
	Line   []byte           // the first line of what came, or 1,000 bytes of it; nil where it isn't known
	Head   iter.Seq[string] // the lines of as much as came of it, while Refused is called; or nil
	Status int              // of the answer; 0 where there was none
	Reason string

	NoMemory bool // there was none for it
}

// maxLine is how much is told of a first line, in bytes.
const maxLine = 1000

// tellRefused tells of answer, by which net/http or refuse refuses a request of HTTP/1. The reason is in
// its body, behind the words of the status, or else in what came.
func (c *conn) tellRefused(answer []byte) {
	head, body, _ := strings.Cut(string(answer), "\r\n\r\n")
	_, status, _ := strings.Cut(head, " ")
	status, _, _ = strings.Cut(status, " ")
	number, _ := strconv.Atoi(status)
	words := http.StatusText(number)
	why := strings.TrimPrefix(strings.TrimPrefix(strings.TrimSpace(body), status+" "), words)
	why = strings.TrimPrefix(why, ": ")

	c.mu.Lock()
	defer c.mu.Unlock()
	if c.silent.Swap(true) {
		return
	}
	line, pending := c.http1.FirstLine(maxLine), c.http1.Pending()
	if why == "" || why == "invalid header name" || number == http.StatusNotImplemented {
		words = cmp.Or(why, words)
		why = otherProtocol(line)
		switch {
		case c.readError != nil && why != "":
			why += "; " + c.unfinished("head")
		case c.readError != nil:
			why = c.unfinished("head")
		case why != "":
		case len(line) > 0 && (line[0] == '\r' || line[0] == '\n'):
			why = "an empty line before the request line"
		case number == http.StatusExpectationFailed:
			why = "Expect names what isn't known"
		case pending != nil:
			why = reasonOf(pending)
		}
	}
	r := Refusal{Line: line, Head: linesOf(pending), Status: number, Reason: cmp.Or(why, words), NoMemory: number == http.StatusServiceUnavailable}
	select {
	case <-c.closed: // the answer goes nowhere
		r.Status = 0
	default:
	}
	c.account.tell(r)
}

// linesOf returns the lines of text, or nil where there is none.
func linesOf(text []byte) iter.Seq[string] {
	if len(text) == 0 {
		return nil
	}
	return func(yield func(string) bool) { strings.Lines(string(text))(yield) }
}

// tellUnanswered tells of what has come in part, if there is something, and is closed without an answer:
// a head of HTTP/1, or a header block. c.mu is to be held.
func (c *conn) tellUnanswered() {
	switch {
	case c.http2 != nil:
		if c.http2.Unfinished() != 0 && !c.http2.GoneAway() {
			c.account.tell(Refusal{Reason: c.unfinished("frame or header block")})
		}
	case !c.handled.Load():
		c.tellUnread(c.unfinished("head"))
	}
}

// tellUnread tells once of a head of HTTP/1 that is closed without an answer. c.mu is to be held.
func (c *conn) tellUnread(why string) {
	if line := c.http1.FirstLine(maxLine); len(line) > 0 && !c.silent.Swap(true) {
		c.account.tell(Refusal{Line: line, Head: linesOf(c.http1.Pending()), Reason: why})
	}
}

// unfinished says why what isn't whole. c.mu is to be held.
func (c *conn) unfinished(what string) string {
	select {
	case <-c.closed:
		return "closed to make room before the " + what + " was whole"
	default:
	}
	switch {
	case c.readError == nil || errors.Is(c.readError, net.ErrClosed):
		return "closed before the " + what + " was whole"
	case errors.Is(c.readError, os.ErrDeadlineExceeded):
		return fmt.Sprintf("%s not whole within %v", what, c.of.headTimeout)
	default:
		return "the client closed before the " + what + " was whole"
	}
}

// admit has a head of HTTP/1 go on of which size has come. net/http bounds the bytes of a head, but
// not its fields, and not what all of them take.
func (c *conn) admit(size int) error {
	a := &c.account
	switch {
	case size > a.maxHead+2*head.FieldCost: // neither the request line nor the empty line is a field
		return c.refuse(http.StatusRequestHeaderFieldsTooLarge, "request head "+headTooLarge(a.maxHead))
	case size <= smallHead || c.hasAcquired():
		return nil
	}
	switch err := c.await(HeadCopies * a.maxHead); err {
	case errNoMemory:
		return c.refuse(http.StatusServiceUnavailable, "no memory for a large head; try again")
	default:
		return err
	}
}

// headTooLarge says what a head is that is larger than most bytes.
func headTooLarge(most int) string {
	return fmt.Sprintf("over %d bytes, counting %d more for each field", most, head.FieldCost)
}

// What a large head of HTTP/1 waits for memory.
const (
	memoryWait  = 5 * time.Second
	memoryRetry = 10 * time.Millisecond
)

var errNoMemory = errors.New("no memory")

// await acquires memory, and tries for memoryWait at most, while the connection is open. It
// doesn't queue at the semaphore, where a large head would have all others wait for it. It returns
// errNoMemory, or net.ErrClosed where the connection is closed.
func (c *conn) await(cost int) error {
	if ok, err := c.acquire(cost); ok {
		return err
	}
	late, again := time.After(memoryWait), time.NewTicker(memoryRetry)
	defer again.Stop()
	for {
		select {
		case <-again.C:
			if ok, err := c.acquire(cost); ok {
				return err
			}
		case <-c.closed:
			return net.ErrClosed
		case <-late:
			return errNoMemory
		}
	}
}

// acquire tries to acquire memory. It reports true where no more is to be tried.
func (c *conn) acquire(cost int) (bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.isDone {
		return true, net.ErrClosed
	}
	return c.account.resize(cost), nil
}

// hasAcquired reports whether the head has its memory.
func (c *conn) hasAcquired() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.account.acquired > 0
}

// refuse answers in net/http's stead, which reads a head and so has nothing to write.
// It returns an error on which net/http closes the connection and says nothing.
func (c *conn) refuse(status int, why string) error {
	again := ""
	if status == http.StatusServiceUnavailable {
		again = "Retry-After: 1\r\n"
	}
	text := http.StatusText(status)
	c.SetWriteDeadline(time.Now().Add(linger.Timeout))
	fmt.Fprintf(c, "HTTP/1.1 %d %s\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n%s\r\n%d %s: %s\n",
		status, text, again, status, text, why)
	c.CloseWrite()
	c.answered = true // net/http takes half a line for one, and may refuse it
	return os.ErrDeadlineExceeded
}
