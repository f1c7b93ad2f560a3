package main

import (
	"bufio"
	"io"
	"math"
	"net"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"httpserver/internal/frame"
	"httpserver/internal/overload"
	"httpserver/internal/rawhead"
	"httpserver/internal/wire"
)

func testLimits() *overload.Limits {
	l, err := overload.New(overload.Config{MaxHead: wire.TestHead, HeadCopies: rawhead.HeadCopies, Idle: idleTimeout + headTimeout})
	if err != nil {
		panic(err)
	}
	return l
}

// servePipe serves a client in a synctest bubble, and returns its end of the connection.
func servePipe(t *testing.T) (client net.Conn) {
	time.Sleep(time.Until(testsBegan))
	client, server := net.Pipe()
	clients := make(wire.Stage, 1)
	clients <- wire.HalfClosingPipe{Conn: server}
	t.Cleanup(func() { close(clients) })
	go serveOn(newServer(newHandler("none"), wire.TestHead, testLimits()), clients, nil, testLimits())
	return client
}

// A connection of HTTP/2 ends when it has had no stream for idleTimeout, or a sweep later, also where it had none.
func TestIdleHTTP2(t *testing.T) {
	for _, hasRequest := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			client, ended := servePipe(t), time.Time{}
			go func() {
				io.Copy(io.Discard, client)
				ended = time.Now()
			}()
			io.WriteString(client, wire.HTTP2Start)
			last := time.Now()
			if hasRequest {
				time.Sleep(idleTimeout * 3 / 4)
				io.WriteString(client, wire.Request(1))
				last = time.Now()
			}
			time.Sleep(2 * idleTimeout)
			synctest.Wait()
			if took := ended.Sub(last); took < idleTimeout || took > idleTimeout+headTimeout+10*time.Second {
				t.Errorf("it ends after %v, want %v", took, idleTimeout)
			}
		})
	}
}

// Each header block has headTimeout to be whole, also one whose beginning comes with another's end.
func TestHalfBlocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, ended := servePipe(t), time.Time{}
		go func() {
			io.Copy(io.Discard, client)
			ended = time.Now()
		}()
		half := func(stream int) string {
			return wire.FrameOf(frame.Headers, frame.EndStream, stream, wire.Block(wire.Asked4...))
		}
		rest := func(stream int) string { return wire.FrameOf(frame.Continuation, frame.EndHeaders, stream) }
		io.WriteString(client, wire.HTTP2Start+half(1))
		time.Sleep(headTimeout / 2)
		begin := time.Now()
		io.WriteString(client, rest(1)+half(3))
		time.Sleep(idleTimeout / 2)
		synctest.Wait()
		if took := ended.Sub(begin); took < headTimeout-time.Second || took > headTimeout {
			t.Errorf("it ends after %v, want %v", took, headTimeout)
		}
	})
}

// Over HTTP/2 net/http takes so much of a body that no handler reads, as its settings say.
func TestBodyWindow(t *testing.T) {
	for bounded, want := range map[bool]int{false: bodyWindow, true: boundedBodyWindow} {
		limit := int64(math.MaxInt64)
		if bounded {
			limit = 64 << 20
		}
		before := debug.SetMemoryLimit(limit)
		l := testLimits()
		debug.SetMemoryLimit(before)
		c := wire.NewHTTP2Peer(t, "tcp", testServerWithin(t, newHandler("none"), l), nil).Conn
		io.WriteString(c, wire.HTTP2Start)
		f := make(frame.Frame, frame.HeaderSize)
		if _, err := io.ReadFull(c, f); err != nil || f.Kind() != frame.Settings {
			t.Fatalf("%q, %v", f, err)
		}
		settings := make([]byte, f.Length())
		if _, err := io.ReadFull(c, settings); err != nil {
			t.Fatal(err)
		}
		window := 0
		for s := range slices.Chunk(settings, 6) {
			if s[0] == 0 && s[1] == 4 { // INITIAL_WINDOW_SIZE (RFC 9113 section 6.5.2)
				window = int(s[2])<<24 | int(s[3])<<16 | int(s[4])<<8 | int(s[5])
			}
		}
		if window != want {
			t.Errorf("bounded: %v, %d bytes, want %d", bounded, window, want)
		}
	}
}

// An HTTP/2 client that doesn't read is let go in time, as is one that reads a byte.
func TestStalledHTTP2Write(t *testing.T) {
	for read := range 2 {
		synctest.Test(t, func(t *testing.T) {
			client := servePipe(t)
			io.WriteString(client, frame.Preface+wire.FrameOf(frame.Settings, 0, 0))
			client.Read(make([]byte, read))
			time.Sleep(responseTimeout + time.Second)
			if rest, err := io.ReadAll(client); err != nil || len(rest) > 0 {
				t.Errorf("after %d bytes its connection stays: %q, %v", read, rest, err)
			}
		})
	}
}

// testsBegan is a time that the clock of a bubble is to be past.
var testsBegan = time.Now()

// A delay ends with its connection, also where net/http doesn't see that, because of what came behind.
func TestDelayEndsWithConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(testsBegan))
		l, err := overload.New(overload.Config{MaxConns: 1, MaxHead: wire.TestHead, HeadCopies: rawhead.HeadCopies, Idle: idleTimeout})
		if err != nil {
			t.Fatal(err)
		}
		clients, h := make(wire.Stage), newHandler("none")
		defer close(clients)
		go serveOn(newServer(h, wire.TestHead, l), clients, nil, l)
		client, server := net.Pipe()
		clients <- wire.HalfClosingPipe{Conn: server}
		go io.WriteString(client, strings.Repeat(wire.Asking("/hello?delay=30s", ""), 2))
		time.Sleep(time.Second)
		if n := h.inFlight.Load(); n != 1 {
			t.Fatalf("%d requests are in flight", n)
		}
		_, another := net.Pipe()
		clients <- wire.HalfClosingPipe{Conn: another} // evicts the first
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
