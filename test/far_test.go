//go:build unix

package test

import (
	"bytes"
	"io"
	"net"
	"os/exec"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// This file holds how those fare whom the network or their own request gives much time, while
// strangers who send nothing want every slot.

// relay returns an address whose clients reach addr as from so far that a round trip takes rtt. As
// over a network, the server has a connection with the first of what the client sends.
func relay(t *testing.T, addr string, rtt time.Duration) string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			client, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer client.Close()
				first := make([]byte, 4<<10)
				n, err := client.Read(first)
				if err != nil {
					return
				}
				time.Sleep(rtt * 3 / 2)
				server, err := net.Dial("tcp", addr)
				if err != nil {
					return
				}
				defer server.Close()
				server.Write(first[:n])
				go passLate(server, client, rtt/2)
				passLate(client, server, rtt/2)
			}()
		}
	}()
	return ln.Addr().String()
}

// passLate passes on what from sends to to, and its end, each part so much later.
func passLate(to, from net.Conn, late time.Duration) {
	type part struct {
		bytes []byte
		due   time.Time
	}
	parts := make(chan part, 1000)
	go func() {
		defer close(parts)
		for buf := make([]byte, 16<<10); ; {
			n, err := from.Read(buf)
			parts <- part{bytes.Clone(buf[:n]), time.Now().Add(late)}
			if err != nil {
				return
			}
		}
	}()
	for p := range parts {
		time.Sleep(time.Until(p.due))
		to.Write(p.bytes)
	}
	to.Close()
}

// besiegedByNothing starts the program under a memory limit, and has strangers connect who send nothing.
func besiegedByNothing(t *testing.T, scheme string) *process {
	t.Setenv("GOMEMLIMIT", "64MiB")
	p := startOver(t, scheme)
	attackers(t, p, "^nothing sent$", scheme)
	p.waitLog("closed to make room")
	return p
}

// Clients that are far away are served.
func TestFarClients(t *testing.T) {
	if !*soak {
		t.Skip("no -soak")
	}
	for _, scheme := range []string{"http", "https"} {
		p := besiegedByNothing(t, scheme)
		for _, rtt := range []time.Duration{100 * time.Millisecond, 300 * time.Millisecond} {
			addr, served := relay(t, p.addr, rtt), atomic.Int64{}
			var clients sync.WaitGroup
			for range 30 {
				clients.Go(func() {
					out, err := exec.Command("curl", "-sSkm10", "-o/dev/null", "-w%{http_code}", scheme+"://"+addr+"/hello").CombinedOutput()
					if err == nil && string(out) == "200" {
						served.Add(1)
					} else {
						t.Logf("%s, %v away: %v, %s", scheme, rtt, err, out)
					}
				})
				time.Sleep(50 * time.Millisecond)
			}
			clients.Wait()
			t.Logf("%s, %v away: %d of 30 are served", scheme, rtt, served.Load())
			if served.Load() < 29 {
				t.Error("too few")
			}
		}
	}
}

// What has begun ends well.
func TestLongRequests(t *testing.T) {
	if !*soak {
		t.Skip("no -soak")
	}
	for _, scheme := range []string{"http", "https"} {
		p := besiegedByNothing(t, scheme)
		var clients sync.WaitGroup
		for range 5 {
			for what, args := range map[string][]string{
				"a delay":   {"/hello?delay=3s"},
				"an upload": {"/hello", "--data-binary", "@-", "--limit-rate", "3M"},
				"a profile": {"/debug/pprof/profile?seconds=4"},
			} {
				clients.Go(func() {
					cmd := exec.Command("curl", append([]string{"-sSkm20", "-o/dev/null", "-w%{http_code}", scheme + "://" + p.addr + args[0]}, args[1:]...)...)
					cmd.Stdin = io.LimitReader(endlessBody{}, 9<<20)
					out, err := cmd.CombinedOutput()
					ok := err == nil && (string(out) == "200" || what == "a profile" && string(out) == "500") // one CPU profile at a time
					if !ok {
						t.Errorf("%s, %s: %v, %s", scheme, what, err, out)
					}
				})
			}
		}
		clients.Wait()
	}
}

// An endlessBody is read without end.
type endlessBody struct{}

func (endlessBody) Read(p []byte) (int, error) { return len(p), nil }
