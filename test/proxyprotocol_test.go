//go:build unix

package test

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"httpserver/internal/frame"
	"httpserver/internal/wire"
)

// This file has proxies say for whom they connect.

const proxyV2 = "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\xc0\x00\x02\x01\xc0\x00\x02\x02\x00\x50\x01\xbb" // of 192.0.2.1:80 to 192.0.2.2:443

// Headers are shown over HTTP/1, HTTP/2 and TLS, and logged. They open no profile.
func TestProxyProtocol(t *testing.T) {
	t.Parallel()
	p := start(t, "-proxyprotocol=accept", "-v=4")
	res, body, peer := wire.RoundTrip(t, p.addr, "GET", proxyV2+"GET /hello HTTP/1.1\r\nHost: test\r\n\r\n")
	if body != "GET /hello HTTP/1.1\nHost: test\n" || res.Header.Get("Proxy-Protocol") != "PROXY TCP4 192.0.2.1 192.0.2.2 80 443" || res.Header.Get("Remote-Addr") != peer {
		t.Errorf("%v %q", res.Header, body)
	}
	p.waitLog(regexp.QuoteMeta(peer+` (for 192.0.2.1:80) > "Host: test"`) + "\n")
	p.waitLog(regexp.QuoteMeta(peer+` (for 192.0.2.1:80) "GET /hello HTTP/1.1" 200 `) + ".*\n")
	_, body, _ = wire.RoundTrip(t, p.addr, "GET", proxyV2+"GET /hello?format=json HTTP/1.1\r\nHost: test\r\n\r\n")
	if want := `,"proxyProtocol":{"version":2,"command":"PROXY","transport":"TCP4","source":"192.0.2.1:80","destination":"192.0.2.2:443","tlvs":[]}}`; !strings.Contains(body, want) {
		t.Errorf("%s, want %s", body, want)
	}
	for _, header := range []string{proxyV2, "PROXY UNKNOWN\r\n", "\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00"} {
		res, body, _ = wire.RoundTrip(t, p.addr, "GET", header+"GET /debug/pprof/ HTTP/1.1\r\nHost: localhost\r\n\r\n")
		if res.StatusCode != 403 || !strings.Contains(body, "the connection begins with a PROXY protocol header") {
			t.Errorf("behind %q a profile gets %d %q", header, res.StatusCode, body)
		}
	}
	if res, body, _ = wire.RoundTrip(t, p.addr, "GET", "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"); body != "ok\n" || res.Header.Get("Proxy-Protocol") != "" {
		t.Errorf("without a header: %v %q", res.Header, body)
	}
	c, err := net.Dial("tcp", p.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	io.WriteString(c, proxyV2)
	h2 := wire.NewHTTP2PeerOn(t, c)
	h2.Send(wire.HTTP2Start+wire.Request(1), wire.Cuts["whole"])
	if got := h2.Await(1)[1]; got != wire.Shown4 {
		t.Errorf("over HTTP/2: %q", got)
	}
	h2.Send(wire.FrameOf(frame.Data, 0, 5, "a"), wire.Cuts["whole"])
	p.waitLog(regexp.QuoteMeta(c.LocalAddr().String()+` (for 192.0.2.1:80) (first line unknown) ended: connection error PROTOCOL_ERROR after DATA on stream 5`) + "\n")
	if log := p.log(); strings.Contains(log, "http2: server connection error") {
		t.Errorf("net/http's own line is logged beside:\n%s", log)
	}
	wire.RoundTrip(t, p.addr, "GET", proxyV2+proxyV2+"GET / HTTP/1.1\r\n\r\n")
	p.waitLog(`\(for 192\.0\.2\.1:80\) "\\r\\n\\r\\n\\x00.*" 400 refused: a PROXY protocol header: see -proxyprotocol\n`)
}

// Over TLS the header comes first.
func TestProxyProtocolOverTLS(t *testing.T) {
	t.Parallel()
	p := startTLS(t, "-proxyprotocol=require")
	dial := func(header string) (net.Conn, error) {
		c, err := net.Dial("tcp", p.addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		io.WriteString(c, header)
		tc := tls.Client(c, &tls.Config{InsecureSkipVerify: true})
		return tc, tc.Handshake()
	}
	tc, err := dial(proxyV2)
	if err != nil {
		t.Fatal(err)
	}
	req, _ := http.NewRequest("GET", "https://localhost/hello", nil)
	req.Write(tc)
	if res, _ := wire.ReadResponse(t, bufio.NewReader(tc), "GET"); res.Header.Get("Proxy-Protocol") == "" {
		t.Errorf("%v", res.Header)
	}
	p.waitLog(`\(for 192\.0\.2\.1:80\) "GET /hello HTTP/1.1" 200 `)
	if _, err := dial(""); err == nil {
		t.Error("a handshake without a header is done")
	}
	p.waitLog(`\] 127\.0\.0\.1:\d+ "\\x16\\x03\\x01.*" ended: no PROXY protocol header, which -proxyprotocol=require asks for\n`)
	p.signal(syscall.SIGTERM)
	p.wait(0)
	if log := p.log(); strings.Contains(log, "TLS handshake") {
		t.Errorf("it is told twice:\n%s", log)
	}
}

// What isn't a right header closes the connection, and with off a header is refused. The log says so.
func TestWrongProxyProtocol(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ mode, sent, want string }{
		{"off", "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\nGET / HTTP/1.1\r\n\r\n", `"PROXY TCP4 192\.0\.2\.1 192\.0\.2\.2 1 2" 400 refused: a PROXY protocol header: see -proxyprotocol`},
		{"accept", "PROXY TCP4 192.0.2.1 1 2\r\n", `"PROXY TCP4 192\.0\.2\.1 1 2" ended: malformed PROXY protocol header: can't read address family or protocol`},
		{"accept", "PROXY " + strings.Repeat("a", 1<<16), `"PROXY a+" ended: PROXY protocol header too long: at most 107 bytes in version 1, 4112 in version 2`},
		{"require", "GET /?token=a HTTP/1.1\r\n\r\n", `"GET /\?token=\*\*\* HTTP/1.1" ended: no PROXY protocol header, which -proxyprotocol=require asks for`},
	} {
		p := start(t, "-proxyprotocol="+test.mode)
		c, err := net.Dial("tcp", p.addr)
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(c, test.sent)
		if got, _ := io.ReadAll(c); strings.HasPrefix(string(got), "HTTP/1.1 400 ") != (test.mode == "off") || test.mode != "off" && len(got) > 0 {
			t.Errorf("%s: %.40q gets %q", test.mode, test.sent, got)
		}
		c.Close()
		p.waitLog(`\] ` + regexp.QuoteMeta(c.LocalAddr().String()) + ` ` + test.want + "\n")
	}
}

// streamModule is the module of nginx that passes connections on.
const streamModule = "/usr/lib/nginx/modules/ngx_stream_module.so"

// Real proxies' headers are shown with all that they say.
func TestProxyProtocolOfProxies(t *testing.T) {
	t.Parallel()
	dir, pair := t.TempDir(), wire.NewPair(t, nil)
	p, secure := start(t, "-proxyprotocol=require"), startWith(t, dir, pair, "-proxyprotocol=require")
	cert, key := wire.Pems(t, pair)
	os.WriteFile(filepath.Join(dir, "both.pem"), append(cert, key...), 0o600)
	v1, v2, both, stream := freeAddr(t), freeAddr(t), freeAddr(t), freeAddr(t)
	const shown = `"transport":"TCP4","source":"127\.0\.0\.1:\d+","destination":"127\.0\.0\.1:\d+","tlvs":`
	asked := map[string]string{}
	if haproxy, err := exec.LookPath("haproxy"); err == nil {
		conf := filepath.Join(dir, "haproxy.cfg")
		os.WriteFile(conf, []byte(`
defaults
	mode tcp
	timeout connect 5s
	timeout client 30s
	timeout server 30s
	unique-id-format id-%pid
listen v1
	bind `+v1+`
	server a `+p.addr+` send-proxy check
listen v2
	bind `+v2+` ssl crt `+filepath.Join(dir, "both.pem")+`
	server a `+p.addr+` send-proxy-v2 proxy-v2-options ssl,ssl-cipher,unique-id
listen both
	bind `+both+`
	server a `+secure.addr+` send-proxy-v2
`), 0o666)
		launch(t, exec.Command(haproxy, "-db", "-f", conf))
		asked["http://"+v1] = `{"version":1,"command":"PROXY",` + shown + `\[\]}`
		asked["https://"+v2] = `{"version":2,"command":"PROXY",` + shown + `\[{"type":"0x05","name":"PP2_TYPE_UNIQUE_ID","value":"id-\d+"},` +
			`{"type":"0x20","name":"PP2_TYPE_SSL","client":1,"verify":0,"tlvs":\[{"type":"0x21","name":"PP2_SUBTYPE_SSL_VERSION","value":"TLSv1\.3"},{"type":"0x23","name":"PP2_SUBTYPE_SSL_CIPHER","value":"TLS_[A-Z0-9_]+"}\]}\]}`
		asked["https://"+both] = `{"version":2,"command":"PROXY",` + shown + `\[\]}`
	}
	if nginx, err := exec.LookPath("nginx"); err == nil && exists(streamModule) {
		conf := filepath.Join(dir, "nginx.conf")
		os.WriteFile(conf, []byte(`load_module `+streamModule+`; daemon off; pid `+dir+`/pid; error_log stderr;
			events {}
			stream { server { listen `+stream+`; proxy_pass `+p.addr+`; proxy_protocol on; } }`), 0o666)
		cmd := exec.Command(nginx, "-e", "stderr", "-c", conf)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			cmd.Process.Signal(syscall.SIGTERM) // which ends its workers too
			cmd.Wait()
		})
		asked["http://"+stream] = `{"version":1,"command":"PROXY",` + shown + `\[\]}`
	}
	if len(asked) == 0 {
		t.Skip("neither haproxy nor nginx with its stream module is installed")
	}
	tr := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	t.Cleanup(tr.CloseIdleConnections)
	for url, want := range asked {
		_, addr, _ := strings.Cut(url, "://")
		awaitDial(t, addr)
		res, err := (&http.Client{Transport: tr, Timeout: 10 * time.Second}).Get(url + "/hello?format=json")
		if err != nil {
			t.Errorf("%s: %v", url, err)
			continue
		}
		body, _ := io.ReadAll(res.Body)
		res.Body.Close()
		if !regexp.MustCompile(`,"proxyProtocol":` + want).Match(body) {
			t.Errorf("%s: %s, want %s", url, body, want)
		}
	}
}

func exists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}
