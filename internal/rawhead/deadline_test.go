package rawhead

import (
	"errors"
	"net"
	"os"
	"runtime"
	"testing"
	"time"

	"httpserver/internal/wire"
)

// A Read or Write has the deadline that was set last, or one at most a second
// earlier, whichever method set it.
func TestDeadlines(t *testing.T) {
	begin := time.Now().Add(time.Hour)
	for name, set := range map[string]func(c *thriftyConn, t time.Time){
		"SetDeadline":  func(c *thriftyConn, t time.Time) { c.SetDeadline(t) },
		"one and both": func(c *thriftyConn, t time.Time) { c.SetDeadline(begin); c.SetReadDeadline(t); c.SetWriteDeadline(t) },
	} {
		d := new(wire.Deadlines)
		c := newThriftyConn(d)
		for i, ms := range []int{0, 1, 999, 1000, 500, 1499, 1500, 1_000_000, 0, -1, 999, -1, -1} {
			at := begin.Add(time.Duration(ms) * time.Millisecond)
			if ms < 0 {
				at = time.Time{}
			}
			set(c, at)
			c.Read(make([]byte, 1))
			c.Write(make([]byte, 1))
			for _, got := range []time.Time{d.ReadDeadline, d.WriteDeadline} {
				if got.IsZero() != at.IsZero() || got.After(at) || at.Sub(got) >= time.Second {
					t.Errorf("%s %d: deadline %v, want %v", name, i, got, at)
				}
			}
		}
	}
}

// What net/http does for a hundred requests passes on two deadlines.
func TestDeadlinesPassedOn(t *testing.T) {
	d := new(wire.Deadlines)
	c := newThriftyConn(d)
	begin := time.Now().Add(time.Hour)
	for i := range 100 {
		begin := begin.Add(time.Duration(i) * time.Millisecond)
		for _, timeout := range []time.Duration{10 * time.Second, 30 * time.Second, 0, 0, 120 * time.Second} {
			c.SetReadDeadline(begin.Add(timeout))
		}
		c.SetWriteDeadline(begin.Add(30 * time.Second))
		c.Write(make([]byte, 1))
		c.SetWriteDeadline(time.Time{})
		c.Read(make([]byte, 1))
	}
	if d.Passed > 2 {
		t.Errorf("%d", d.Passed)
	}
	c.SetReadDeadline(time.Unix(1, 0))
	if n, err := c.Read(make([]byte, 1)); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("Read after its deadline: %d, %v", n, err)
	}
}

// net/http ends a Read that is under way by setting a deadline in the past.
func TestDeadlineDuringRead(t *testing.T) {
	client, server := net.Pipe()
	defer client.Close()
	c := newThriftyConn(wire.HalfClosingPipe{Conn: server})
	done := make(chan error, 1)
	for _, set := range []func(time.Time) error{c.SetReadDeadline, c.SetDeadline} {
		set(time.Now().Add(time.Hour))
		go func() {
			_, err := c.Read(make([]byte, 1))
			done <- err
		}()
		for reading := false; !reading; runtime.Gosched() {
			c.read.mu.Lock()
			reading = c.read.inUse > 0
			c.read.mu.Unlock()
		}
		set(time.Unix(1, 0))
		select {
		case err := <-done:
			if !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("Read: %v", err)
			}
		case <-time.After(10 * time.Second):
			t.Fatal("Read goes on")
		}
	}
}
