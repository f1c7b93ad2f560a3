package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"debug/elf"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// binary is the built program, which the tests here run as a user does.
var binary string

var program = flag.String("program", "", "run the program in `file` instead of building it")

func TestMain(m *testing.M) {
	os.Exit(buildAndRun(m))
}

func buildAndRun(m *testing.M) int {
	dir, err := os.MkdirTemp("", "httpserver")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	flag.Parse()
	if *program != "" {
		binary = *program
		return m.Run()
	}
	binary = filepath.Join(dir, "httpserver")
	args := []string{"build", "-cover", "-o", binary}
	if raceDetector() {
		args = append(args, "-race")
	}
	if out, err := exec.Command("go", append(args, ".")...).CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "%s%v\n", out, err)
		return 1
	}
	os.Setenv("GORACE", "atexit_sleep_ms=0")
	os.Setenv("GOCOVERDIR", dir)
	if f := flag.Lookup("test.gocoverdir"); f.Value.String() != "" { // make cover sets it
		os.Setenv("GOCOVERDIR", f.Value.String())
	}
	return m.Run()
}

// raceDetector reports whether the test binary is built with the race detector.
func raceDetector() bool {
	info, _ := debug.ReadBuildInfo()
	return slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}

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

// launch starts cmd, and kills it when the test ends. Unless cmd has a stderr, it
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
		cmd.Process.Kill()
		<-p.done
		if t.Failed() {
			log := p.log()
			t.Logf("stderr of %q ends with:\n%s", cmd.Args, log[max(0, len(log)-4000):])
		}
	})
	return p
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
// submatches. It fails the test if the process ends without a match.
func (p *process) waitLog(pattern string) []string {
	p.t.Helper()
	re := regexp.MustCompile(pattern)
	defer time.AfterFunc(time.Minute, func() { p.cmd.Process.Kill() }).Stop()
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		if m := re.FindStringSubmatch(p.stderr.String()); m != nil {
			return m
		}
		select {
		case <-p.done:
			p.t.Fatalf("stderr of a process that ended has no match for %s:\n%s", pattern, &p.stderr)
		default:
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

// post begins a request and returns when the server has its head and half its
// body; the other half is "dy".
func (p *process) post() net.Conn {
	p.t.Helper()
	c := p.dial()
	io.WriteString(c, "POST /hello HTTP/1.1\r\nHost: test\r\nContent-Length: 4\r\n\r\nbo")
	p.waitLog(`> "POST /hello`) // needs -v=4
	return c
}

func TestStop(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
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
			if res, _ := readResponse(t, bufio.NewReader(c), "POST"); res.StatusCode != 200 {
				t.Errorf("status %d for the request in flight", res.StatusCode)
			}
			p.wait(0)
			p.waitLog(`(?m)\] stopped$`)
		})
	}
}

func TestStopTwice(t *testing.T) {
	t.Parallel()
	p := start(t, "-v=4")
	p.post()
	p.signal(syscall.SIGTERM)
	p.waitLog("stopping")
	p.signal(syscall.SIGINT)
	p.wait(1)
	p.waitLog(`stopped at once on a second signal \(interrupt\): requests cut: 1\n`)
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

// A client that sends half of something is let go in time, the later the more
// it sent, and told if its head was whole. One that is idle stays.
func TestSlowClients(t *testing.T) {
	t.Parallel()
	p := start(t)
	idle, body, head, nothing := p.dial(), p.dial(), p.dial(), p.dial()
	io.WriteString(idle, "GET /hello HTTP/1.1\r\nHost: test\r\n\r\n")
	io.WriteString(body, "POST /hello HTTP/1.1\r\nHost: test\r\nContent-Length: 4\r\n\r\nbo")
	io.WriteString(head, "GET /hello HTTP/1.1\r\nHost:")
	slow := []net.Conn{head, nothing}
	for range 500 {
		c := p.dial()
		io.WriteString(c, "GET /hello HTTP/1.1\r\nHost:")
		slow = append(slow, c)
	}
	if res, _ := p.get("/hello"); res.StatusCode != 200 { // others are served at once
		t.Errorf("status %d", res.StatusCode)
	}
	for _, c := range slow {
		if b, err := io.ReadAll(c); err != nil || len(b) > 0 {
			t.Errorf("%q, %v", b, err)
		}
	}
	body.SetReadDeadline(time.Now())
	if _, err := body.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("half a body was let go with the others: %v", err)
	}
	body.SetReadDeadline(time.Time{})
	if b, err := io.ReadAll(body); err != nil || !strings.HasPrefix(string(b), "HTTP/1.1 408 Request Timeout\r\n") {
		t.Errorf("%q, %v", b, err)
	}
	io.WriteString(idle, "GET /hello HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
	if b, err := io.ReadAll(idle); err != nil || strings.Count(string(b), "200 OK") != 2 {
		t.Errorf("%q, %v", b, err)
	}
}

// A client that takes no response is let go in time.
func TestClientThatDoesNotRead(t *testing.T) {
	t.Parallel()
	p := start(t)
	c := p.dial()
	request := "GET /hello HTTP/1.1\r\nHost: test\r\nX: " + strings.Repeat("a", 1<<19) + "\r\n\r\n"
	for { // until the server takes no more and then closes
		if _, err := io.WriteString(c, request); err != nil {
			break
		}
	}
}

func TestBadStarts(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	addr := taken.Addr().String()
	for _, test := range []struct {
		args   []string
		status int
		line   string
	}{
		{[]string{"-addr=" + addr}, 1, `-addr "` + addr + `": listen tcp ` + addr + ": bind: address already in use"},
		{[]string{"-addr=192.0.2.1:0"}, 1, `-addr "192.0.2.1:0": listen tcp 192.0.2.1:0: bind: cannot assign requested address`},
		{[]string{"-addr=localhost"}, 2, `-addr "localhost": want host:port or :port: address localhost: missing port in address`},
		{[]string{"-addr=:65536"}, 2, `-addr ":65536": want a port from 0 to 65535 after ":": address 65536: invalid port`},
		{[]string{"-nosuch"}, 2, "flag provided but not defined: -nosuch"},
		{[]string{"-v=x"}, 2, `invalid value "x" for flag -v: strconv.Atoi: parsing "x": invalid syntax`},
		{[]string{"-pprof=some"}, 2, `-pprof "some": want local, all or none`},
		{[]string{"-blockprofilerate=-1"}, 2, `-blockprofilerate -1, -mutexprofilefraction 100: want 0 or more`},
		{[]string{"-addr=:0", "-cpuprofile=/nosuch/cpu"}, 1, `-cpuprofile: open /nosuch/cpu: no such file or directory`},
		{[]string{"-addr=:0", "-memprofile=/nosuch/mem"}, 1, `-memprofile: open /nosuch/mem: no such file or directory`},
		{[]string{"-drain=-1s"}, 2, `-drain -1s: want 0 or more`},
		{[]string{"-cert=x"}, 2, `-cert "x", -key "": want both or neither`},
		{[]string{"-cert=/nosuch", "-key=main.go"}, 1, `-cert "/nosuch", -key "main.go": open /nosuch: no such file or directory`},
		{[]string{"-cert=main.go", "-key=main.go"}, 1, `-cert "main.go", -key "main.go": tls: failed to find any PEM data`},
		{[]string{"serve"}, 2, `unexpected argument "serve": httpserver takes flags only`},
		{[]string{"-logtostderr=false", "-log_dir=/nosuch"}, 1, `-log_dir: open /nosuch/httpserver`},
		{[]string{"-a\nb"}, 2, `flag provided but not defined: -a\nb`},
	} {
		cmd := exec.Command(binary, test.args...)
		stdout, err := cmd.Output()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != test.status {
			t.Errorf("%q: %v, want exit status %d", test.args, err, test.status)
			continue
		}
		stderr := string(exit.Stderr)
		if !strings.HasPrefix(stderr, "httpserver: "+test.line) || strings.Count(stderr, "\n") != 1 || len(stdout) > 0 {
			t.Errorf("%q: stderr %q, want %q, and no stdout: %q", test.args, stderr, test.line, stdout)
		}
	}
}

func TestHelpAndVersion(t *testing.T) {
	help, err := exec.Command(binary, "-v=9", "-help").Output()
	if err != nil {
		t.Error(err)
	}
	last := 0
	for _, want := range []string{
		"$ httpserver\n", "-addr address\n", `(default "127.0.0.1:8000")`, "glog's flags:\n",
		"-log_dir", "-logtostderr\n", "(default true)", "-v level\n", "(default 2)\n  -vmodule",
	} {
		i := bytes.Index(help[last:], []byte(want))
		if i < 0 {
			t.Errorf("-help doesn't say %q after %q:\n%s", want, help[:last], help)
		}
		last += max(i, 0)
	}
	version, err := exec.Command(binary, "-version").Output()
	if err != nil || !regexp.MustCompile(`^httpserver \S+ go1\.\d+\S*\n$`).Match(version) {
		t.Errorf("-version says %q, %v", version, err)
	}
}

// TestLogLevels sends the same requests at each level and looks at every line
// of the log.
func TestLogLevels(t *testing.T) {
	const (
		hello  = `127.0.0.1:\d+ "GET /hello\?%22 HTTP/1.1" 200 161 \S+ "a\\"b\\tc"`
		health = `127.0.0.1:\d+ "HEAD /healthz HTTP/1.1" 200 0 \S+ ""`
		begin  = `httpserver \S+ go\S+ listening on http://127.0.0.1:\d+`
	)
	end := []string{`stopping \(interrupt\): .*`, "stopped"}
	head := func(line string) string { return `127.0.0.1:\d+ > "` + line + `"` }
	for level, want := range map[string][]string{
		"0": {begin},
		"2": {begin, hello},
		"3": {begin, hello, health},
		"4": {begin,
			head(`GET /hello\?%22 HTTP/1.1`), head("Host: test"), head(`User-Agent: a\\"b\\tc`), head(`authorization: \*\*\*`),
			head(` \*\*\*`), head(` \*\*\*`), head(`Proxy-Authorization: \*\*\*`), head(`X: y`), head(` z`), head(`Cookie: \*\*\*`), head(`Set-Cookie: \*\*\*`), hello,
			head("HEAD /healthz HTTP/1.1"), head("Host: test"), health},
	} {
		t.Run("v="+level, func(t *testing.T) {
			p := start(t, "-v="+level)
			roundTrip(t, p.addr, "GET", "GET /hello?%22 HTTP/1.1\r\nHost: test\r\nUser-Agent: a\"b\tc\r\n"+
				"authorization: secret\r\n secret\r\n\tsecret\r\nProxy-Authorization: secret\r\nX: y\r\n z\r\nCookie: secret\r\nSet-Cookie: secret\r\n\r\n")
			roundTrip(t, p.addr, "HEAD", "HEAD /healthz HTTP/1.1\r\nHost: test\r\n\r\n")
			p.signal(syscall.SIGINT)
			p.wait(0)
			lines := strings.Split(strings.TrimSuffix(p.log(), "\n"), "\n")
			want := append(want, end...)
			for i := range max(len(lines), len(want)) {
				if i >= len(lines) || i >= len(want) {
					t.Fatalf("%d lines, want %d:\n%s", len(lines), len(want), p.log())
				}
				re := regexp.MustCompile(`^I\d{4} [\d:.]+ +\d+ \w+\.go:\d+\] ` + want[i] + "$")
				if !re.MatchString(lines[i]) {
					t.Errorf("line %q, want %s", lines[i], re)
				}
			}
		})
	}
}

// What a client sends is cut before glog cuts the line.
func TestLongLogLines(t *testing.T) {
	p := start(t, "-v=4")
	long := strings.Repeat("\xff", 10000)
	roundTrip(t, p.addr, "GET", "GET /hello?"+long+long+" HTTP/1.1\r\nHost: test\r\nUser-Agent: "+long+"\r\n\r\n")
	p.waitLog(`\n.*> "User-Agent: (\\xff)+"\n`)
	p.waitLog(`\n.*> "GET /hello\?(\\xff)+"\n`)
	p.waitLog(`\n.* "GET /hello\?(\\xff)+" 200 30\d+ \S+ "(\\xff)+"\n`)
}

func TestGlogFlags(t *testing.T) {
	t.Run("-log_dir", func(t *testing.T) {
		dir := t.TempDir()
		p := start(t, "-logtostderr=false", "-stderrthreshold=INFO", "-log_dir="+dir)
		p.signal(syscall.SIGTERM)
		p.wait(0)
		log, err := os.ReadFile(filepath.Join(dir, "httpserver.INFO"))
		if err != nil || !strings.Contains(string(log), "] stopped\n") {
			t.Errorf("%v: %s", err, log)
		}
		if names, _ := filepath.Glob(filepath.Join(dir, "httpserver[0-9]*")); len(names) > 0 {
			t.Errorf("left behind: %v", names)
		}
	})
	t.Run("-vmodule", func(t *testing.T) {
		p := start(t, "-v=0", "-vmodule=handler=3")
		roundTrip(t, p.addr, "GET", "GET /healthz HTTP/1.1\r\nHost: test\r\n\r\n")
		p.waitLog("GET /healthz")
	})
	t.Run("-log_backtrace_at", func(t *testing.T) {
		p := start(t)
		roundTrip(t, p.addr, "GET", "GET /hello HTTP/1.1\r\nHost: test\r\n\r\n")
		at := p.waitLog(`(handler\.go:\d+)\] .*GET /hello`)[1]
		p = start(t, "-log_backtrace_at="+at)
		roundTrip(t, p.addr, "GET", "GET /hello HTTP/1.1\r\nHost: test\r\n\r\n")
		p.waitLog(`ServeHTTP`)
	})
}

// pprofTop runs go tool pprof -top with args and returns what it prints.
func pprofTop(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.Command("go", append([]string{"tool", "pprof", "-top"}, args...)...)
	cmd.Env = append(os.Environ(), "PPROF_TMPDIR="+t.TempDir())
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("go tool pprof -top %q: %v:\n%s", args, err, out)
	}
	return string(out)
}

// TestProfiles asks the program under load for every kind of profile, with the
// real tools, and looks for a function that must be in it.
func TestProfiles(t *testing.T) {
	t.Parallel()
	p := start(t)
	stop := load(t, p.addr, benchRequest, 16)
	defer stop()
	url := "http://" + p.addr + "/debug/pprof/"
	for _, test := range []struct {
		path string
		args []string
		want string
	}{
		{"profile?seconds=3", nil, `net/http\.\(\*conn\)\.serve`},
		{"allocs", nil, `net/http\.\(\*conn\)\.readRequest`},
		{"allocs?seconds=3", []string{"-sample_index=alloc_space"}, `net/http\.\(\*conn\)\.readRequest`},
		{"heap?gc=1", []string{"-sample_index=alloc_space"}, `net/http\.\(\*conn\)\.readRequest`},
		{"goroutine", nil, `net/http\.\(\*Server\)\.Serve`},
		{"block", nil, `net/http\.`},
		{"mutex", nil, `net/http\.|glog\.|main\.\(\*logQueue\)`}, // whichever was fought over
		{"threadcreate", nil, `Type: threadcreate`},              // the runtime knows no stacks of it
	} {
		if out := pprofTop(t, append(test.args, "-cum", "-nodecount=1000", url+test.path)...); !regexp.MustCompile(test.want).MatchString(out) {
			t.Errorf("%s has no %s:\n%s", test.path, test.want, out)
		}
	}
	if strings.Contains(runtime.Version(), "goroutineleakprofile") { // as make builds it
		if out := pprofTop(t, url+"goroutineleak"); !strings.Contains(out, "Type: goroutineleak") {
			t.Errorf("goroutineleak:\n%s", out)
		}
	}

	get := func(path string) string {
		_, body := p.get("/debug/pprof/" + path)
		return body
	}
	trace := filepath.Join(t.TempDir(), "trace")
	os.WriteFile(trace, []byte(get("trace?seconds=0.2")), 0o666)
	out, err := exec.Command("go", "tool", "trace", "-d=parsed", trace).Output()
	if err != nil || !strings.Contains(string(out), "net/http.(*conn).serve") {
		t.Errorf("go tool trace: %v", err)
	}
	stacks := get("goroutine?debug=2")
	if !strings.Contains(stacks, "\nnet/http.(*Server).Serve(") {
		t.Errorf("goroutine?debug=2: %s", stacks)
	}
	pc := regexp.MustCompile(`(0x[0-9a-f]+)\s+net/http\.\(\*Server\)\.Serve\+`).FindStringSubmatch(get("goroutine?debug=1"))
	if symbols := get("symbol?" + pc[1]); !strings.Contains(symbols, "net/http.(*Server).Serve") {
		t.Errorf("symbol?%s: %s", pc[1], symbols)
	}
	if got := get("cmdline"); got != strings.Join(p.cmd.Args, "\x00") {
		t.Errorf("cmdline: %q", got)
	}
}

// TestLongProfile takes a CPU profile as go tool pprof does by default, for 30
// seconds, which is longer than the write timeout.
func TestLongProfile(t *testing.T) {
	t.Parallel()
	p := start(t, "-v=0")
	out := pprofTop(t, "http://"+p.addr+"/debug/pprof/profile")
	if !strings.Contains(out, "Type: cpu") || !strings.Contains(out, "Duration: 30") {
		t.Error(out)
	}
}

// A delay may be as long as the write timeout, ends with its client, and is waited
// for by a stop.
func TestDelay(t *testing.T) {
	t.Parallel()
	p := start(t, "-v=4")
	ask := func(delay string) net.Conn {
		c := p.dial()
		io.WriteString(c, "GET /hello?delay="+delay+" HTTP/1.1\r\nHost: test\r\n\r\n")
		p.waitLog(`> "GET /hello\?delay=` + delay + ` `)
		return c
	}
	tr := http2Transport(t)
	var overHTTP2 sync.WaitGroup
	for query, status := range map[string]int{"?delay=30s": 200, "": 408} {
		var body io.Reader
		if status == 408 {
			var w io.Closer
			body, w = io.Pipe() // sends nothing
			defer w.Close()
		}
		overHTTP2.Go(func() {
			req, _ := http.NewRequest("POST", "http://"+p.addr+"/hello"+query, body)
			res, err := tr.RoundTrip(req)
			if err != nil {
				t.Errorf("HTTP/2 %s: %v", query, err)
				return
			}
			defer res.Body.Close()
			if _, err := io.ReadAll(res.Body); res.StatusCode != status || err != nil {
				t.Errorf("HTTP/2 %s: %s, %v, want %d", query, res.Status, err, status)
			}
		})
	}
	longest := ask("30s")
	ask("29s").Close()
	p.waitLog(`"GET /hello\?delay=29s HTTP/1.1" 0 0 `)
	half := ask("28s") // and a client that goes half, which net/http can't tell from one that went
	half.(*net.TCPConn).CloseWrite()
	if b, err := io.ReadAll(half); err != nil || len(b) > 0 {
		t.Errorf("a client that went half is answered %q, %v", b, err)
	}
	readResponse(t, bufio.NewReader(longest), "GET")
	overHTTP2.Wait()
	last := ask("500ms")
	p.signal(syscall.SIGTERM)
	if res, _ := readResponse(t, bufio.NewReader(last), "GET"); res.StatusCode != 200 || !res.Close {
		t.Errorf("a delay during a stop: %v", res)
	}
	p.wait(0)
}

// A client that goes away ends its profile.
func TestProfileWithoutClient(t *testing.T) {
	t.Parallel()
	p := start(t, "-v=4")
	c := p.dial()
	io.WriteString(c, "GET /debug/pprof/profile?seconds=3600 HTTP/1.1\r\nHost: localhost\r\n\r\n")
	p.waitLog(`> "GET /debug/pprof/profile`)
	c.Close()
	p.waitLog(`"GET /debug/pprof/profile\?seconds=3600 HTTP/1.1" 200`)
	if res, body := p.get("/debug/pprof/profile?seconds=1"); res.StatusCode != 200 {
		t.Errorf("next profile: status %d, %s", res.StatusCode, body)
	}
}

// A short profile that is under way when the program is told to stop is written
// whole.
func TestStopDuringProfile(t *testing.T) {
	t.Parallel()
	p := start(t, "-v=4")
	c := p.dial()
	io.WriteString(c, "GET /debug/pprof/profile?seconds=2 HTTP/1.1\r\nHost: localhost\r\n\r\n")
	p.waitLog(`> "GET /debug/pprof/profile`)
	p.signal(syscall.SIGTERM)
	_, profile := readResponse(t, bufio.NewReader(c), "GET")
	p.wait(0)
	file := filepath.Join(t.TempDir(), "profile")
	os.WriteFile(file, []byte(profile), 0o666)
	if out := pprofTop(t, file); !strings.Contains(out, "Duration: 2") {
		t.Error(out)
	}
}

// TestWholeRunProfiles takes profiles from start to stop.
func TestWholeRunProfiles(t *testing.T) {
	t.Parallel()
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		dir := t.TempDir()
		cpu, mem := filepath.Join(dir, "cpu"), filepath.Join(dir, "mem")
		p := start(t, "-cpuprofile="+cpu, "-memprofile="+mem)
		stop := load(t, p.addr, benchRequest, 16)
		res, body := p.get("/debug/pprof/profile")
		if want := "Could not enable CPU profiling: cpu profiling already in use\n"; res.StatusCode != 500 || body != want {
			t.Errorf("%d %q, want 500 %q", res.StatusCode, body, want)
		}
		p.get("/debug/pprof/trace?seconds=3") // wait for samples
		stop()
		p.signal(sig)
		p.wait(0)
		for _, file := range []string{cpu, mem} {
			if out := pprofTop(t, "-cum", "-nodecount=1000", "-sample_index=0", file); !strings.Contains(out, "net/http.(*conn).serve") {
				t.Errorf("%s:\n%s", file, out)
			}
		}
	}
}

// A profile of the whole run that can't be written is told of.
func TestWholeRunProfileOnFullDisk(t *testing.T) {
	for _, name := range []string{"-cpuprofile", "-memprofile"} {
		p := start(t, name+"=/dev/full")
		p.signal(syscall.SIGTERM)
		p.wait(1)
		p.waitLog(`E.* ` + name + `: write /dev/full: no space left on device\n`)
	}
}

// startTLS starts the program with a certificate for localhost.
func startTLS(t *testing.T, args ...string) *process {
	t.Helper()
	cert := testCert()
	key, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, block := range map[string]*pem.Block{
		"cert.pem": {Type: "CERTIFICATE", Bytes: cert.Certificate[0]},
		"key.pem":  {Type: "PRIVATE KEY", Bytes: key},
	} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return start(t, append(args, "-cert="+filepath.Join(dir, "cert.pem"), "-key="+filepath.Join(dir, "key.pem"))...)
}

func TestTLS(t *testing.T) {
	p := startTLS(t)
	p.waitLog("listening on https://")
	for alpn, proto := range map[string]string{"http/1.1": "HTTP/1.1", "h2": "HTTP/2.0"} {
		tr := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true, NextProtos: []string{alpn}}, Protocols: new(http.Protocols)}
		tr.Protocols.SetHTTP1(alpn != "h2")
		tr.Protocols.SetHTTP2(alpn == "h2")
		req, _ := http.NewRequest("GET", "https://"+p.addr+"/hello", nil)
		req.Header.Set("Accept", "application/json")
		res, err := tr.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(res.Body)
		res.Body.Close()
		if res.Proto != proto || !strings.Contains(string(body), `"alpn":"`+alpn+`"`) {
			t.Errorf("%s: %s %s", alpn, res.Proto, body)
		}
		if alpn == "h2" && !strings.Contains(string(body), `"rawHeaders":[[":authority","`+p.addr+`"],["accept","application/json"]`) {
			t.Errorf("%s", body)
		}
		tr.CloseIdleConnections()
	}

	// A client that speaks plain HTTP.
	c := p.dial()
	io.WriteString(c, "GET /hello HTTP/1.1\r\nHost: test\r\n\r\n")
	if b, _ := io.ReadAll(c); !strings.Contains(string(b), "400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n") {
		t.Errorf("plain HTTP gets %q", b)
	}
	p.waitLog(`E.* TLS handshake with ` + c.LocalAddr().String() + `: client sent an HTTP request to an HTTPS server\n`)

	// One that speaks neither.
	c = p.dial()
	io.WriteString(c, "\x00 nothing known")
	if b, _ := io.ReadAll(c); strings.Contains(string(b), "HTTP") {
		t.Errorf("something gets %q", b)
	}
	p.waitLog(`TLS handshake with ` + c.LocalAddr().String() + `: tls: first record`)

	// TLS 1.1.
	if _, err := tls.Dial("tcp", p.addr, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}); err == nil {
		t.Error("TLS 1.1 is agreed on")
	}
	p.waitLog(`TLS handshake with \S+: tls: client offered only unsupported versions`)
	if n := strings.Count(p.log(), "TLS handshake with"); n != 3 {
		t.Errorf("%d log lines for 3 failed handshakes", n)
	}
}

// A client that doesn't go on with its handshake is let go in time.
func TestStalledHandshake(t *testing.T) {
	t.Parallel()
	p := startTLS(t)
	c := p.dial()
	io.WriteString(c, "\x16\x03\x01\x02\x00\x01")
	if b, err := io.ReadAll(c); err != nil || len(b) > 0 {
		t.Errorf("%q, %v", b, err)
	}
	p.waitLog(`TLS handshake with ` + c.LocalAddr().String() + `: .*i/o timeout\n`)
}

// TestBehindNginx shows what nginx sends as a reverse proxy.
func TestBehindNginx(t *testing.T) {
	nginx, err := exec.LookPath("nginx")
	if err != nil {
		t.Skip("nginx is not installed")
	}
	p := start(t)
	dir := t.TempDir()
	front := freeAddr(t)
	conf := filepath.Join(dir, "nginx.conf")
	os.WriteFile(conf, []byte(`daemon off; pid `+dir+`/pid; error_log stderr;
		events {}
		http {
			access_log off; client_body_temp_path `+dir+`; proxy_temp_path `+dir+`;
			fastcgi_temp_path `+dir+`; uwsgi_temp_path `+dir+`; scgi_temp_path `+dir+`;
			server { listen `+front+`; location / { proxy_pass http://`+p.addr+`; } }
		}`), 0o666)
	cmd := exec.Command(nginx, "-c", conf)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		cmd.Process.Signal(syscall.SIGTERM)
		cmd.Wait()
	}()
	awaitDial(t, front)
	res, body, _ := roundTrip(t, front, "GET", "GET /hello HTTP/1.1\r\nHost: test\r\nx-id: 1\r\nX-Id: 2\r\nx_dropped: 1\r\n\r\n")
	if want := "GET /hello HTTP/1.0\nHost: " + p.addr + "\nConnection: close\nx-id: 1\nX-Id: 2\n"; res.StatusCode != 200 || body != want {
		t.Errorf("status %d, shown\n%swant\n%s", res.StatusCode, body, want)
	}
	if res, body, _ := roundTrip(t, front, "GET", "GET /debug/pprof/ HTTP/1.1\r\nHost: localhost\r\n\r\n"); res.StatusCode != 403 {
		t.Errorf("a profile through nginx: status %d, %q", res.StatusCode, body)
	}
}

// get asks the process for path on a new connection.
func (p *process) get(path string) (*http.Response, string) {
	p.t.Helper()
	res, body, _ := roundTrip(p.t, p.addr, "GET", "GET "+path+" HTTP/1.1\r\nHost: localhost\r\n\r\n")
	return res, body
}

// From SIGTERM on, /healthz fails and responses close their connection, until
// -drain is over.
func TestDrain(t *testing.T) {
	t.Parallel()
	p := start(t, "-drain=2s")
	p.signal(syscall.SIGTERM)
	p.waitLog(`stopping \(terminated\): draining for 2s\n`)
	if res, body := p.get("/healthz"); res.StatusCode != 503 || body != "shutting down\n" || !res.Close {
		t.Errorf("/healthz: %d %q, close %v", res.StatusCode, body, res.Close)
	}
	if res, _ := p.get("/hello"); res.StatusCode != 200 || !res.Close {
		t.Errorf("/hello: %d, close %v", res.StatusCode, res.Close)
	}
	p.wait(0)
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
	p.signal(syscall.SIGTERM)
	p.wait(1)
	p.waitLog(`stopped at once on a second signal \(terminated\): requests cut: 0\n`)
}

// Whatever happens to stderr costs lines of the log, not requests, nor the exit
// status.
func TestStderrFaults(t *testing.T) {
	t.Parallel()
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { full.Close() })
	gone, reader := pipe(t)
	reader.Close()
	stalled, reader := pipe(t)
	for name, stderr := range map[string]*os.File{"full": full, "gone": gone, "stalled": stalled, "closed": nil} {
		requests := 1000
		if name == "stalled" {
			requests = 15000 // more lines than the pipe and the queue hold
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := exec.Command(binary, "-addr="+freeAddr(t))
			if stderr == nil {
				cmd = exec.Command("sh", append([]string{"-c", `exec "$@" 2>&-`, "sh"}, cmd.Args...)...)
			} else {
				cmd.Stderr = stderr
			}
			p := launch(t, cmd)
			p.addr = strings.TrimPrefix(cmd.Args[len(cmd.Args)-1], "-addr=")
			awaitDial(t, p.addr)
			c := p.dial()
			r := bufio.NewReader(c)
			for range requests {
				io.WriteString(c, "GET /hello HTTP/1.1\r\nHost: test\r\n\r\n")
				readResponse(t, r, "GET")
			}
			if name != "stalled" {
				p.signal(syscall.SIGTERM)
				p.wait(0)
				return
			}
			stderr.Close() // so that the log ends with the process
			stop := sync.OnceFunc(func() { p.signal(syscall.SIGTERM) })
			log, lines := bufio.NewScanner(reader), 0
			for log.Scan() { // read on
				if !regexp.MustCompile(`^[IW]\d{4} [\d:.]{15} +\d+ \w+\.go:\d+\] .+$`).MatchString(log.Text()) {
					t.Errorf("line %q", log.Text())
				}
				lines++
				if m := droppedLine.FindStringSubmatch(log.Text() + "\n"); m != nil {
					dropped, _ := strconv.Atoi(m[1])
					lines += dropped - 1
					stop()
				}
			}
			p.wait(0)
			if want := 1 + requests + 2; lines != want { // listening, stopping, stopped
				t.Errorf("%d lines written and dropped, want %d", lines, want)
			}
		})
	}
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

// Stalled for good, stderr doesn't keep the program from ending.
func TestStopWithStalledStderr(t *testing.T) {
	w, _ := pipe(t)
	w.SetWriteDeadline(time.Now())
	for { // fill it
		if _, err := w.Write(make([]byte, 4096)); err != nil {
			break
		}
	}
	cmd := exec.Command(binary, "-addr="+freeAddr(t))
	cmd.Stderr = w
	p := launch(t, cmd)
	awaitDial(t, strings.TrimPrefix(cmd.Args[1], "-addr="))
	p.signal(syscall.SIGTERM)
	p.wait(0)
}

// What the runtime itself says reaches stderr past the queue.
func TestRuntimeOutput(t *testing.T) {
	p := start(t)
	p.signal(syscall.SIGQUIT) // which has the runtime print all stacks and exit
	p.wait(2)
	p.waitLog(`SIGQUIT: quit\n`)
	p.waitLog(`goroutine \d+`)
}

// A client that reads only when it has sent everything learns that it was too
// much.
func TestClientThatReadsLast(t *testing.T) {
	p := start(t)
	const head = "POST /hello HTTP/1.1\r\nHost: test\r\n"
	much := strings.Repeat("a", 4*maxBodyBytes)
	for request, status := range map[string]int{
		head + "X: " + much + "\r\n\r\n":                                             431,
		fmt.Sprintf("%sContent-Length: %d\r\n\r\n%s", head, len(much), much):         413,
		fmt.Sprintf("%s%s\r\n%x\r\n%s\r\n0\r\n\r\n", head, chunked, len(much), much): 413,
	} {
		c := p.dial()
		if _, err := io.WriteString(c, request); err != nil {
			t.Errorf("%.60q: %v", request, err)
			continue
		}
		if res, _ := readResponse(t, bufio.NewReader(c), "POST"); res.StatusCode != status {
			t.Errorf("%.60q: status %d, want %d", request, res.StatusCode, status)
		}
	}
}

// Out of file descriptors, the program takes connections again when it can, and
// says so in few lines.
func TestNoFileDescriptors(t *testing.T) {
	p := launch(t, exec.Command("sh", "-c", `ulimit -n 40; exec "$0" -addr=127.0.0.1:0`, binary))
	p.addr = p.waitLog(`listening on http://(\S+)`)[1]
	var conns []net.Conn
	for range 60 {
		conns = append(conns, p.dial()) // the kernel takes them
	}
	p.waitLog(`http: Accept error: .*too many open files; retrying`)
	for _, c := range conns {
		c.Close()
	}
	if res, _ := p.get("/hello"); res.StatusCode != 200 {
		t.Errorf("status %d", res.StatusCode)
	}
	if n := strings.Count(p.log(), "Accept error"); n > 20 {
		t.Errorf("%d lines", n)
	}
}

// Malformed requests get an error or a close, and the next client is served.
func TestBadBytes(t *testing.T) {
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

var soak = flag.Bool("soak", false, "run the long tests")

// TestSoak has hundreds of bad clients of each kind for three minutes, and then
// 10,000 idle connections. A good client is served at once all the while.
func TestSoak(t *testing.T) {
	if !*soak {
		t.Skip("no -soak")
	}
	plain, overTLS := start(t, "-v=0"), startTLS(t, "-v=0")
	before := plain.awaitGoroutines(20)
	large := "GET /hello HTTP/1.1\r\nHost: test\r\nX: " + strings.Repeat("a", 1<<18) + "\r\n\r\n"
	var clients sync.WaitGroup
	begin := time.Now()
	for _, kind := range []struct {
		name, sent string
		p          *process
		pause      time.Duration // between the bytes it reads
	}{
		{"sends nothing", "", plain, 0},
		{"half a head", "GET /hello HTTP/1.1\r\nHost:", plain, 0},
		{"half a body", "POST /hello HTTP/1.1\r\nHost: test\r\nContent-Length: 9\r\n\r\nhalf", plain, 0},
		{"half a chunk", "POST /hello HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhalf", plain, 0},
		{"half a handshake", "\x16\x03\x01\x02\x00\x01", overTLS, 0},
		{"a byte a second", strings.Repeat(large, 20), plain, time.Second},
		{"an idle connection", "GET /hello HTTP/1.1\r\nHost: test\r\n\r\n", plain, 0},
	} {
		n, most := 500, 0*time.Second
		if kind.pause > 0 {
			n = 100
		}
		var mu sync.Mutex
		var ends sync.WaitGroup
		for range n {
			c := kind.p.dial()
			clients.Go(func() { io.WriteString(c, kind.sent) })
			ends.Add(1)
			clients.Go(func() {
				defer ends.Done()
				if kind.pause > 0 {
					for _, err := c.Read(make([]byte, 1)); err == nil && time.Since(begin) < time.Minute; _, err = c.Read(make([]byte, 1)) {
						time.Sleep(kind.pause)
					}
				}
				io.Copy(io.Discard, c)
				mu.Lock()
				most = max(most, time.Since(begin))
				mu.Unlock()
			})
		}
		go func() {
			ends.Wait()
			t.Logf("%4d clients, %s: the last was let go after %v", n, kind.name, most.Round(time.Second))
		}()
	}
	served := 0
	serve := func(p *process) {
		t.Helper()
		asked := time.Now()
		res, _ := p.get("/hello")
		if took := time.Since(asked); res.StatusCode != 200 || took > time.Second {
			t.Errorf("a good client: status %d after %v", res.StatusCode, took)
		}
		served++
	}
	done := make(chan struct{})
	go func() { clients.Wait(); close(done) }()
	for more := true; more; {
		serve(plain)
		select {
		case <-done:
			more = false
		case <-time.After(50 * time.Millisecond):
		}
	}
	if n := plain.awaitGoroutines(before); n > before {
		t.Errorf("%d goroutines, and %d at the start", n, before)
	}
	t.Logf("%d requests of a good client served meanwhile", served)

	fresh := start(t, "-v=0")
	const conns = 10000
	rss := fresh.memory("VmRSS")
	for range conns {
		c := fresh.dial()
		io.WriteString(c, "GET /hello HTTP/1.1\r\nHost: test\r\n\r\n")
		readResponse(t, bufio.NewReader(c), "GET")
	}
	serve(fresh)
	t.Logf("%d idle connections: %.0f KB, and %.0f KB before: %.1f KB each", conns, fresh.memory("VmRSS"), rss, (fresh.memory("VmRSS")-rss)/conns)
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

// Two servers behind haproxy, stopped and started in turn under load: no request
// fails.
func TestRestartsBehindHAProxy(t *testing.T) {
	haproxy, err := exec.LookPath("haproxy")
	if err != nil {
		t.Skip("haproxy is not installed")
	}
	t.Parallel()
	front, addrs := freeAddr(t), []string{freeAddr(t), freeAddr(t)}
	conf := filepath.Join(t.TempDir(), "haproxy.cfg")
	os.WriteFile(conf, fmt.Appendf(nil, `
defaults
	mode http
	timeout connect 5s
	timeout client 30s
	timeout server 30s
	timeout check 10s
	option httpchk GET /healthz
	default-server check inter 100ms fall 1 rise 1
listen front
	bind %s
	server a %s
	server b %s
`, front, addrs[0], addrs[1]), 0o666)
	run := func(i int) *process {
		p := launch(t, exec.Command(binary, "-addr="+addrs[i], "-drain=1s"))
		p.waitLog("listening on")
		return p
	}
	servers := []*process{run(0), run(1)}
	launch(t, exec.Command(haproxy, "-db", "-f", conf))
	awaitDial(t, front)

	var stopping atomic.Bool
	var requests atomic.Int64
	var clients sync.WaitGroup
	for client := range 8 {
		c, err := net.Dial("tcp", front)
		if err != nil {
			t.Fatal(err)
		}
		request := "GET /hello HTTP/1.1\r\nHost: test\r\n\r\n"
		if client%2 == 0 {
			request = "POST /hello HTTP/1.1\r\nHost: test\r\nContent-Length: 5000\r\n\r\n" + strings.Repeat("b", 5000)
		}
		clients.Go(func() {
			defer c.Close()
			r := bufio.NewReader(c)
			for !stopping.Load() {
				io.WriteString(c, request)
				res, err := http.ReadResponse(r, nil)
				if err == nil {
					_, err = io.Copy(io.Discard, res.Body)
				}
				if err != nil || res.StatusCode != 200 {
					t.Errorf("request %d: %v, %v", requests.Load(), res, err)
					return
				}
				requests.Add(1)
			}
		})
	}
	for i := range 10 {
		for _, p := range servers { // haproxy uses both
			p.waitLog(`"(GET|POST) /hello .* 200`)
		}
		servers[i%2].signal(syscall.SIGTERM)
		servers[i%2].wait(0)
		servers[i%2] = run(i % 2)
	}
	for requests.Load() < 20000 && !t.Failed() {
		time.Sleep(10 * time.Millisecond)
	}
	stopping.Store(true)
	clients.Wait()
	t.Logf("%d requests", requests.Load())
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

// TestREADME runs the commands of README.md that ask a running server, and compares
// what they print with what README.md says they do.
func TestREADME(t *testing.T) {
	t.Parallel()
	for _, tool := range []string{"bash", "curl", "jq"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip(err)
		}
	}
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	p := start(t)
	run := func(command string) string {
		t.Helper()
		cmd := exec.Command("bash", "-c", "set -o pipefail; "+command)
		cmd.Env = append(os.Environ(), "PPROF_TMPDIR="+t.TempDir())
		out, err := cmd.Output()
		if err != nil {
			t.Errorf("%s: %v", command, err)
		}
		return string(out)
	}
	changing := regexp.MustCompile(`(?m)^(Content-Length|Date|Remote-Addr|Served-By|User-Agent|user-agent): .*|curl/[0-9.]+`)
	normal := func(output string) string {
		output = strings.ReplaceAll(output, "\r", "")
		return strings.TrimSpace(changing.ReplaceAllString(output, "$1"))
	}

	asked := regexp.MustCompile(`(?m)\n\n    (curl .*localhost:8000/.*)\n\n((?:    .*\n|\n    .*\n)+)`).FindAllStringSubmatch(string(readme), -1)
	if len(asked) < 5 {
		t.Errorf("README.md has only %d commands with their output", len(asked))
	}
	for _, m := range asked {
		command, want := m[1], strings.ReplaceAll(m[2], "    ", "")
		got := run(strings.Replace(command, "curl ", "curl -q -s --noproxy '*' --connect-to localhost:8000:"+p.addr+" ", 1))
		if normal(got) != normal(want) {
			t.Errorf("%s\nprints\n%s\nand README.md says\n%s", command, got, want)
		}
	}

	profiles := regexp.MustCompile("(?m)^\\|[^`]*\\| `([^`]*localhost:8000/debug[^`]*)` \\|").FindAllStringSubmatch(string(readme), -1)
	if len(profiles) < 9 {
		t.Errorf("README.md has only %d commands for profiles", len(profiles))
	}
	trace := filepath.Join(t.TempDir(), "trace.out")
	for _, m := range profiles {
		if strings.Contains(m[1], "goroutineleak") && !strings.Contains(runtime.Version(), "goroutineleakprofile") {
			continue // not built as make does
		}
		command := strings.NewReplacer("localhost:8000", p.addr, "seconds=10", "seconds=1", "seconds=5", "seconds=1", "curl ", "curl -q -sf --noproxy '*' ",
			"/tmp/trace.out", trace, "go tool trace", "go tool trace -d=parsed").Replace(m[1])
		if run(command) == "" {
			t.Errorf("%s prints nothing", command)
		}
	}
}

// The heap is collected at four times its size, at 12 MB at least, unless GOGC says
// otherwise.
func TestGCPercent(t *testing.T) {
	for gogc, want := range map[string]string{"": "# NextGC = 12582912", "100": "# NextGC = 4194304"} {
		t.Setenv("GOGC", gogc)
		p := start(t)
		if _, heap := p.get("/debug/pprof/heap?debug=1&gc=1"); !strings.Contains(heap, want+"\n") {
			t.Errorf("GOGC=%s: the heap profile has no %q:\n%s", gogc, want, heap[max(0, len(heap)-1500):])
		}
	}
}

// TestRelease builds the release from two folders.
func TestRelease(t *testing.T) {
	t.Parallel()
	build := func(arch string) []byte {
		dir := t.TempDir()
		files, err := filepath.Glob("*")
		if err != nil {
			t.Fatal(err)
		}
		os.Mkdir(filepath.Join(dir, "bin"), 0o777)
		for _, name := range files {
			if b, err := os.ReadFile(name); err == nil { // not a folder
				os.WriteFile(filepath.Join(dir, name), b, 0o666)
			}
		}
		cmd := exec.Command("make", "--no-print-directory", "release", "GOARCH="+arch)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		if err != nil || !bytes.HasPrefix(out, []byte("building httpserver binary\n")) {
			t.Fatalf("%v:\n%s", err, out)
		}
		b, err := os.ReadFile(filepath.Join(dir, "bin", arch, "httpserver"))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	amd64 := build("amd64")
	if !bytes.Equal(amd64, build("amd64")) {
		t.Error("two folders give different bytes")
	}
	for machine, release := range map[elf.Machine][]byte{elf.EM_X86_64: amd64, elf.EM_AARCH64: build("arm64")} {
		f, err := elf.NewFile(bytes.NewReader(release))
		if err != nil {
			t.Fatal(err)
		}
		if f.Machine != machine {
			t.Errorf("built for %v, want %v", f.Machine, machine)
		}
		for _, prog := range f.Progs {
			if prog.Type == elf.PT_INTERP || prog.Type == elf.PT_DYNAMIC {
				t.Errorf("%v: not static: has %v", machine, prog.Type)
			}
		}
	}
	if len(amd64) > 7<<20 {
		t.Errorf("the release has %d bytes, want at most 7 MiB", len(amd64))
	}
	if runtime.GOARCH != "amd64" {
		return
	}
	file := filepath.Join(t.TempDir(), "httpserver")
	os.WriteFile(file, amd64, 0o777)
	p := launch(t, exec.Command(file, "-addr=127.0.0.1:0"))
	p.addr = p.waitLog(`listening on http://(\S+)`)[1]
	if out := pprofTop(t, "-lines", "http://"+p.addr+"/debug/pprof/goroutine"); !regexp.MustCompile(`net/http\.\(\*Server\)\.Serve .*/server\.go:\d+`).MatchString(out) {
		t.Errorf("a profile of the release doesn't name functions and lines:\n%s", out)
	}
}

// A panic costs its request only, and is logged with its stack.
func TestPanic(t *testing.T) {
	var log bytes.Buffer
	h := newHandler("local")
	h.mux.HandleFunc("/panic", func(http.ResponseWriter, *http.Request) { panic("oh") })
	srv := newServer(h)
	if got := fmt.Sprintf("%T", srv.ErrorLog.Writer()); got != "glog.logBridge" {
		t.Errorf("net/http logs to %s", got)
	}
	srv.ErrorLog.SetOutput(&log)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go srv.Serve(ln)
	c, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	io.WriteString(c, "GET /panic HTTP/1.1\r\nHost: test\r\n\r\n")
	if b, err := io.ReadAll(c); err != nil || len(b) > 0 {
		t.Errorf("response %q, %v", b, err)
	}
	roundTrip(t, ln.Addr().String(), "GET", "GET /hello HTTP/1.1\r\nHost: test\r\n\r\n")
	srv.Close()
	if !strings.Contains(log.String(), "http: panic serving "+c.LocalAddr().String()+": oh\ngoroutine ") {
		t.Errorf("log: %s", &log)
	}
}
