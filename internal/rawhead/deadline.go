package rawhead

import (
	"net"
	"os"
	"sync"
	"time"
)

// A thriftyConn passes deadlines on only when a Read or Write needs them. net/http
// moves those of a connection some eight times a request, which would take a tenth of
// its instructions. A deadline may come up to a second early.
type thriftyConn struct {
	halfCloser
	socket      net.Conn // what is written goes to it
	read, write deadline
}

// A halfCloser can close its sending side alone, which net/http does to let a
// client that still sends read its response.
type halfCloser interface {
	net.Conn
	CloseWrite() error
}

// newThriftyConn returns a thriftyConn over nc. Where nc has a method Socket, it only watches what is
// read, and what is written goes past it, to the connection that Socket returns (see
// noteFrames).
func newThriftyConn(nc halfCloser) *thriftyConn {
	c := &thriftyConn{halfCloser: nc, socket: nc}
	if w, ok := nc.(interface{ Socket() net.Conn }); ok {
		c.socket = w.Socket()
	}
	c.read.pass, c.write.pass = nc.SetReadDeadline, c.socket.SetWriteDeadline
	return c
}

func (c *thriftyConn) Read(p []byte) (int, error) {
	if err := c.read.begin(); err != nil {
		return 0, err
	}
	n, err := c.halfCloser.Read(p)
	c.read.end()
	return n, err
}

func (c *thriftyConn) Write(p []byte) (int, error) {
	if err := c.write.begin(); err != nil {
		return 0, err
	}
	n, err := c.socket.Write(p)
	c.write.end()
	return n, err
}

func (c *thriftyConn) SetDeadline(t time.Time) error {
	if err := c.read.move(t); err != nil {
		return err
	}
	return c.write.move(t)
}

func (c *thriftyConn) SetReadDeadline(t time.Time) error { return c.read.move(t) }

func (c *thriftyConn) SetWriteDeadline(t time.Time) error { return c.write.move(t) }

// A deadline is that of a connection's Reads or of its Writes.
type deadline struct {
	pass func(time.Time) error // sets it on the connection

	mu     sync.Mutex // guards the following
	at     time.Time  // zero for none
	passed time.Time  // what was passed on last
	inUse  int        // Reads or Writes under way
}

// move sets d to t, for the Read or Write that is under way as well.
func (d *deadline) move(t time.Time) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.at = t
	if d.inUse == 0 {
		return nil
	}
	d.passed = t
	return d.pass(t)
}

// longAgo is before any deadline but those that net/http sets to end a Read at once.
var longAgo = time.Now()

// begin begins a Read or Write, unless d is long past.
func (d *deadline) begin() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.at.Before(longAgo) && !d.at.IsZero() {
		return os.ErrDeadlineExceeded
	}
	if later := d.at.Sub(d.passed); later < 0 || later >= time.Second {
		if err := d.pass(d.at); err != nil {
			return err
		}
		d.passed = d.at
	}
	d.inUse++
	return nil
}

// end ends a Read or Write.
func (d *deadline) end() {
	d.mu.Lock()
	d.inUse--
	d.mu.Unlock()
}
