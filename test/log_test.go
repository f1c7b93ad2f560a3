//go:build unix

package test

import (
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

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

// The log has the status and the bytes of each answer.
func TestLoggedStatus(t *testing.T) {
	p := start(t, "-v=3")
	for _, test := range []struct {
		request string
		logged  string
		why     string
	}{
		{"GET /nowhere HTTP/1.1", `404 \d\d+`, ""},
		{"GET /hello?status=503 HTTP/1.1", "503 43", ""},
		{"GET /hello?status=204 HTTP/1.1", "204 0", ""},
		{"GET /hello?status=999 HTTP/1.1", "400 30", `: status="999": want 200 to 599`},
		{"HEAD /hello HTTP/1.1", "200 0", ""},
		{"POST /healthz HTTP/1.1", `405 \d\d+`, ""},
		{"GET /debug/pprof/ HTTP/1.1", `403 \d\d+`, ""},
		{"GET /debug/pprof HTTP/1.1", `307 \d\d+`, ""},
		{"POST /hello HTTP/1.1\r\nContent-Length: 10485761", `413 \d\d+`, ": request body over 10485760 bytes"},
		{"POST /hello HTTP/1.1\r\nTransfer-Encoding: chunked\r\nHost: a\r\n\r\nzz", `400 \d\d+`, ": request body: invalid byte in chunk length"},
	} {
		line, _, _ := strings.Cut(test.request, "\r\n")
		method, _, _ := strings.Cut(line, " ")
		_, _, peer := wire.RoundTrip(t, p.addr, method, test.request+"\r\nHost: other\r\n\r\n")
		p.waitLog(`requestlog\.go:\d+\] ` + peer + ` ` + regexp.QuoteMeta(`"`+line+`" `) + test.logged + ` [\d.]+(µs|ms|s) ""` + regexp.QuoteMeta(test.why) + `\n`)
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
			told := fmt.Sprintf(`200 %d [\d.]+(µs|ms|s) "test"`, len(body))
			if status == 431 {
				told = "431 refused: request head over 65536 bytes, counting 32 more for each field; -maxhead says how large"
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
		{"GET /hello HTTP/1.1\r\n\r\n", `"GET /hello HTTP/1.1" 400 refused: missing required Host header`},
		{"GET /hello HTTP/1.1\r\nHost: a b\r\n\r\n", `"GET /hello HTTP/1.1" 400 refused: malformed Host header`},
		{"GET /hello HTTP/1.1\r\nX\r\n\r\n", `"GET /hello HTTP/1.1" 400 refused: a field line without a colon`},
		{"GET /a b HTTP/1.1\r\n\r\n", `"GET /a b HTTP/1.1" 400 refused: malformed HTTP version, or a space in the target`},
		{"\"\xff\nas long as net/http waits for", `"\"\xff" 400 refused: malformed HTTP request`},
		{"\r\n\r\nas long as net/http waits for", `"\r\n\r\nas long as" 400 refused: an empty line before the request line`},
		{strings.Replace(wire.Forged, "\r\n\r\n", "\r\nContent-Length: 2\r\n\r\nab\r\n", 1) + "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n", `"\r\nGET /hello HTTP/1.1" 400 refused: an empty line before the request line`},
		{wire.Forged + "Authorization: secret\r\n\r\n", `"Authorization: ***" 400 refused: malformed HTTP request`},
		{wire.Forged + "X-Api_Key : secret\r\n\r\n", `"***" 400 refused: malformed HTTP version, or a space in the target`},
		{"GET /token: HTTP/1.1\r\n\r\n", `"GET /token: HTTP/1.1" 400 refused: missing required Host header`},
		{"POST /hello HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\na: b\n\r\nGET /hello HTTP/3.0\r\n\r\n", `(first line unknown) 505 refused: unsupported protocol version`},
		{"a\n\nas long as net/http waits for", `"a" 400 refused: malformed HTTP request`},
		{"GET /hello HTTP/3.0\r\n\r\n", `"GET /hello HTTP/3.0" 505 refused: unsupported protocol version`},
		{"GET /hello HTTP/1.1\r\nTransfer-Encoding: x\r\nHost: a\r\n\r\n", `"GET /hello HTTP/1.1" 501 refused: unsupported transfer encoding: "x"`},
		{"GET /hello HTTP/1.1\r\nExpect: x\r\nHost: a\r\n\r\n", `"GET /hello HTTP/1.1" 417 refused: Expect names what isn't known`},
		{"GET /hello HTTP/1.1\r\nX: " + strings.Repeat("a", wire.TestHead+8192) + "\r\n\r\n", `"GET /hello HTTP/1.1" 431 refused: request head over 65536 bytes, counting 32 more for each field; -maxhead says how large`},
		{"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n" + wire.Forged, `"PROXY TCP4 192.0.2.1 192.0.2.2 1 2" 400 refused: a PROXY protocol header: see -proxyprotocol`},
		{"\x16\x03\x01\x00\x05\x01\x00\x0a and so on", `"\x16\x03\x01\x00\x05\x01\x00" 400 refused: TLS on the plain port`},
		{"GET /hello HTTP/1.1\r\nHost: a\r\nContent-Length: " + strings.Repeat("1", 5000) + "\r\n\r\n", `"GET /hello HTTP/1.1" 400 refused: bad Content-Length "` + strings.Repeat("1", 200-len(`bad Content-Length "`))},
		{"GET /hello HTTP/1.1\r\nx@y: 3\r\n\r\n", `"GET /hello HTTP/1.1" 400 refused: field name "x@y" has an invalid character`},
		{"GET /hello HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", `"GET /hello HTTP/1.1" 400 refused: too many Host headers`},
		{"GET /hello HTTP/1.1\r\nAuthorization: secret\x00\r\n\r\n", `"GET /hello HTTP/1.1" 400 refused: field "Authorization": its value has an invalid character`},
		{wire.Forged + "again\r\n\r\n", `"again" 400 refused: malformed HTTP request`},
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
	if n := strings.Count(p.log(), "refused"); n != 23 {
		t.Errorf("%d lines of 23 refusals", n)
	}
	if strings.Contains(quiet.log(), "refused") {
		t.Error("refusals are logged at -v=0")
	}
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
		p := start(t, "-v=0", "-vmodule=requestlog=3")
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
