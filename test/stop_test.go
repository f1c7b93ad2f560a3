//go:build unix

package test

import (
	"bufio"
	"io"
	"net"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"httpserver/internal/wire"
)

func TestStop(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		t.Run(sig.String(), func(t *testing.T) {
			t.Parallel()
			p := start(t, "-v=4")
			c := p.post()
			p.signal(sig)
			p.waitLog("stopping")
			for { // the listener is closed just after the log line
				c, err := net.Dial("tcp", p.addr)
				if err != nil {
					break
				}
				c.Close()
			}
			io.WriteString(c, "dy")
			if res, _ := wire.ReadResponse(t, bufio.NewReader(c), "POST"); res.StatusCode != 200 {
				t.Errorf("status %d for the request in flight", res.StatusCode)
			}
			p.wait(0)
			p.waitLog(`(?m)\] stopped$`)
		})
	}
}

// Signals within a second are one. timeout sends its child the same one twice.
func TestStopTwice(t *testing.T) {
	t.Parallel()
	p := start(t, "-v=4", "-drain=1h")
	p.post()
	p.signal(syscall.SIGTERM)
	p.signal(syscall.SIGINT)
	p.waitLog("stopping")
	time.Sleep(time.Second) // or it were the first again
	p.signal(syscall.SIGHUP)
	p.wait(1)
	p.waitLog(`stopped at once on a second signal \(hangup\): requests cut: 1\n`)
}

// SIGHUP does nothing where it was ignored from the start, as by nohup.
func TestNohup(t *testing.T) {
	t.Parallel()
	p := launch(t, exec.Command("sh", "-c", `trap "" HUP; exec "$0" -addr=127.0.0.1:0`, binary))
	p.waitLog("listening on")
	p.signal(syscall.SIGHUP)
	p.signal(syscall.SIGTERM)
	p.wait(0)
	p.waitLog(`stopping \(terminated\)`)
}

// A request that doesn't end is cut after stopTimeout.
func TestStopTimeout(t *testing.T) {
	t.Parallel()
	p := start(t, "-v=4")
	p.post()
	p.signal(syscall.SIGTERM)
	p.wait(1)
	p.waitLog("stopped after 20s: requests cut: 1")
}

// From SIGTERM on, /healthz fails and responses close their connection, until
// -drain is over.
func TestDrain(t *testing.T) {
	t.Parallel()
	p := start(t, "-drain=2s", "-v=3")
	p.signal(syscall.SIGTERM)
	p.waitLog(`stopping \(terminated\): draining for 2s\n`)
	if res, body := p.get("/healthz"); res.StatusCode != 503 || body != "shutting down\n" || !res.Close {
		t.Errorf("/healthz: %d %q, close %v", res.StatusCode, body, res.Close)
	}
	if res, _ := p.get("/hello"); res.StatusCode != 200 || !res.Close {
		t.Errorf("/hello: %d, close %v", res.StatusCode, res.Close)
	}
	p.wait(0)
	p.waitLog(`"GET /healthz HTTP/1.1" 503 14 `)
	p.waitLog(`requests in flight have 20s to end\n`)
}

func TestDrainCutShort(t *testing.T) {
	t.Parallel()
	p := start(t, "-drain=1h")
	p.signal(syscall.SIGINT) // which doesn't wait for -drain
	p.wait(0)

	p = start(t, "-drain=1h")
	p.get("/hello") // counts as cut no more
	p.signal(syscall.SIGTERM)
	p.waitLog("draining")
	time.Sleep(time.Second) // or it were the first again
	p.signal(syscall.SIGTERM)
	p.wait(1)
	p.waitLog(`stopped at once on a second signal \(terminated\): requests cut: 0\n`)
}
