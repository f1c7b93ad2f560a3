package main

import (
	"bufio"
	"io"
	"net"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// Where more is in use than may be, connections are closed, and else none.
func TestValve(t *testing.T) {
	for most, want := range map[uint64]int{1 << 40: 0, 1: 10} {
		ss := newSlots(100)
		for range 10 {
			take(ss, new(hanging)).note(served, time.Now().Add(-stay))
		}
		v := &valve{slots: ss, most: most}
		if v.check(); ss.closing != want {
			t.Errorf("with a limit of %d bytes %d of 10 are closed, want %d", most, ss.closing, want)
		}
	}
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(100 << 20))
	if v := newValve(nil); v.most/(1<<20) != valveShare {
		t.Errorf("%d bytes of 100 MiB may be in use", v.most)
	}
}

// A stalled is a connection whose Writes wait.
type stalled struct {
	*script
	began chan bool
	wait  sync.Mutex
}

func (s *stalled) Write(p []byte) (int, error) {
	s.began <- true
	s.wait.Lock()
	defer s.wait.Unlock()
	return len(p), nil
}

// A client that doesn't read has so much read of it at most, and goes on when a Write has ended.
func TestUnansweredFrames(t *testing.T) {
	s := &stalled{script: newScript(http2Start+strings.Repeat(frameOf(pingFrame, 0, 0, "12345678"), 1000), cuts["whole"]), began: make(chan bool)}
	c := newTestConn(s)
	io.ReadFull(c, make([]byte, len(preface)))
	io.ReadFull(c, make([]byte, len(http2Start)-len(preface)))
	s.wait.Lock()
	go c.Write([]byte(frameOf(pingFrame, 1, 0, "12345678")))
	<-s.began
	for range maxUnanswered {
		c.Read(make([]byte, frameHeader))
	}
	var ended atomic.Bool
	read := make(chan bool)
	go func() {
		c.Read(make([]byte, frameHeader))
		read <- ended.Load()
	}()
	for range 1000 {
		runtime.Gosched()
	}
	ended.Store(true)
	s.wait.Unlock()
	if !<-read {
		t.Errorf("it is read %d times while a Write is under way", maxUnanswered+1)
	}
}

// A delay ends with its connection, also where net/http doesn't see that, because of what came behind.
func TestDelayEndsWithConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(testsBegan))
		l, err := newLimits(limitsConfig{conns: 1, head: testHead, headCopies: headCopies, idle: idleTimeout})
		if err != nil {
			t.Fatal(err)
		}
		clients, h := make(stage), newHandler("none")
		defer close(clients)
		go serveOn(newServer(h, testHead, l), clients, nil, l)
		client, server := net.Pipe()
		clients <- halfClosingPipe{Conn: server}
		go io.WriteString(client, strings.Repeat(asking("/hello?delay=30s", ""), 2))
		time.Sleep(time.Second)
		if n := h.inFlight.Load(); n != 1 {
			t.Fatalf("%d requests are in flight", n)
		}
		_, another := net.Pipe()
		clients <- halfClosingPipe{Conn: another} // evicts the first
		synctest.Wait()
		if n := h.inFlight.Load(); n != 0 {
			t.Errorf("%d requests are in flight", n)
		}
		if _, err := bufio.NewReader(client).ReadByte(); err != io.EOF {
			t.Errorf("the client gets %v", err)
		}
		another.Close()
	})
}
