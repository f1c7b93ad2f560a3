//go:build unix

package test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"httpserver/internal/frame"
	"httpserver/internal/wire"
)

// TestLogLevels sends the same requests at each level and looks at every line
// of the log.
func TestLogLevels(t *testing.T) {
	const (
		hello  = `127.0.0.1:\d+ "GET /hello\?%22 HTTP/1.1" 200 161 \S+ "a\\"b\\tc"`
		health = `127.0.0.1:\d+ "HEAD /healthz HTTP/1.1" 200 0 \S+ ""`
		limits = `limits: \d+ connections; 100 requests at once on one of HTTP/2; heads of 65536 bytes, without a GOMEMLIMIT as many as come`
		begin  = `httpserver \S+ go\S+ listening on http://127.0.0.1:\d+`
	)
	end := []string{`stopping \(interrupt\): .*`, "stopped"}
	head := func(line string) string { return `127.0.0.1:\d+ > "` + line + `"` }
	for level, want := range map[string][]string{
		"0": {limits, begin},
		"2": {limits, begin, hello},
		"3": {limits, begin, hello, health},
		"4": {limits, begin,
			head(`GET /hello\?%22 HTTP/1.1`), head("Host: test"), head(`User-Agent: a\\"b\\tc`), head(`authorization: \*\*\*`),
			head(` \*\*\*`), head(` \*\*\*`), head(`Proxy-Authorization: \*\*\*`), head(`X: y`), head(` z`), head(`Cookie: \*\*\*`), head(`Set-Cookie: \*\*\*`), hello,
			head("HEAD /healthz HTTP/1.1"), head("Host: test"), health},
	} {
		t.Run("v="+level, func(t *testing.T) {
			p := start(t, "-v="+level)
			wire.RoundTrip(t, p.addr, "GET", "GET /hello?%22 HTTP/1.1\r\nHost: test\r\nUser-Agent: a\"b\tc\r\n"+
				"authorization: secret\r\n secret\r\n\tsecret\r\nProxy-Authorization: secret\r\nX: y\r\n z\r\nCookie: secret\r\nSet-Cookie: secret\r\n\r\n")
			wire.RoundTrip(t, p.addr, "HEAD", "HEAD /healthz HTTP/1.1\r\nHost: test\r\n\r\n")
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

// At -v=4 the value of a field whose name says that it is a credential is masked, and no
// other.
func TestMaskedFields(t *testing.T) {
	masked := []string{"Authorization", "proxy-authorization", "X-AUTHORIZATION-2", "Cookie", "Set-Cookie2", "X-Auth-Token", "X-Amz-Security-Token", "X-CSRFToken",
		"Client-Secret", "X-Vault-Password", "X-Api-Key", "apikey", "X-API_KEY", "X-Goog-Credential", "X-Jwt-Assertion", "X-Hub-Signature-256", "X-Session-Id", "sessionid"}
	shown := []string{"X-Id", "Accept", "Authentication-Info", "X-Author", "X-Key", "X-Api", "X-Sign", "Pass-Word", "X-Jw", "Sec-Fetch-Site"}
	p := start(t, "-v=4")
	head, fields := "", wire.Block(wire.Indexed(2), wire.Indexed(6), wire.LiteralOf(4, "/hello?token=1:2"), wire.LiteralOf(1, "test"))
	for _, name := range append(masked, shown...) {
		head += name + ": value of " + name + "\r\n of two lines\r\n"
		fields += wire.Block(wire.Literal(strings.ToLower(name), "value of "+name))
	}
	wire.RoundTrip(t, p.addr, "GET", "GET /hello?token=1:2 HTTP/1.1\r\nHost: test\r\n"+head+"\r\n")
	h2 := wire.NewHTTP2Peer(t, "tcp", p.addr, nil)
	h2.Send(wire.HTTP2Start+wire.FrameOf(frame.Headers, frame.EndHeaders|frame.EndStream, 1, fields), wire.Cuts["whole"])
	h2.Await(1)
	p.waitLog(`HTTP/2.0" 200`)
	log := p.log()
	for _, line := range []string{"GET /hello?token=1:2 HTTP/1.1", ":path: /hello?token=1:2"} {
		if !strings.Contains(log, `> "`+line+`"`) {
			t.Errorf("the log has no line %q", line)
		}
	}
	for _, name := range shown {
		for _, name := range []string{name, strings.ToLower(name)} {
			if !strings.Contains(log, `> "`+name+`: value of `) {
				t.Errorf("%s is masked", name)
			}
		}
	}
	for _, name := range masked {
		if strings.Contains(log, "value of "+name) || !strings.Contains(log, `> "`+name+`: ***"`) || !strings.Contains(log, `> "`+strings.ToLower(name)+`: ***"`) {
			t.Errorf("%s is not masked", name)
		}
	}
	if n := strings.Count(log, `> " of two lines"`); n != len(shown) {
		t.Errorf("%d second lines are shown, want %d", n, len(shown))
	}
}

// The log has the status and the bytes of each answer.
func TestLoggedStatus(t *testing.T) {
	p := start(t, "-v=3")
	for _, test := range []struct {
		request string
		logged  string
	}{
		{"GET /nowhere HTTP/1.1", `404 \d\d+`},
		{"GET /hello?status=503 HTTP/1.1", "503 43"},
		{"GET /hello?status=204 HTTP/1.1", "204 0"},
		{"GET /hello?status=999 HTTP/1.1", "400 30"},
		{"HEAD /hello HTTP/1.1", "200 0"},
		{"POST /healthz HTTP/1.1", `405 \d\d+`},
		{"GET /debug/pprof/ HTTP/1.1", `403 \d\d+`},
		{"GET /debug/pprof HTTP/1.1", `307 \d\d+`},
		{"POST /hello HTTP/1.1\r\nContent-Length: 10485761", `413 \d\d+`},
	} {
		line, _, _ := strings.Cut(test.request, "\r\n")
		method, _, _ := strings.Cut(line, " ")
		_, _, peer := wire.RoundTrip(t, p.addr, method, test.request+"\r\nHost: other\r\n\r\n")
		p.waitLog(`requestlog\.go:\d+\] ` + peer + ` ` + regexp.QuoteMeta(`"`+line+`" `) + test.logged + ` \d+µs ""\n`)
	}
}

// A head that is too large over HTTP/2 is answered and logged as any request is, in the clear
// and over TLS, and the connection goes on.
func TestHeadTooLargeHTTP2(t *testing.T) {
	for scheme, p := range map[string]*process{"http": start(t), "https": startTLS(t)} {
		tr := wire.HTTP2Transport(t)
		tr.Protocols.SetHTTP2(true)
		tr.TLSClientConfig = &tls.Config{InsecureSkipVerify: true}
		for length, status := range map[int]int{1000: 200, wire.TestHead: 431, 2*wire.TestHead - 1500: 431} {
			req, _ := http.NewRequest("POST", fmt.Sprintf("%s://%s/hello?%06d%s", scheme, p.addr, length, strings.Repeat("a", 1000)), strings.NewReader("body"))
			req.Header = http.Header{"X": {strings.Repeat("a", length)}, "User-Agent": {"test"}}
			res, err := tr.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(res.Body)
			if text := "431 " + string(body); res.StatusCode != status || (text == wire.TooLargeLine) != (status == 431) || res.Header.Get("Retry-After") != "" {
				t.Errorf("%s, a field of %d bytes: %s %v, %.100q", scheme, length, res.Status, res.Header, body)
			}
			told := fmt.Sprintf(`200 %d \d+µs "test"`, len(body))
			if status == 431 {
				told = "431 refused: request head over 65536 bytes, each field counted 32 longer than it is"
			}
			p.waitLog(fmt.Sprintf(`"POST /hello\?%06da{%d}" %s\n`, length, 1000-len("POST /hello?000000"), told))
		}
	}
}

// A request that net/http refuses by itself is a line of the log too: its client, what
// it sent first, the status and the reason.
func TestLoggedRefusals(t *testing.T) {
	p := start(t)
	quiet := start(t, "-v=0")
	for _, test := range []struct {
		sent   string
		logged string
	}{
		{"GET /hello HTTP/1.1\r\n\r\n", `"GET /hello HTTP/1.1" 400 refused: Bad Request: missing required Host header`},
		{"GET /hello HTTP/1.1\r\nHost: a b\r\n\r\n", `"GET /hello HTTP/1.1" 400 refused: Bad Request: malformed Host header`},
		{"GET /hello HTTP/1.1\r\nX\r\n\r\n", `"GET /hello HTTP/1.1" 400 refused: Bad Request`},
		{"GET /a b HTTP/1.1\r\n\r\n", `"GET /a b HTTP/1.1" 400 refused: Bad Request`},
		{"\"\xff\nas long as net/http waits for", `"\"\xff" 400 refused: Bad Request`},
		{"\r\n\r\nas long as net/http waits for", `"\r\n\r\nas long as" 400 refused: Bad Request`},
		{strings.Replace(wire.Forged, "\r\n\r\n", "\r\nContent-Length: 2\r\n\r\nab\r\n", 1) + "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n", `"\r\nGET /hello HTTP/1.1" 400 refused: Bad Request`},
		{wire.Forged + "Authorization: secret\r\n\r\n", `"Authorization: ***" 400 refused: Bad Request`},
		{wire.Forged + "X-Api_Key : secret\r\n\r\n", `"X-Api_Key : ***" 400 refused: Bad Request`},
		{"GET /token: HTTP/1.1\r\n\r\n", `"GET /token: HTTP/1.1" 400 refused: Bad Request: missing required Host header`},
		{"POST /hello HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\na: b\n\r\nGET /hello HTTP/3.0\r\n\r\n", `(first line unknown) 505 refused: HTTP Version Not Supported: unsupported protocol version`},
		{"a\n\nas long as net/http waits for", `"a" 400 refused: Bad Request`},
		{"GET /hello HTTP/3.0\r\n\r\n", `"GET /hello HTTP/3.0" 505 refused: HTTP Version Not Supported: unsupported protocol version`},
		{"GET /hello HTTP/1.1\r\nTransfer-Encoding: x\r\nHost: a\r\n\r\n", `"GET /hello HTTP/1.1" 501 refused: Unsupported transfer encoding`},
		{"GET /hello HTTP/1.1\r\nExpect: x\r\nHost: a\r\n\r\n", `"GET /hello HTTP/1.1" 417 refused: Expectation Failed`},
		{"GET /hello HTTP/1.1\r\nX: " + strings.Repeat("a", wire.TestHead+8192) + "\r\n\r\n", `"GET /hello HTTP/1.1" 431 refused: Request Header Fields Too Large: over 65536 bytes, each field counted 32 longer than it is`},
		{"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n" + wire.Forged, `"PROXY TCP4 192.0.2.1 192.0.2.2 1 2" 400 refused: Bad Request`},
		{"\x16\x03\x01\x00\x05\x01\x00\x0a and so on", `"\x16\x03\x01\x00\x05\x01\x00" 400 refused: Bad Request`}, // TLS
		{wire.Forged + "again\r\n\r\n", `"again" 400 refused: Bad Request`},
	} {
		for _, p := range []*process{quiet, p} {
			c := p.dial()
			io.WriteString(c, test.sent)
			io.Copy(io.Discard, c)
			if p != quiet {
				p.waitLog(`I.* requestlog\.go:\d+\] ` + c.LocalAddr().String() + ` ` + regexp.QuoteMeta(test.logged) + `\n`)
			}
		}
	}
	if res, err := wire.HTTP2Transport(t).RoundTrip(httptest.NewRequest("GET", "http://"+p.addr+"/hello", nil)); err != nil || res.StatusCode != 200 {
		t.Errorf("HTTP/2: %v, %v", res, err)
	}
	if n := strings.Count(p.log(), "refused"); n != 19 {
		t.Errorf("%d lines of 19 refusals", n)
	}
	if strings.Contains(quiet.log(), "refused") {
		t.Error("refusals are logged at -v=0")
	}
}

// What a client sends is cut before glog cuts the line.
func TestLongLogLines(t *testing.T) {
	p := start(t, "-v=4")
	long := strings.Repeat("\xff", 10000)
	wire.RoundTrip(t, p.addr, "GET", "GET /hello?"+long+long+" HTTP/1.1\r\nHost: test\r\nUser-Agent: "+long+"\r\n\r\n")
	p.waitLog(`\n.*> "User-Agent: (\\xff)+"\n`)
	p.waitLog(`\n.*> "GET /hello\?(\\xff)+"\n`)
	p.waitLog(`\n.* "GET /hello\?(\\xff)+" 200 30\d+ \S+ "(\\xff)+"\n`)
	io.WriteString(p.dial(), strings.Repeat("\U000e0001", 10000)+"\r\n\r\n")
	p.waitLog(`\n.* 400 refused: Bad Request\n`)
}

func TestGlogFlags(t *testing.T) {
	// Those about files mean files, in TMPDIR where no other place is given, unless
	// -logtostderr is given as well.
	for _, args := range []string{"-log_dir=DIR", "-log_link=DIR", "-logbuflevel=-1", "-stderrthreshold=INFO", "-alsologtostderr", "-logtostderr=false"} {
		t.Run(args, func(t *testing.T) {
			t.Setenv("TMPDIR", t.TempDir())
			dir := os.Getenv("TMPDIR")
			if strings.Contains(args, "DIR") {
				dir = t.TempDir()
			}
			addr := freeAddr(t)
			p := launch(t, exec.Command(binary, "-addr="+addr, strings.ReplaceAll(args, "DIR", dir)))
			awaitDial(t, addr)
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
	}
	t.Run("-logtostderr", func(t *testing.T) {
		dir := t.TempDir()
		p := start(t, "-logtostderr", "-log_dir="+dir)
		p.signal(syscall.SIGTERM)
		p.wait(0)
		p.waitLog("] stopped\n")
		if names, _ := filepath.Glob(filepath.Join(dir, "*")); len(names) > 0 {
			t.Errorf("written: %v", names)
		}
	})
	t.Run("-vmodule", func(t *testing.T) {
		p := start(t, "-v=0", "-vmodule=handler=3")
		wire.RoundTrip(t, p.addr, "GET", "GET /healthz HTTP/1.1\r\nHost: test\r\n\r\n")
		p.waitLog("GET /healthz")
	})
	t.Run("-log_backtrace_at", func(t *testing.T) {
		p := start(t)
		wire.RoundTrip(t, p.addr, "GET", "GET /hello HTTP/1.1\r\nHost: test\r\n\r\n")
		at := p.waitLog(`(requestlog\.go:\d+)\] .*GET /hello`)[1]
		p = start(t, "-log_backtrace_at="+at)
		wire.RoundTrip(t, p.addr, "GET", "GET /hello HTTP/1.1\r\nHost: test\r\n\r\n")
		p.waitLog(`(?m)^main\.\(\*recorder\)\.log`)
	})
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
				wire.ReadResponse(t, r, "GET")
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
				if !strings.Contains(log.Text(), "lines are late, by up to") {
					lines++
				}
				if m := droppedLines.FindStringSubmatch(log.Text() + "\n"); m != nil {
					dropped, _ := strconv.Atoi(m[1])
					lines += dropped - 1
					stop()
				}
			}
			p.wait(0)
			if want := 2 + requests + 2; lines != want { // limits, listening, stopping, stopped
				t.Errorf("%d lines written and dropped, want %d", lines, want)
			}
		})
	}
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

var droppedLines = regexp.MustCompile(`(?m)^W\d{4} [\d:.]{15} +\d+ stderr\.go:\d+\] (\d+) lines of the log were dropped\n`)
