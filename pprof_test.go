package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"httpserver/internal/frame"
	"httpserver/internal/wire"
)

// A closable is one end of a pipe, and tells when it is closed.
type closable struct {
	wire.HalfClosingPipe
	closed context.CancelFunc
}

func (c closable) Close() error {
	c.closed()
	return c.HalfClosingPipe.Close()
}

// A profile ends when its reader stops reading, and what net/http still writes after it.
func TestStalledProfiles(t *testing.T) {
	h := newHandler("all")
	srv := newServer(h, wire.TestHead, testLimits())
	srv.WriteTimeout /= 300
	done := make(chan bool, 1)
	srv.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.ServeHTTP(w, r)
		done <- true
	})
	clients := make(wire.Stage)
	defer srv.Close()
	defer close(clients)
	go serveOn(srv, clients, nil, testLimits())
	dial := func() (net.Conn, context.Context) {
		client, server := net.Pipe()
		t.Cleanup(func() { client.Close() })
		client.SetDeadline(time.Now().Add(20 * time.Second))
		ctx, closed := context.WithTimeout(context.Background(), 20*time.Second)
		clients <- closable{wire.HalfClosingPipe{Conn: server}, closed}
		return client, ctx
	}
	for protocol, isLetGo := range map[string]func(path string) bool{
		"HTTP/1": func(path string) bool {
			c, ctx := dial()
			io.WriteString(c, wire.Asking(path, ""))
			<-ctx.Done()
			return ctx.Err() == context.Canceled
		},
		"HTTP/2": func(path string) bool {
			c, _ := dial()
			go io.WriteString(c, frame.Preface+wire.FrameOf(frame.Settings, 0, 0, "\x00\x04\x00\x00\x00\x00")+ // no window
				wire.FrameOf(frame.Headers, frame.EndHeaders|frame.EndStream, 1, wire.Block(wire.Indexed(6), wire.LiteralOf(4, path), wire.Indexed(2), wire.LiteralOf(1, "test"))))
			p := wire.NewHTTP2PeerOn(t, c)
			return p.Await(1)[1] == "RST_STREAM 2"
		},
	} {
		for _, path := range []string{"/debug/pprof/trace?seconds=3600", "/debug/pprof/cmdline"} {
			if !isLetGo(path) {
				t.Errorf("%s over %s: the client that reads nothing stays", path, protocol)
			}
			select {
			case <-done:
			case <-time.After(20 * time.Second):
				t.Fatalf("%s over %s goes on", path, protocol)
			}
		}
	}
}

// Over HTTP/2 too, a profile may take longer than other responses.
func TestLongHTTP2Profile(t *testing.T) {
	t.Parallel() // but not to another trace of this process
	srv := newServer(newHandler("all"), wire.TestHead, testLimits())
	srv.WriteTimeout /= 40 // less than there is between the Writes of a trace
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go serveOn(srv, ln, nil, testLimits())
	defer srv.Close()
	client := http.Client{Transport: wire.HTTP2Transport(t)}
	for _, path := range []string{"profile", "trace"} {
		res, err := client.Get("http://" + ln.Addr().String() + "/debug/pprof/" + path + "?seconds=2")
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		if res.StatusCode != 200 || len(body) == 0 || err != nil {
			t.Errorf("%s: status %d, %d bytes, %v", path, res.StatusCode, len(body), err)
		}
	}
}
