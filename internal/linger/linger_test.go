package linger

import (
	"testing"
	"time"

	"httpserver/internal/wire"
)

// An endless is a connection whose client doesn't stop sending.
type endless struct {
	wire.Deadlines
	sent int64
}

func (e *endless) CloseWrite() error { return nil }

func (e *endless) Read(p []byte) (int, error) {
	e.sent += int64(len(p))
	return len(p), nil
}

// What a client still sends after it was told that it is too much is taken for so
// long, and so many bytes.
func TestLinger(t *testing.T) {
	e := new(endless)
	before := time.Now()
	CloseWrite(e)
	if e.ReadDeadline.Before(before) || e.ReadDeadline.After(time.Now().Add(Timeout)) {
		t.Errorf("the deadline is %v, from %v on", e.ReadDeadline, before)
	}
	if e.sent != maxBytes {
		t.Errorf("%d bytes are taken, want %d", e.sent, maxBytes)
	}
}
