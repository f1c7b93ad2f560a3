package main

import (
	"context"
	"errors"
	"io"
	"net"
	"runtime"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// A gate is a listener that gives what it is told to, until it is closed.
type gate chan any

func (g gate) Accept() (net.Conn, error) {
	switch v := (<-g).(type) {
	case net.Conn:
		return v, nil
	case error:
		return nil, v
	}
	return nil, net.ErrClosed
}

func (g gate) Close() error   { close(g); return nil }
func (g gate) Addr() net.Addr { return nil }

// A closable is one end of a pipe, and tells when it is closed.
type closable struct {
	halfClosingPipe
	closed context.CancelFunc
}

func (c closable) Close() error {
	c.closed()
	return c.halfClosingPipe.Close()
}

// With all places taken connections are accepted, and wait. An error of the listener ends
// nothing, and its end closes those that wait.
func TestBacklog(t *testing.T) {
	newcomer := func() (*closable, context.Context) {
		_, server := net.Pipe()
		ctx, closed := context.WithTimeout(context.Background(), 20*time.Second)
		return &closable{halfClosingPipe{server}, closed}, ctx
	}
	l, ln := testLimits(), make(gate)
	l.places, l.waiting = newPlaces(1, time.Hour), 2
	b := newBacklog(ln, l)
	var came [4]*closable
	var gone [4]context.Context
	for i := range came {
		came[i], gone[i] = newcomer()
	}
	ln <- came[0]
	first, err := b.acceptPlace()
	if err != nil || first.Conn != came[0] {
		t.Fatalf("accepted %v, %v", first, err)
	}
	ln <- came[1]
	ln <- syscall.EMFILE // is accepted, and so the one before it waits
	first.Close()
	var got []error
	for range 2 {
		p, err := b.acceptPlace()
		if got = append(got, err); err == nil && p.Conn != came[1] {
			t.Errorf("accepted %v", p)
		}
	}
	if !errors.Is(errors.Join(got...), syscall.EMFILE) {
		t.Errorf("the errors are %v", got)
	}
	ln <- came[2]
	ln <- came[3]
	b.Close()
	for i := 2; i < 4; i++ {
		if <-gone[i].Done(); gone[i].Err() != context.Canceled {
			t.Errorf("connection %d waits for ever", i)
		}
	}
	if _, err := b.acceptPlace(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("at the end %v", err)
	}
}

// Of many that come at once the last has its place in time.
func TestBacklogIsServedInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const most, came = 10, 40
		l, g := testLimits(), make(gate)
		l.places, l.waiting = newPlaces(most, keptTime), came
		b := newBacklog(g, l)
		defer b.Close()
		_, server := net.Pipe()
		for range most {
			l.places.take(server, waitTime)
		}
		for range came {
			g <- server
		}
		begin := time.Now()
		for range came {
			if _, err := b.acceptPlace(); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(begin); took > waitTime+leastKept {
			t.Errorf("the last of %d waits for %v", came, took)
		}
	})
}

// A client that is gone gets no place, while others wait.
func TestGoneClients(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux tells")
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	connect := func() (client, server net.Conn) {
		client, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { client.Close() })
		server, err = ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		return client, server
	}
	l, g := testLimits(), make(gate, 3)
	l.waiting = 3
	gone, server := connect()
	io.WriteString(gone, "what it still sent")
	if isGone(server) {
		t.Error("one that is there is gone")
	}
	gone.Close()
	for begin := time.Now(); !isGone(server); runtime.Gosched() {
		if time.Since(begin) > 20*time.Second {
			t.Fatal("one that is gone isn't")
		}
	}
	_, next := connect()
	_, last := connect()
	b := newBacklog(g, l)
	for _, nc := range []net.Conn{server, next, last} {
		g <- nc
	}
	for len(b.waiting) < 3 {
		runtime.Gosched()
	}
	for _, want := range []net.Conn{next, last} {
		if p, err := b.acceptPlace(); err != nil || p.Conn != want {
			t.Errorf("accepted %v, %v", p, err)
		}
	}
}

// A listener that is closed while as many wait as can be ends, and closes them all.
func TestBacklogEndsWhenFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, ln := testLimits(), make(gate)
		l.places, l.waiting = newPlaces(1, time.Hour), 1
		b, closed := newBacklog(ln, l), 0
		for range 2 {
			_, server := net.Pipe()
			ln <- &closable{halfClosingPipe{server}, func() { closed++ }}
			synctest.Wait()
		}
		b.Close()
		if synctest.Wait(); closed != 2 {
			t.Errorf("%d of 2 are closed", closed)
		}
	})
}
