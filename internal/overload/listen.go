package overload

import (
	"context"
	"net"
	"time"
)

// This file holds the listener whose connections have slots.

// A slotListener accepts a connection once there is a slot for it.
type slotListener struct {
	net.Listener
	slots  *slots
	open   context.Context // until Close
	cancel context.CancelFunc
}

// newSlotListener returns ln within slots. A connection that is served nothing for longer than idle
// is evicted.
func newSlotListener(ln net.Listener, slots *slots, idle time.Duration) net.Listener {
	l := slotListener{Listener: ln, slots: slots}
	l.open, l.cancel = context.WithCancel(context.Background())
	go l.sweep(idle)
	return l
}

func (l slotListener) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	s, err := l.slots.acquire(l.open, nc)
	if err != nil {
		return nil, err
	}
	return s, nil
}

// sweepTime is how often connections are looked for that have been idle for too long. Those of
// HTTP/1 net/http has closed by then, or gives its own time for another head.
const sweepTime = 10 * time.Second

func (l slotListener) sweep(idle time.Duration) {
	again := time.NewTicker(sweepTime)
	defer again.Stop()
	for {
		select {
		case now := <-again.C:
			l.slots.sweep(now.Add(-idle))
		case <-l.open.Done():
			return
		}
	}
}

func (l slotListener) Close() error {
	l.cancel()
	return l.Listener.Close()
}
