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
			var told []int
			conns := make(stage, 1)
			defer close(conns)
			conns <- halfClosingPipe{Conn: server}
			o := options{refused: func(r refusal) { told = append(told, r.status) }}
			go serveHeads(newEcho(), conns, o)
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
			if len(told) != 1 || told[0] != http.StatusRequestHeaderFieldsTooLarge {
				t.Errorf("%d bytes at once: %v, want one answer of %d", size, told, http.StatusRequestHeaderFieldsTooLarge)
			}
		})
	}
}
