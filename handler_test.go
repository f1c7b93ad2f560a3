package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"testing"
)

// testServer serves h as main does, on a free port, and returns its address.
func testServer(t *testing.T, h *handler) string {
	t.Helper()
	ts := httptest.NewUnstartedServer(nil)
	ts.Config = newServer(h)
	ts.Listener = newListener(ts.Listener, nil)
	ts.Start()
	t.Cleanup(ts.Close)
	return ts.Listener.Addr().String()
}

// roundTrip writes raw to a new connection to addr and returns the response to
// method, its body, and the address it was asked from.
func roundTrip(t *testing.T, addr, method, raw string) (res *http.Response, body, peer string) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	go io.WriteString(c, raw) // on its own, because the server may answer before it ends
	res, body = readResponse(t, bufio.NewReader(c), method)
	return res, body, c.LocalAddr().String()
}

// http2Transport returns a client's side of HTTP/2 in the clear, by prior knowledge.
func http2Transport(t *testing.T) *http.Transport {
	tr := &http.Transport{Protocols: new(http.Protocols)}
	tr.Protocols.SetUnencryptedHTTP2(true)
	t.Cleanup(tr.CloseIdleConnections)
	return tr
}

func readResponse(t *testing.T, r *bufio.Reader, method string) (*http.Response, string) {
	t.Helper()
	res, err := http.ReadResponse(r, &http.Request{Method: method})
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(body)
}

func TestPaths(t *testing.T) {
	const (
		methods = "method not allowed; use GET or HEAD\n"
		paths   = "not found; try /hello, /healthz or /debug/pprof/\n"
	)
	addr := testServer(t, newHandler("local"))
	for _, test := range []struct {
		request string // without the Host field
		status  int
		body    string // "" is any
		field   string // "" is any
		value   string
	}{
		{"GET /hello HTTP/1.1", 200, "GET /hello HTTP/1.1\nHost: localhost\n", "Content-Type", "text/plain; charset=utf-8"},
		{"HEAD /hello HTTP/1.1", 200, "", "Content-Length", "37"},
		{"PURGE /hello?a=%20&b HTTP/1.1", 200, "PURGE /hello?a=%20&b HTTP/1.1\nHost: localhost\n", "", ""},
		{"%PDF- /hello HTTP/1.1", 200, "", "Content-Type", "text/plain; charset=utf-8"},
		{"GET http://other/hello HTTP/1.1", 200, "GET http://other/hello HTTP/1.1\nHost: localhost\n", "", ""},
		{"GET /hello/ HTTP/1.1", 404, paths, "", ""},
		{"GET /healthz HTTP/1.1", 200, "ok\n", "Content-Type", "text/plain; charset=utf-8"},
		{"HEAD /healthz HTTP/1.1", 200, "", "", ""},
		{"POST /healthz HTTP/1.1", 405, methods, "Allow", "GET, HEAD"},
		{"OPTIONS /healthz HTTP/1.1", 405, methods, "Allow", "GET, HEAD"},
		{"GET / HTTP/1.1", 404, paths, "Content-Type", "text/plain; charset=utf-8"},
		{"OPTIONS * HTTP/1.1", 404, paths, "", ""},
		{"CONNECT localhost:80 HTTP/1.1", 404, paths, "", ""},
		{"GET http://localhost HTTP/1.1", 404, paths, "", ""},
		{"GET /debug/vars HTTP/1.1", 404, paths, "", ""},
		{"GET /debug/pprof HTTP/1.1", 307, "", "Location", "/debug/pprof/"},
		{"GET /debug/pprof/ HTTP/1.1", 200, "", "Content-Type", "text/html; charset=utf-8"},
		{"GET /debug/pprof/cmdline HTTP/1.1", 200, strings.Join(os.Args, "\x00"), "", ""},
		{"GET /debug/pprof/symbol HTTP/1.1", 200, "num_symbols: 1\n", "", ""},
		{"GET /debug/pprof/profile?seconds=1 HTTP/1.1", 200, "", "Content-Type", "application/octet-stream"},
		{"GET /debug/pprof/trace?seconds=0.1 HTTP/1.1", 200, "", "Content-Type", "application/octet-stream"},
		{"GET /debug/pprof/none HTTP/1.1", 404, "Unknown profile\n", "", ""},
	} {
		t.Run(test.request, func(t *testing.T) {
			method, _, _ := strings.Cut(test.request, " ")
			res, body, _ := roundTrip(t, addr, method, test.request+"\r\nHost: localhost\r\n\r\n")
			if res.StatusCode != test.status {
				t.Errorf("status %d, want %d", res.StatusCode, test.status)
			}
			if test.body != "" && body != test.body {
				t.Errorf("body %q, want %q", body, test.body)
			}
			if got := res.Header.Get(test.field); test.field != "" && got != test.value {
				t.Errorf("%s: %q, want %q", test.field, got, test.value)
			}
		})
	}
	for _, name := range []string{"allocs", "block", "goroutine", "heap", "mutex", "threadcreate"} {
		res, _, _ := roundTrip(t, addr, "GET", "GET /debug/pprof/"+name+" HTTP/1.1\r\nHost: localhost\r\n\r\n")
		if res.StatusCode != 200 {
			t.Errorf("/debug/pprof/%s: status %d", name, res.StatusCode)
		}
	}
}

func TestIsLocal(t *testing.T) {
	for _, test := range []struct {
		name, peer, host, fields string
		want                     bool
	}{
		{"curl, IPv4", "127.0.0.1:40000", "localhost:8000", "User-Agent: curl/8.5.0", true},
		{"IPv6", "[::1]:40000", "[::1]:8000", "", true},
		{"IPv4 in IPv6", "[::ffff:127.0.0.1]:40000", "127.0.0.1:8000", "", true},
		{"other loopback", "127.1.2.3:40000", "127.3.2.1", "", true},
		{"other peer", "192.0.2.1:40000", "localhost", "", false},
		{"other peer, IPv6", "[2001:db8::1]:40000", "localhost", "", false},
		{"other peer, link-local", "[fe80::1%eth0]:40000", "localhost", "", false},
		{"other peer, IPv4 in IPv6", "[::ffff:192.0.2.1]:40000", "localhost", "", false},
		{"no peer", "@", "localhost", "", false},
		{"host without a port", "127.0.0.1:1", "localhost", "", true},
		{"host in capitals", "127.0.0.1:1", "LocalHost:80", "", true},
		{"host with a dot at its end", "127.0.0.1:1", "localhost.:80", "", true},
		{"host in IPv6", "127.0.0.1:1", "[::1]", "", true},
		{"host in IPv4 in IPv6", "127.0.0.1:1", "[::ffff:127.0.0.1]:80", "", true},
		{"rebound name", "127.0.0.1:1", "example.com:8000", "", false},
		{"name that begins so", "127.0.0.1:1", "localhost.example.com", "", false},
		{"name that ends so", "127.0.0.1:1", "example.localhost", "", false},
		{"name like an address", "127.0.0.1:1", "127.0.0.1.example.com", "", false},
		{"other address", "127.0.0.1:1", "192.0.2.1:8000", "", false},
		{"unspecified address", "127.0.0.1:1", "0.0.0.0:8000", "", false},
		{"number for an address", "127.0.0.1:1", "2130706433", "", false},
		{"no host", "127.0.0.1:1", "", "", false},
		{"dot for a host", "127.0.0.1:1", ".", "", false},
		{"Forwarded", "127.0.0.1:1", "localhost", "forwarded: for=192.0.2.1", false},
		{"Via", "127.0.0.1:1", "localhost", "via: 1.1 proxy", false},
		{"X-Forwarded-For", "127.0.0.1:1", "localhost", "x-forwarded-for: 127.0.0.1", false},
		{"X-Forwarded-Host", "127.0.0.1:1", "localhost", "X-Forwarded-Host:", false},
		{"X-Forwarded-Proto", "127.0.0.1:1", "localhost", "X-FORWARDED-PROTO: https", false},
		{"X-Real-IP", "127.0.0.1:1", "localhost", "X-Real-IP: 192.0.2.1", false},
		{"X-Forwarded", "127.0.0.1:1", "localhost", "X-Forwarder: no such field", true},
	} {
		for _, proto := range []string{"HTTP/1.0", "HTTP/1.1", "HTTP/2.0"} {
			r := httptest.NewRequest("GET", "/debug/pprof/", nil)
			r.RemoteAddr, r.Host, r.Proto = test.peer, test.host, proto
			r.ProtoMajor, r.ProtoMinor, _ = http.ParseHTTPVersion(proto)
			if name, value, ok := strings.Cut(test.fields, ":"); ok {
				r.Header.Set(name, value)
			}
			if got := isLocal(r); got != test.want {
				t.Errorf("%s, %s: %v", test.name, proto, got)
			}
			r.Header.Set("Connection", "close") // as nginx does in HTTP/1.0
			if got, want := isLocal(r), test.want && proto != "HTTP/1.0"; got != want {
				t.Errorf("%s, %s, Connection: close: %v", test.name, proto, got)
			}
		}
	}
}

func TestPprofAccess(t *testing.T) {
	for access, want := range map[string]struct {
		status int
		body   string
	}{
		"all":   {200, strings.Join(os.Args, "\x00")},
		"local": {403, "profiles are for clients on this machine; -pprof=all opens them to all\n"},
		"none":  {404, "not found; try /hello, /healthz or /debug/pprof/\n"},
	} {
		w := httptest.NewRecorder()
		r := httptest.NewRequest("GET", "/debug/pprof/cmdline", nil) // from 192.0.2.1
		newHandler(access).ServeHTTP(w, r)
		if w.Code != want.status || w.Body.String() != want.body {
			t.Errorf("-pprof=%s: %d %q, want %d %q", access, w.Code, w.Body, want.status, want.body)
		}
	}
}

// The fields of a response of /hello stand in it once, however they get there.
func TestHelloFields(t *testing.T) {
	hostname, _ := os.Hostname()
	check := func(name string, res *http.Response, contentType, peer string) {
		t.Helper()
		for field, want := range map[string]string{
			"Cache-Control":          "no-store",
			"Content-Type":           contentType,
			"Remote-Addr":            peer,
			"Served-By":              hostname,
			"X-Content-Type-Options": "nosniff",
		} {
			if got := res.Header[field]; len(got) != 1 || got[0] != want {
				t.Errorf("%s: %s: %q, want %q", name, field, got, want)
			}
		}
	}
	h := newHandler("local")
	addr := testServer(t, h)
	field := func(size int) string { return "X: " + strings.Repeat("a", size) + "\r\n" }
	for _, test := range []struct {
		name, request, contentType string
		status                     int
	}{
		{"text", "GET /hello HTTP/1.1\r\nHost: test\r\n\r\n", textType[0], 200},
		{"HEAD", "HEAD /hello HTTP/1.1\r\nHost: test\r\n\r\n", textType[0], 200},
		{"HTTP/1.0", "GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", textType[0], 200},
		{"over 2 KB", "GET /hello HTTP/1.1\r\nHost: test\r\n" + field(2500) + "\r\n", textType[0], 200},
		{"large", "GET /hello HTTP/1.1\r\nHost: test\r\n" + field(10000) + "\r\n", textType[0], 200},
		{"large, HEAD", "HEAD /hello HTTP/1.1\r\nHost: test\r\n" + field(10000) + "\r\n", textType[0], 200},
		{"JSON", "GET /hello HTTP/1.1\r\nHost: test\r\nAccept: application/json\r\n\r\n", jsonType[0], 200},
		{"body", "POST /hello HTTP/1.1\r\nHost: test\r\nContent-Length: 4\r\n\r\nbody", textType[0], 200},
		{"too large a body", "POST /hello?status=200 HTTP/1.1\r\nHost: test\r\nContent-Length: 20000000\r\n\r\n", textType[0], 413},
	} {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		r, method := bufio.NewReader(c), strings.Fields(test.request)[0]
		for range 2 {
			io.WriteString(c, test.request)
			res, body := readResponse(t, r, method)
			check(test.name, res, test.contentType, c.LocalAddr().String())
			if res.StatusCode != test.status {
				t.Errorf("%s: status %d, want %d", test.name, res.StatusCode, test.status)
			}
			if length := res.Header["Content-Length"]; len(length) != 1 || method != "HEAD" && length[0] != strconv.Itoa(len(body)) {
				t.Errorf("%s: Content-Length: %q, and the body has %d bytes", test.name, length, len(body))
			}
			if res.Close { // as 413 does
				break
			}
			io.WriteString(c, "GET /healthz HTTP/1.1\r\nHost: test\r\n\r\n")
			if res, _ := readResponse(t, r, "GET"); res.Header["Served-By"] != nil || res.Header["Remote-Addr"] != nil {
				t.Errorf("%s: /healthz after it has %v", test.name, res.Header)
			}
		}
	}

	tr := http2Transport(t)
	plain := httptest.NewServer(h)
	defer plain.Close()
	for name, get := range map[string]func() (*http.Response, error){
		"HTTP/2":              func() (*http.Response, error) { return (&http.Client{Transport: tr}).Get("http://" + addr + "/hello") },
		"net/http's own conn": func() (*http.Response, error) { return http.Get(plain.URL + "/hello") },
	} {
		res, err := get()
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(res.Body)
		res.Body.Close()
		check(name, res, textType[0], res.Header.Get("Remote-Addr")) // the peer isn't known here
		if res.ContentLength != int64(len(body)) {
			t.Errorf("%s: Content-Length %d, and the body has %d bytes", name, res.ContentLength, len(body))
		}
	}
}

func TestAskedStatusAndDelay(t *testing.T) {
	addr := testServer(t, newHandler("local"))
	const (
		wantStatus = "want 200 to 599\n"
		wantDelay  = "want 0s to 30s, such as 1.5s or 200ms\n"
		echo       = "POST /hello?"
	)
	for _, test := range []struct {
		query  string
		status int
		body   string // begins or ends so
	}{
		{"status=200", 200, echo},
		{"status=204", 204, ""},
		{"status=205", 205, ""},
		{"status=304", 304, ""},
		{"status=503", 503, echo},
		{"status=599&delay=1ms", 599, echo},
		{"x=1&delay=1.5ms", 200, echo},
		{"delay=0s", 200, echo},
		{"statu=0&delays=1&%zz", 200, echo},
		{"status=200;status=500", 400, `status="200;status=500": ` + wantStatus},
		{"status=%zz", 400, `status="%zz": ` + wantStatus},
		{"status=199", 400, `status="199": ` + wantStatus},
		{"status=600", 400, `status="600": ` + wantStatus},
		{"status=", 400, `status="": ` + wantStatus},
		{"status", 400, `status="": ` + wantStatus},
		{"status=5e2", 400, `status="5e2": ` + wantStatus},
		{"delay=-1ms", 400, `delay="-1ms": ` + wantDelay},
		{"delay=30.001s", 400, `delay="30.001s": ` + wantDelay},
		{"delay=5", 400, `delay="5": ` + wantDelay},
		{"delay=", 400, `delay="": ` + wantDelay},
	} {
		for _, field := range []string{"", "X: " + strings.Repeat("a", 5000) + "\r\n"} {
			res, body, _ := roundTrip(t, addr, "POST", "POST /hello?"+test.query+" HTTP/1.1\r\nHost: test\r\n"+field+"Content-Length: 4\r\n\r\nbody")
			if res.StatusCode != test.status || !strings.HasPrefix(body, test.body) || test.body == "" && body != "" {
				t.Errorf("%s: %d %q, want %d %q", test.query, res.StatusCode, body, test.status, test.body)
			}
			if got := res.Header["Content-Length"]; test.status == 204 && got != nil {
				t.Errorf("204 has Content-Length: %q", got)
			}
		}
	}

	tr := http2Transport(t)
	for _, status := range []int{204, 205, 304} {
		req, _ := http.NewRequest("GET", fmt.Sprintf("http://%s/hello?status=%d", addr, status), nil)
		req.Header.Set("X", strings.Repeat("a", 5000))
		res, err := tr.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		res.Body.Close()
		if res.StatusCode != status || len(body) > 0 || err != nil || res.ContentLength > 0 {
			t.Errorf("HTTP/2: %v, body %q, %v", res, body, err)
		}
	}
}

func TestAppendQuoted(t *testing.T) {
	for s, want := range map[string]string{
		"":                       `""`,
		" !~":                    `" !~"`,
		`a"b`:                    `"a\"b"`,
		`a\b`:                    `"a\\b"`,
		"\x7f":                   `"\x7f"`,
		"\x1f\n":                 `"\x1f\n"`,
		"é\xff":                  `"é\xff"`,
		strings.Repeat("a", 101): `"` + strings.Repeat("a", 100) + `"`,
	} {
		if got := string(appendQuoted([]byte("before "), s, 100)); got != "before "+want {
			t.Errorf("%q is quoted %s, want %s", s, got, want)
		}
	}
}

// Where the head as it arrived isn't known, net/http's view is shown.
func TestHelloView(t *testing.T) {
	h := newHandler("local")
	for raw, want := range map[string]string{
		"GET /hello HTTP/1.1\r\nx-b: 2\r\nHost: test\r\nX-A: \r\nx-B: 1\r\nCookie: a=b\r\n\r\n": "GET /hello HTTP/1.1\nHost: test\nCookie: a=b\nX-A: \nX-B: 2\nX-B: 1\n",
		"GET /hello HTTP/1.0\r\n\r\n": "GET /hello HTTP/1.0\n",
	} {
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(raw)))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Del("Host") // as net/http's server does
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if got := w.Body.String(); got != want {
			t.Errorf("%q shows %q, want %q", raw, got, want)
		}
	}
}

// A head that isn't the request's is not shown.
func TestHeadTextMismatch(t *testing.T) {
	r := httptest.NewRequest("GET", "/hello", nil)
	for head, known := range map[string]bool{
		"GET /hello HTTP/1.1\nx: a\n":  true,
		"GET /hello HTTP/1.0\nx: a\n":  false,
		"GET /hello2 HTTP/1.1\nx: a\n": false,
		"HEAD /hello HTTP/1.1\nx: a\n": false,
	} {
		kept := buffer(head)
		if text := headText(&kept, r); (string(text) == head) != known {
			t.Errorf("%q as the head of GET /hello HTTP/1.1: %q", head, text)
		}
	}
}

func TestHelloJSON(t *testing.T) {
	hostname, _ := os.Hostname()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := newServer(newHandler("local"))
	go srv.Serve(newListener(ln, &tls.Config{Certificates: []tls.Certificate{testCert()}, MaxVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}}))
	defer srv.Close()
	c, err := tls.Dial("tcp", ln.Addr().String(), &tls.Config{InsecureSkipVerify: true, ServerName: "example.com",
		NextProtos: []string{"http/1.1"}, CipherSuites: []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	io.WriteString(c, "PUT /hello?\xe9<& HTTP/1.1\r\nx-b: 2\r\nHost: test\r\nTE: \xe9 \r\n \r\n\t\xe8\r\nX:\r\n a\r\n \r\nx-B:\t\xc3\xa9 \r\nAccept: application/json\r\n\r\n")
	res, body := readResponse(t, bufio.NewReader(c), "PUT")
	want := `{"method":"PUT","target":"/hello?é<&","proto":"HTTP/1.1","host":"test",` +
		`"headers":{"Accept":["application/json"],"Host":["test"],"Te":["é  è"],"X":["a"],"X-B":["2","é"]},` +
		`"rawHeaders":[["x-b","2"],["Host","test"],["TE","é  è"],["X","a"],["x-B","é"],["Accept","application/json"]],` +
		`"remoteAddr":"` + c.LocalAddr().String() + `","hostname":"` + hostname + `",` +
		`"tls":{"version":"TLS 1.2","cipherSuite":"TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256","serverName":"example.com","alpn":"http/1.1"}}` + "\n"
	if got := res.Header.Get("Content-Type"); got != "application/json" || body != want {
		t.Errorf("%s\n%swant\n%s", got, body, want)
	}
}

func TestPrefersJSON(t *testing.T) {
	for accept, want := range map[string]bool{
		"":                                  false,
		"*/*":                               false,
		"application/json":                  true,
		"Application/JSON; charset=utf-8":   true,
		"application/*":                     true,
		"application/json, */*":             true,
		"*/*, application/json":             true,
		"application/json, text/plain, */*": true,
		"text/plain, application/json":      true,
		"application/json;q=0.5, text/plain;q=0.4, */*": true,
		"application/*, application/json;q=0":           false,
		"text/plain;q=0.5, application/json":            true,
		"text/plain, application/json;q=0.9":            false,
		"application/json;q=0.1, */*;q=0.5":             false,
		"application/json;q=0.5, */*;q=0.1":             true,
		"application/json;q=0":                          false,
		"application/json;q=x":                          false,
		"text/html, application/xml, */*;q=.8":          false,
		"text/*, application/json;q=0.9":                false,
		"application/jsonp, ;":                          false,
	} {
		if got := prefersJSON([]string{accept}); got != want {
			t.Errorf("%q: %v", accept, got)
		}
	}
}

func TestHelloHTTP2(t *testing.T) {
	addr := testServer(t, newHandler("local"))
	tr := http2Transport(t)
	req, _ := http.NewRequest("POST", "http://"+addr+"/hello?x", io.MultiReader(strings.NewReader("body")))
	req.Header = http.Header{"X-B": {"2", "1"}, "X-_": {""}, "Accept": {"*/*"}, "User-Agent": {"test"}, "Accept-Encoding": {"br"}}
	res, err := tr.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, _ := io.ReadAll(res.Body)
	want := "POST /hello?x HTTP/2.0\n:authority: " + addr + "\naccept: */*\naccept-encoding: br\nuser-agent: test\nx-_: \nx-b: 2\nx-b: 1\n"
	if string(body) != want {
		t.Errorf("body\n%swant\n%s", body, want)
	}
}

func TestBodies(t *testing.T) {
	addr := testServer(t, newHandler("local"))
	chunk := func(n int) string { return fmt.Sprintf("%x\r\n%s\r\n", n, strings.Repeat("a", n)) }
	const tooLarge = "request body over 10485760 bytes\n"
	for _, test := range []struct {
		name, field, body string
		status            int
		response          string // "" is the echo
	}{
		{"empty", "Content-Length: 0", "", 200, ""},
		{"short", "Content-Length: 4", "body", 200, ""},
		{"largest", "Content-Length: 10485760", strings.Repeat("a", maxBodyBytes), 200, ""},
		{"too large", "Content-Length: 10485761", strings.Repeat("a", maxBodyBytes+1), 413, tooLarge},
		{"too large, told beforehand", "Content-Length: 10485761\r\nExpect: 100-continue", "", 413, tooLarge},
		{"chunked", "Transfer-Encoding: chunked", chunk(4) + chunk(0), 200, ""},
		{"chunked, largest", "Transfer-Encoding: chunked", chunk(maxBodyBytes) + chunk(0), 200, ""},
		{"chunked, too large", "Transfer-Encoding: chunked", chunk(maxBodyBytes) + chunk(1) + chunk(0), 413, tooLarge},
		{"chunked badly", "Transfer-Encoding: chunked", "x\r\n", 400, "request body: invalid byte in chunk length\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			res, body, _ := roundTrip(t, addr, "POST", "POST /hello HTTP/1.1\r\nHost: test\r\n"+test.field+"\r\n\r\n"+test.body)
			if res.StatusCode != test.status {
				t.Errorf("status %d, want %d", res.StatusCode, test.status)
			}
			if test.response != "" && body != test.response {
				t.Errorf("body %q, want %q", body, test.response)
			}
			if test.response == "" && !strings.HasPrefix(body, "POST /hello HTTP/1.1\nHost: test\n") {
				t.Errorf("body %q is no echo", body)
			}
		})
	}
}

func TestHeadLimit(t *testing.T) {
	addr := testServer(t, newHandler("local"))
	const begin, end = "GET /hello HTTP/1.1\r\nHost: test\r\nX: ", "\r\n\r\n"
	for over, status := range map[int]int{0: 200, 8193: 431} {
		value := bytes.Repeat([]byte("a"), maxHeadBytes-len(begin+end)+over)
		res, _, _ := roundTrip(t, addr, "GET", begin+string(value)+end)
		if res.StatusCode != status {
			t.Errorf("head of 1 MiB and %d bytes: status %d, want %d", over, res.StatusCode, status)
		}
	}
}

// A connection goes on after a body that was read and after one that wasn't.
func TestKeepAlive(t *testing.T) {
	c, err := net.Dial("tcp", testServer(t, newHandler("local")))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	r := bufio.NewReader(c)
	for _, path := range []string{"/hello", "/nowhere", "/hello"} {
		io.WriteString(c, "POST "+path+" HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
		readResponse(t, r, "POST")
	}
}

func TestHealthzWhileStopping(t *testing.T) {
	h := newHandler("local")
	h.stopping.Store(true)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/healthz", nil))
	if w.Code != 503 || w.Body.String() != "shutting down\n" {
		t.Errorf("%d %q", w.Code, w.Body)
	}
}
