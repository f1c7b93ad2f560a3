package handshake

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"testing/synctest"
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

// What a client offers is kept with its connection. A connection of
// another kind has nothing.
func TestHello(t *testing.T) {
	config := &tls.Config{Certificates: []tls.Certificate{wire.NewPair(t, nil)}}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := Listener(ln, config, time.Minute, func(net.Conn, error) {})
	defer l.Close()
	go func() {
		c, err := tls.Dial("tcp", ln.Addr().String(), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"a", "b"}})
		if err == nil {
			defer c.Close()
			c.Read(make([]byte, 1))
		}
	}()
	nc, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if h := Hello(nc); h == nil || Hello(nc.(*tls.Conn).NetConn()) != h {
		t.Errorf("%v is kept", h)
	}
	if h := Hello(&net.TCPConn{}); h != nil {
		t.Errorf("%v is kept of a connection without TLS", h)
	}
}

// What isn't TLS is told apart.
func TestOtherProtocols(t *testing.T) {
	for sent, want := range map[string]error{
		"GET / HTTP/1.1\r\n\r\n":                 errPlainHTTP,
		"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n": errProxy,
		"\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00": errProxy,
	} {
		clients, told := make(wire.Stage, 1), make(chan error, 1)
		clients <- wire.NewScript(sent, wire.Cuts["whole"])
		l := Listener(clients, &tls.Config{}, time.Minute, func(_ net.Conn, err error) { told <- err })
		if err := <-told; err != want {
			t.Errorf("%q: %v is told, want %v", sent, err, want)
		}
		l.Close()
		close(clients)
	}
}

// A client that takes too long is told of, and so is an error of the connection below.
func TestFailedHandshakes(t *testing.T) {
	below := errors.New("below")
	for _, test := range []struct {
		fails error
		after time.Duration
		want  string
	}{
		{nil, time.Minute, "not done within 1m0s"},
		{below, 0, "below"},
	} {
		synctest.Test(t, func(t *testing.T) {
			client, server := net.Pipe()
			defer client.Close()
			clients, told, begin := make(wire.Stage, 1), make(chan error, 1), time.Now()
			defer close(clients)
			clients <- failing{server, test.fails}
			l := Listener(clients, &tls.Config{}, time.Minute, func(_ net.Conn, err error) { told <- err })
			defer l.Close()
			go io.Copy(io.Discard, client)
			client.Write([]byte("\x16"))
			if err := <-told; err.Error() != test.want || test.fails != nil && !errors.Is(err, test.fails) || time.Since(begin) != test.after {
				t.Errorf("%v is told after %v, want %s after %v", err, time.Since(begin), test.want, test.after)
			}
			client.Close()
			synctest.Wait()
		})
	}
}

// Of a client that sends nothing nothing is told: so do those that only try whether a server listens.
func TestSilentClients(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe()
		clients := make(wire.Stage, 1)
		defer close(clients)
		clients <- server
		l := Listener(clients, &tls.Config{}, time.Minute, func(_ net.Conn, err error) { t.Error(err) })
		defer l.Close()
		if _, err := client.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("after a minute: %v", err)
		}
	})
}

// The time for a handshake doesn't bound what comes after it.
func TestAfterHandshake(t *testing.T) {
	config := &tls.Config{Certificates: []tls.Certificate{wire.NewPair(t, nil)}}
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe()
		clients := make(wire.Stage, 1)
		defer close(clients)
		clients <- server
		l := Listener(clients, config, time.Second, func(_ net.Conn, err error) { t.Error(err) })
		defer l.Close()
		tc := tls.Client(client, &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12})
		go func() {
			tc.Handshake()
			time.Sleep(time.Minute)
			tc.Write([]byte("a"))
		}()
		nc, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := nc.Read(make([]byte, 1)); err != nil {
			t.Errorf("a minute later: %v", err)
		}
		client.Close()
		server.Close()
	})
}

// A failing connection fails with its first byte, unless err is nil.
type failing struct {
	net.Conn
	err error
}

func (f failing) Read(p []byte) (int, error) {
	n, err := f.Conn.Read(p)
	if f.err != nil {
		err = f.err
	}
	return n, err
}
