//go:build unix

package test

import (
	"bufio"
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
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"httpserver/internal/wire"
)

// TestBehindNginx shows what nginx sends as a reverse proxy, with what were its defaults
// before 1.29.7 and with those since, and that it gets no profile.
func TestBehindNginx(t *testing.T) {
	nginx, err := exec.LookPath("nginx")
	if err != nil {
		t.Skip("nginx is not installed")
	}
	for defaults, test := range map[string]struct {
		config, proto, connection string
		refused                   string // why a profile is
	}{
		"old": {"proxy_http_version 1.0; proxy_set_header Connection close;", "HTTP/1.0", "Connection: close\n",
			"HTTP/1.0 with Connection: close tells of a proxy"},
		"new": {`proxy_http_version 1.1; proxy_set_header Connection "";`, "HTTP/1.1", "",
			`the client's socket belongs to user \d+, who is neither the server's user nor root`},
	} {
		t.Run(defaults, func(t *testing.T) {
			p := start(t)
			dir := t.TempDir()
			front := freeAddr(t)
			conf := filepath.Join(dir, "nginx.conf")
			os.WriteFile(conf, []byte(`daemon off; pid `+dir+`/pid; error_log stderr;
				events {}
				http {
					access_log off; client_body_temp_path `+dir+`; proxy_temp_path `+dir+`;
					fastcgi_temp_path `+dir+`; uwsgi_temp_path `+dir+`; scgi_temp_path `+dir+`;
					upstream server { server `+p.addr+`; keepalive 1; }
					server { listen `+front+`; location / { proxy_pass http://server; proxy_set_header Host `+p.addr+`; `+test.config+` } }
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
			res, body, _ := wire.RoundTrip(t, front, "GET", "GET /hello HTTP/1.1\r\nHost: test\r\nx-id: 1\r\nX-Id: 2\r\nx_dropped: 1\r\n\r\n")
			if want := "GET /hello " + test.proto + "\nHost: " + p.addr + "\n" + test.connection + "x-id: 1\nX-Id: 2\n"; res.StatusCode != 200 || body != want {
				t.Errorf("status %d, shown\n%swant\n%s", res.StatusCode, body, want)
			}
			if defaults == "new" && os.Geteuid() != 0 {
				t.Skip("nginx runs as our own user, because root doesn't run the test")
			}
			res, body, _ = wire.RoundTrip(t, front, "GET", "GET /debug/pprof/ HTTP/1.1\r\nHost: localhost\r\n\r\n")
			if want := "^profiles are for clients on this machine: " + test.refused + "; "; res.StatusCode != 403 || !regexp.MustCompile(want).MatchString(body) {
				t.Errorf("a profile through nginx: status %d, %q, want %s", res.StatusCode, body, want)
			}
		})
	}
}

// TestBehindHAProxy shows what haproxy makes of a request over HTTP/1 when it speaks
// HTTP/2 to the server.
func TestBehindHAProxy(t *testing.T) {
	haproxy, err := exec.LookPath("haproxy")
	if err != nil {
		t.Skip("haproxy is not installed")
	}
	t.Parallel()
	p := start(t)
	front := freeAddr(t)
	conf := filepath.Join(t.TempDir(), "haproxy.cfg")
	os.WriteFile(conf, []byte(`
defaults
	mode http
	timeout connect 5s
	timeout client 30s
	timeout server 30s
listen front
	bind `+front+`
	server a `+p.addr+` proto h2
`), 0o666)
	launch(t, exec.Command(haproxy, "-db", "-f", conf))
	awaitDial(t, front)
	_, body, _ := wire.RoundTrip(t, front, "GET", "GET /hello HTTP/1.1\r\nHost: test\r\nx-id: 1\r\nCookie: b=2; a=1\r\nX-Id: 2\r\n\r\n")
	if want := "GET /hello HTTP/2.0\n:method: GET\n:scheme: https\n:path: /hello\nhost: test\nx-id: 1\ncookie: b=2; a=1\nx-id: 2\n"; body != want {
		t.Errorf("shown\n%swant\n%s", body, want)
	}
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
