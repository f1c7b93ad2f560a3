package main

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A watched is one end of a pipe, and tells when it is read from first.
type watched struct {
	net.Conn
	read func()
}

func (w watched) Read(p []byte) (int, error) {
	w.read()
	return w.Conn.Read(p)
}

// A TLS listener that is closed ends the handshakes that are under way.
func TestCloseDuringHandshake(t *testing.T) {
	clients := make(stage)
	defer close(clients)
	l := newTLSListener(clients, &tls.Config{}, time.Minute, nil)
	client, server := net.Pipe()
	reading := make(chan struct{})
	clients <- watched{server, sync.OnceFunc(func() { close(reading) })}
	<-reading
	l.Close()
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept: %v", err)
	}
	client.SetReadDeadline(time.Now().Add(time.Second * 10))
	if _, err := client.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("a client in its handshake: %v", err)
	}
}

// Within a GOMEMLIMIT the kernel buffers little of a connection, as Linux has it twice of what
// it is asked for.
func TestBuffers(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("others count otherwise")
	}
	for _, bounded := range []bool{false, true} {
		tcp, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		l, err := newLimits(limitsConfig{head: testHead, headCopies: 1})
		if err != nil {
			t.Fatal(err)
		}
		l.bounded, l.queue = bounded, 10
		ln := l.listener(tcp)
		defer ln.Close()
		_, c := bothEnds(t, ln)
		raw, err := slotOf(c).Conn.(syscall.Conn).SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		raw.Control(func(fd uintptr) {
			for buffer, want := range map[int]int{syscall.SO_RCVBUF: receiveBuffer, syscall.SO_SNDBUF: sendBuffer} {
				size, err := syscall.GetsockoptInt(int(fd), syscall.SOL_SOCKET, buffer)
				if (size == 2*want) != bounded || err != nil {
					t.Errorf("bounded: %v, a buffer of %d bytes, %v", bounded, size, err)
				}
			}
		})
	}
}
