//go:build unix

package test

import (
	"io"
	"net"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// Malformed requests get an error or a close, and the next client is served.
func TestBadBytes(t *testing.T) {
	t.Parallel()
	p := start(t)
	for _, raw := range []string{
		"\x00", "GET\r\n\r\n", "GET /hello\r\n\r\n", "GET /hello HTTP/3.0\r\n\r\n", "GET /hello HTTP/1.1\r\n\r\n",
		"GET  /hello HTTP/1.1\r\nHost: a\r\n\r\n", "GET /\x01 HTTP/1.1\r\nHost: a\r\n\r\n", "G\x80T / HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET /hello HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "GET /hello HTTP/1.1\r\nHost: a b\r\n\r\n",
		"GET /hello HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n", "GET /hello HTTP/1.1\r\n Host: a\r\n\r\n",
		"GET /hello HTTP/1.1\r\nHost: a\r\nX: \x00\r\n\r\n", "GET /hello HTTP/1.1\r\nHost: a\r\nX\r\n\r\n",
		"GET /hello HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", "GET /hello HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 2\r\n\r\n",
		"GET /hello HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", "GET /hello HTTP/1.1\r\nHost: a\r\nExpect: much\r\n\r\n",
		"POST /hello HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nz\r\n",
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\xff\xff\xff\xff\xff\xff",
	} {
		c := p.dial()
		io.WriteString(c, raw)
		c.(*net.TCPConn).CloseWrite()
		response, err := io.ReadAll(c)
		if err != nil || len(response) > 0 && !regexp.MustCompile(`^HTTP/1.[01] [45]|^\x00`).Match(response) {
			t.Errorf("%q gets %q, %v", raw, response, err)
		}
		if res, _ := p.get("/hello"); res.StatusCode != 200 {
			t.Errorf("after %q: status %d", raw, res.StatusCode)
		}
	}
	if n := p.awaitGoroutines(20); n > 20 {
		_, stacks := p.get("/debug/pprof/goroutine?debug=2")
		t.Errorf("%d goroutines are left:\n%s", n, stacks)
	}
}

// Files are kept from clients for the log, whose files glog opens when it first needs
// them.
func TestNoFileDescriptors(t *testing.T) {
	t.Parallel()
	p := launch(t, exec.Command("sh", "-c", `ulimit -n 64; exec "$0" -addr=127.0.0.1:0 -logtostderr=false -alsologtostderr -log_dir="$1"`, binary, t.TempDir()))
	p.addr = p.waitLog(`listening on http://(\S+)`)[1]
	for range 200 {
		p.dial()
	}
	p.waitLog(`tally\.go:\d+\] \d+ connections were closed to make room for others\n`)
	for range 10 {
		if res, _ := p.get("/hello"); res.StatusCode != 200 {
			t.Errorf("status %d", res.StatusCode)
		}
	}
	if strings.Contains(p.log(), "Accept error") {
		t.Error("descriptors ran out")
	}
	p.signal(syscall.SIGTERM)
	p.wait(0)
}

// A connection that makes room is said to, whatever it was at.
func TestMakingRoom(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		startIt          func(t *testing.T, flags ...string) *process
		mode, sent, want string
	}{
		{start, "require", proxyV2[:20], `\] PEER "\\r\\n\\r\\n\\x00\\r\\nQUIT\\n.*" ended: closed to make room\n`},
		{startTLS, "require", proxyV2[:20], `\] PEER "\\r\\n\\r\\n\\x00\\r\\nQUIT\\n.*" ended: closed to make room\n`},
		{startTLS, "require", proxyV2 + "\x16\x03\x01", `TLS handshake with PEER \(for 192\.0\.2\.1:80\): closed to make room\n`},
		{start, "off", "GET /hello HTTP/1.1\r\nHo", `\] PEER "GET /hello HTTP/1\.1" ended: closed to make room before the head was whole\n`},
		{start, "off", "GET /hello?delay=30s HTTP/1.1\r\nHost: a\r\n\r\n", `\] PEER "GET /hello\?delay=30s HTTP/1\.1" 0 0 .* "": closed to make room\n`},
		{start, "off", "POST /hello HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\na", `\] PEER "POST /hello HTTP/1\.1" 0 0 .* "": closed to make room\n`},
	} {
		p := test.startIt(t, "-proxyprotocol="+test.mode, "-maxconns=4")
		for range 12 { // of which one is evicted at that, however slow the machine is
			c, err := net.Dial("tcp", p.addr)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			io.WriteString(c, test.sent)
		}
		p.waitLog(strings.ReplaceAll(test.want, "PEER", `127\.0\.0\.1:\d+`))
	}
}

// Every handler at once, with all that can be logged, up to a stop.
func TestAtOnce(t *testing.T) {
	t.Parallel()
	p := start(t, "-v=4")
	var clients sync.WaitGroup
	for _, path := range []string{"/hello", "/healthz", "/nowhere", "/debug/pprof/heap", "/debug/pprof/goroutine?debug=2",
		"/debug/pprof/profile?seconds=1", "/debug/pprof/trace?seconds=0.1", "/debug/pprof/mutex"} {
		for range 4 {
			clients.Go(func() {
				for {
					c, err := net.Dial("tcp", p.addr)
					if err != nil {
						return // the program has stopped
					}
					io.WriteString(c, "POST "+path+" HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\nbody")
					io.Copy(io.Discard, c) // until the idle connection is closed, or
					c.Close()
				}
			})
		}
	}
	p.waitLog(`POST /debug/pprof/profile.* 200`)
	p.signal(syscall.SIGTERM)
	clients.Wait()
	p.wait(0) // a race would make it another status
}
