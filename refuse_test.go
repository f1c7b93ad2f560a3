package main

import (
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A head that is refused within a line is told of once, and net/http reads no more.
func TestRefusedWithinALine(t *testing.T) {
	for _, size := range []int{1000, 4096} { // of what arrives at once
		synctest.Test(t, func(t *testing.T) {
			time.Sleep(time.Until(longAgo))
			client, server := net.Pipe()
			l, told := testLimits(), []string(nil)
			refused := func(_ net.Addr, _, answer []byte) { told = append(told, string(answer[:12])) }
			conns := make(stage, 1)
			defer close(conns)
			nc := halfClosingPipe{server}
			conns <- newConn(nc, take(l.slots, nc), l, refused)
			go newServer(newHandler("none"), l).Serve(conns)
			send(client, "GET / HTTP/1.1\r\nHost: a\r\n")
			raw := "X: " + strings.Repeat("a", 2*testHead)
			for raw != "" {
				n := min(size, len(raw))
				go client.Write([]byte(raw[:n]))
				synctest.Wait()
				raw = raw[n:]
			}
			client.Close()
			synctest.Wait()
			if len(told) != 1 || told[0] != "HTTP/1.1 431" {
				t.Errorf("%d bytes at once: %q, want one answer of %d", size, told, http.StatusRequestHeaderFieldsTooLarge)
			}
		})
	}
}
