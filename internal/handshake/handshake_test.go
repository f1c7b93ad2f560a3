package handshake

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"httpserver/internal/wire"
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
	clients := make(wire.Stage)
	defer close(clients)
	l := Listener(clients, &tls.Config{}, time.Minute, nil)
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
