package wire

import (
	"net"
	"time"
)

// A Deadlines is a connection that knows the deadlines passed on to it.
type Deadlines struct {
	net.Conn
	ReadDeadline, WriteDeadline time.Time
	Passed                      int
}

func (d *Deadlines) SetReadDeadline(t time.Time) error { d.ReadDeadline = t; d.Passed++; return nil }

func (d *Deadlines) SetWriteDeadline(t time.Time) error { d.WriteDeadline = t; d.Passed++; return nil }

func (d *Deadlines) Read(p []byte) (int, error) { return 1, nil }

func (d *Deadlines) Write(p []byte) (int, error) { return len(p), nil }

func (d *Deadlines) CloseWrite() error { return nil }

type HalfClosingPipe struct{ net.Conn }

func (HalfClosingPipe) CloseWrite() error { return nil }
