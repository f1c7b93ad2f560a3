package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"

	"httpserver/internal/head"
	"httpserver/internal/overload"
	"httpserver/internal/wire"
)

// testServer serves h as main does, on a free port, and returns its address.
func testServer(t *testing.T, h *handler) string { return testServerWithin(t, h, testLimits()) }

func testServerWithin(t *testing.T, h *handler, l *overload.Limits) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := newServer(h, wire.TestHead, l)
	t.Cleanup(func() { srv.Close() })
	go serveOn(srv, ln, nil, l)
	return ln.Addr().String()
}

func TestPaths(t *testing.T) {
	const (
		methods = "method not allowed; use GET or HEAD\n"
		paths   = "not found; try /hello, which takes ?status=, ?delay= and ?format=json, /healthz or /debug/pprof/\n"
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
		{"GET /hello/ HTTP/1.1", 200, "GET /hello/ HTTP/1.1\nHost: localhost\n", "", ""},
		{"POST /hello/a/b?c HTTP/1.1", 200, "POST /hello/a/b?c HTTP/1.1\nHost: localhost\n", "Content-Type", "text/plain; charset=utf-8"},
		{"GET /hello/a?status=404 HTTP/1.1", 404, "GET /hello/a?status=404 HTTP/1.1\nHost: localhost\n", "", ""},
		{"GET /hello//a HTTP/1.1", 200, "GET /hello//a HTTP/1.1\nHost: localhost\n", "", ""},
		{"GET /hello/../x HTTP/1.1", 200, "GET /hello/../x HTTP/1.1\nHost: localhost\n", "", ""},
		{"GET /hello/../healthz HTTP/1.1", 200, "GET /hello/../healthz HTTP/1.1\nHost: localhost\n", "", ""},
		{"GET /hello/. HTTP/1.1", 200, "GET /hello/. HTTP/1.1\nHost: localhost\n", "", ""},
		{"GET //hello HTTP/1.1", 200, "GET //hello HTTP/1.1\nHost: localhost\n", "", ""},
		{"GET ///hello/../a HTTP/1.1", 200, "GET ///hello/../a HTTP/1.1\nHost: localhost\n", "", ""},
		{"GET /x/../hello HTTP/1.1", 200, "GET /x/../hello HTTP/1.1\nHost: localhost\n", "", ""},
		{"GET /%68ello HTTP/1.1", 200, "GET /%68ello HTTP/1.1\nHost: localhost\n", "", ""},
		{"GET /hello%2Fa HTTP/1.1", 200, "GET /hello%2Fa HTTP/1.1\nHost: localhost\n", "", ""},
		{"GET /hello/%2e%2e/%00 HTTP/1.1", 200, "GET /hello/%2e%2e/%00 HTTP/1.1\nHost: localhost\n", "", ""},
		{"GET http://other//hello/ HTTP/1.1", 200, "GET http://other//hello/ HTTP/1.1\nHost: localhost\n", "", ""},
		{"CONNECT /hello/../x HTTP/1.1", 200, "CONNECT /hello/../x HTTP/1.1\nHost: localhost\n", "", ""},
		{"GET /hellox HTTP/1.1", 404, paths, "", ""},
		{"GET /hello;x HTTP/1.1", 404, paths, "", ""},
		{"GET /Hello HTTP/1.1", 404, paths, "", ""},
		{"GET /x/hello HTTP/1.1", 404, paths, "", ""},
		{"GET /hello/../debug/pprof/ HTTP/1.1", 200, "GET /hello/../debug/pprof/ HTTP/1.1\nHost: localhost\n", "", ""},
		{"GET //healthz HTTP/1.1", 307, "", "Location", "/healthz"},
		{"GET /healthz HTTP/1.1", 200, "ok\n", "Content-Type", "text/plain; charset=utf-8"},
		{"HEAD /healthz HTTP/1.1", 200, "", "", ""},
		{"POST /healthz HTTP/1.1", 405, methods, "Allow", "GET, HEAD"},
		{"OPTIONS /healthz HTTP/1.1", 405, methods, "Allow", "GET, HEAD"},
		{"GET / HTTP/1.1", 200, "", "Content-Type", "text/plain; charset=utf-8"},
		{"HEAD / HTTP/1.1", 200, "", "", ""},
		{"POST / HTTP/1.1", 404, paths, "Content-Type", "text/plain; charset=utf-8"},
		{"GET /hello?format=text&status=201 HTTP/1.1", 201, "GET /hello?format=text&status=201 HTTP/1.1\nHost: localhost\n", "", ""},
		{"GET /hello?format=json HTTP/1.1", 200, "", "Content-Type", "application/json"},
		{"GET /hello?format=xml HTTP/1.1", 400, "format=\"xml\": want json or text\n", "", ""},
		{"GET /debug/pprof/profile?seconds=abc HTTP/1.1", 400, "seconds=\"abc\": want a number of seconds, up to 3600\n", "", ""},
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
		{"GET /debug/pprof/trace?seconds=3601 HTTP/1.1", 400, "seconds=\"3601\": want a number of seconds, up to 3600\n", "", ""},
		{"GET /debug/pprof/none HTTP/1.1", 404, "Unknown profile\n", "", ""},
	} {
		t.Run(test.request, func(t *testing.T) {
			method, _, _ := strings.Cut(test.request, " ")
			res, body, _ := wire.RoundTrip(t, addr, method, test.request+"\r\nHost: localhost\r\n\r\n")
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
		res, _, _ := wire.RoundTrip(t, addr, "GET", "GET /debug/pprof/"+name+" HTTP/1.1\r\nHost: localhost\r\n\r\n")
		if res.StatusCode != 200 {
			t.Errorf("/debug/pprof/%s: status %d", name, res.StatusCode)
		}
	}

	tr := wire.HTTP2Transport(t)
	for path, status := range map[string]int{"/hello/a": 200, "/hello/../x": 200, "//hello": 200, "/hello//a": 200, "/hellox": 404, "/a": 404} {
		res, err := tr.RoundTrip(httptest.NewRequest("GET", "http://"+addr+path, nil))
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(res.Body)
		res.Body.Close()
		if res.StatusCode != status || status == 200 && !strings.HasPrefix(string(body), "GET "+path+" HTTP/2.0\n") {
			t.Errorf("HTTP/2, %s: status %d, %q", path, res.StatusCode, body)
		}
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

func TestHeadLimit(t *testing.T) {
	addr := testServer(t, newHandler("local"))
	const begin, end = "GET /hello HTTP/1.1\r\nHost: test\r\nX: ", "\r\n\r\n"
	for over, status := range map[int]int{0: 200, 1: 431} {
		left := wire.TestHead - len(begin+end) - 2*head.FieldCost + over
		tiny := strings.Repeat("\r\na:", left/(head.FieldCost+len("\r\na:"))) // fields
		for _, fields := range []string{"", tiny} {
			more := left - len(fields)/len("\r\na:")*(head.FieldCost+len("\r\na:"))
			raw := begin + strings.Repeat("a", more) + fields + end
			res, _, _ := wire.RoundTrip(t, addr, "GET", raw)
			if res.StatusCode != status {
				t.Errorf("head %d bytes over the limit, of %d bytes: status %d, want %d", over, len(raw), res.StatusCode, status)
			}
		}
	}
}

// Nothing but -maxhead bounds how many fields a head may have, or how many trailers it may announce.
func TestManyFields(t *testing.T) {
	addr := testServer(t, newHandler("none"))
	const begin, field, end = "GET /hello HTTP/1.1\nHost:\n", "a:\n", "\n"
	most := (wire.TestHead - len(begin+end) - head.FieldCost) / (len(field) + head.FieldCost)
	names := strings.Repeat("a,", 10000)
	for name, test := range map[string]struct {
		raw    string
		status int
	}{
		"fields":   {begin + strings.Repeat(field, most) + end, 200},
		"one more": {begin + strings.Repeat(field, most+1) + end, 431},
		"trailers": {begin + wire.Chunked + "Trailer: " + names + "\n" + end + "0\r\n\r\n", 200},
	} {
		if res, _, _ := wire.RoundTrip(t, addr, "GET", test.raw); res.StatusCode != test.status {
			t.Errorf("%s: status %d, want %d", name, res.StatusCode, test.status)
		}
	}

	most = (len("large"+wire.LargeValue(0)) + head.FieldCost) / (len("a") + head.FieldCost) // in the place of that field
	fields := slices.Repeat([]wire.Coded{wire.Literal("a", "")}, most)
	p := wire.NewHTTP2Peer(t, "tcp", addr, nil)
	p.Send(wire.HTTP2Start+wire.Request(1, fields...)+wire.Request(3, append(fields, fields[0])...)+wire.Request(5, wire.Literal("trailer", names[:4000])), wire.Cuts["whole"])
	got := p.Await(1, 3, 5)
	for stream, want := range map[int]string{
		1: wire.Shown4 + strings.Repeat("a: \n", most),
		3: wire.TooLargeLine,
		5: wire.Shown4 + "trailer: " + names[:4000] + "\n",
	} {
		if got[stream] != want {
			t.Errorf("HTTP/2, stream %d gets %.200q, want %.200q", stream, got[stream], want)
		}
	}
}

// A connection goes on after a body that was read and after one that wasn't, and each head
// counts for itself.
func TestKeepAlive(t *testing.T) {
	c, err := net.Dial("tcp", testServer(t, newHandler("local")))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	r := bufio.NewReader(c)
	for _, path := range []string{"/hello", "/nowhere", "/hello"} {
		io.WriteString(c, "POST "+path+" HTTP/1.1\r\nHost: test\r\nX: "+strings.Repeat("a", wire.TestHead/2)+"\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
		if res, _ := wire.ReadResponse(t, r, "POST"); res.StatusCode == 431 {
			t.Errorf("%s: %s", path, res.Status)
		}
	}
}

// A panic costs its request only, and is logged with its stack.
func TestPanic(t *testing.T) {
	var log bytes.Buffer
	h := newHandler("local")
	h.mux.HandleFunc("/panic", func(http.ResponseWriter, *http.Request) { panic("oh") })
	srv := newServer(h, wire.TestHead, testLimits())
	if got := fmt.Sprintf("%T", srv.ErrorLog.Writer()); got != "main.complaints" {
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
	wire.RoundTrip(t, ln.Addr().String(), "GET", "GET /hello HTTP/1.1\r\nHost: test\r\n\r\n")
	srv.Close()
	if !strings.Contains(log.String(), "http: panic serving "+c.LocalAddr().String()+": oh\ngoroutine ") {
		t.Errorf("log: %s", &log)
	}
}

func TestPprofAccess(t *testing.T) {
	for access, want := range map[string]struct {
		status int
		body   string
	}{
		"all":   {200, strings.Join(os.Args, "\x00")},
		"local": {403, "profiles are for clients on this machine: Host is neither localhost nor a loopback address; -pprof=all opens them to all\n"},
		"none":  {404, "not found; try /hello, which takes ?status=, ?delay= and ?format=json, /healthz or /debug/pprof/\n"},
	} {
		res, body, _ := wire.RoundTrip(t, testServer(t, newHandler(access)), "GET", "GET /debug/pprof/cmdline HTTP/1.1\r\nHost: test\r\n\r\n")
		if res.StatusCode != want.status || body != want.body {
			t.Errorf("-pprof=%s: %d %q, want %d %q", access, res.StatusCode, body, want.status, want.body)
		}
	}
}
