//go:build unix

package test

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"httpserver/internal/wire"
)

// A process is the built program, running.
type process struct {
	t    *testing.T
	cmd  *exec.Cmd
	addr string // it listens on
	done chan struct{}

	mu     sync.Mutex
	cond   sync.Cond // on stderr and done
	stderr bytes.Buffer
}

// start starts the program on a free port with args added, and returns when it
// listens.
func start(t *testing.T, args ...string) *process {
	t.Helper()
	p := launch(t, exec.Command(binary, append([]string{"-addr=127.0.0.1:0"}, args...)...))
	p.addr = p.waitLog(`listening on https?://(\S+)`)[1]
	return p
}

// startTLS starts the program with a certificate for localhost.
func startTLS(t *testing.T, args ...string) *process {
	t.Helper()
	return startWith(t, t.TempDir(), wire.NewPair(t, nil), args...)
}

// startWith starts the program with pair, which it writes to dir.
func startWith(t *testing.T, dir string, pair tls.Certificate, args ...string) *process {
	t.Helper()
	wire.WritePair(t, dir, pair)
	return start(t, append(args, "-cert="+filepath.Join(dir, "tls.crt"), "-key="+filepath.Join(dir, "tls.key"))...)
}

// launch starts cmd, and ends it when the test ends. Unless cmd has a stderr, it
// goes to the process.
func launch(t *testing.T, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{t: t, cmd: cmd, done: make(chan struct{})}
	p.cond.L = &p.mu
	if cmd.Stderr == nil {
		cmd.Stderr = p
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		cmd.Wait()
		p.mu.Lock()
		defer p.mu.Unlock()
		close(p.done)
		p.cond.Broadcast()
	}()
	t.Cleanup(func() {
		if os.Getenv("GOCOVERDIR") != "" {
			p.stop()
		}
		cmd.Process.Kill()
		<-p.done
		if t.Failed() {
			log := p.log()
			t.Logf("stderr of %q ends with:\n%s", cmd.Args, log[max(0, len(log)-4000):])
		}
	})
	return p
}

// stop has the process stop, for it to write what it covered, which SIGKILL prevents.
// A second SIGTERM a second after the first ends the program at once.
func (p *process) stop() {
	for range 3 {
		p.cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-p.done:
			return
		case <-time.After(1100 * time.Millisecond):
		}
	}
}

// Write takes what the process writes on stderr.
func (p *process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	defer p.cond.Broadcast()
	return p.stderr.Write(b)
}

func (p *process) log() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stderr.String()
}

// waitLog waits until the process's stderr matches pattern and returns the
// submatches. It fails the test if the process ends without a match, or goes on for
// half a minute.
func (p *process) waitLog(pattern string) []string {
	p.t.Helper()
	re := regexp.MustCompile(pattern)
	p.mu.Lock()
	defer p.mu.Unlock()
	late := false
	defer time.AfterFunc(30*time.Second, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		late = true
		p.cond.Broadcast()
	}).Stop()
	for {
		if m := re.FindStringSubmatch(p.stderr.String()); m != nil {
			return m
		}
		ended := false
		select {
		case <-p.done:
			ended = true
		default:
		}
		if late || ended {
			p.t.Fatalf("stderr has no match for %s, of a process that ended: %v", pattern, ended)
		}
		p.cond.Wait()
	}
}

func (p *process) signal(sig syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil {
		p.t.Fatal(err)
	}
}

// wait waits until the process ends and checks its exit status.
func (p *process) wait(status int) {
	p.t.Helper()
	<-p.done
	if got := p.cmd.ProcessState.ExitCode(); got != status {
		p.t.Errorf("exit status %d, want %d", got, status)
	}
}

// dial connects to the process.
func (p *process) dial() net.Conn {
	p.t.Helper()
	c, err := net.Dial("tcp", p.addr)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { c.Close() })
	return c
}

// get asks the process for path on a new connection.
func (p *process) get(path string) (*http.Response, string) {
	p.t.Helper()
	res, body, _ := wire.RoundTrip(p.t, p.addr, "GET", "GET "+path+" HTTP/1.1\r\nHost: localhost\r\n\r\n")
	return res, body
}

// post begins a request and returns when the server has its head and half its
// body; the other half is "dy".
func (p *process) post() net.Conn {
	p.t.Helper()
	c := p.dial()
	io.WriteString(c, "POST /hello HTTP/1.1\r\nHost: test\r\nContent-Length: 4\r\n\r\nbo")
	p.waitLog(`> "POST /hello`) // needs -v=4
	return c
}

// awaitGoroutines waits until the process has at most n goroutines, for 10 seconds
// at most, and returns how many it has.
func (p *process) awaitGoroutines(n int) (got int) {
	p.t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		_, profile := p.get("/debug/pprof/goroutine?debug=1")
		fmt.Sscanf(profile, "goroutine profile: total %d", &got)
		if got <= n || time.Now().After(deadline) {
			return got
		}
	}
}

// memory returns the KB that proc_pid_status(5) has for key.
func (p *process) memory(key string) (kb float64) {
	p.t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		p.t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(b), key+":")
	fmt.Sscan(after, &kb)
	return kb
}

// pipe returns both ends of a pipe.
func pipe(t *testing.T) (w, r *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(); w.Close() })
	return w, r
}

// freeAddr returns an address of 127.0.0.1 that nothing listens on.
func freeAddr(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

// awaitDial returns when addr takes connections.
func awaitDial(t *testing.T, addr string) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			c.Close()
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}
