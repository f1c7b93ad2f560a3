package main

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"httpserver/internal/head"
	"httpserver/internal/wire"
)

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

// Go's own client.
func TestHelloHTTP2(t *testing.T) {
	addr := testServer(t, newHandler("local"))
	tr := wire.HTTP2Transport(t)
	req, _ := http.NewRequest("POST", "http://"+addr+"/hello?x", io.MultiReader(strings.NewReader("body")))
	req.Header = http.Header{"X-B": {"2", "1"}, "X-_": {""}, "Accept": {"*/*"}, "User-Agent": {"test"}, "Accept-Encoding": {"br"}}
	res, err := tr.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, _ := io.ReadAll(res.Body)
	lines := strings.SplitAfter(string(body), "\n")
	slices.Sort(lines[5:]) // which the client sends in any order
	want := "POST /hello?x HTTP/2.0\n:authority: " + addr + "\n:method: POST\n:path: /hello?x\n:scheme: http\n" +
		"accept-encoding: br\naccept: */*\nuser-agent: test\nx-_: \nx-b: 1\nx-b: 2\n"
	if got := strings.Join(append(lines[:5], lines[6:]...), ""); got != want {
		t.Errorf("body\n%swant\n%s", body, want)
	}
}

// A request keeps no copies of a large head, but what the log says of it, and those of a small one.
func TestDropCopies(t *testing.T) {
	long := strings.Repeat("a", 2*wire.TestHead)
	for _, size := range []int{1, largeHead} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header = http.Header{"X": {"1"}, "User-Agent": {long}}
		r.RequestURI = long
		dropCopies(r, &head.Head{Fields: []head.Field{{Name: ":path", Value: "/"}, {Name: "x", Value: strings.Repeat("a", size)}}})
		if dropped := len(r.UserAgent()) == maxLoggedAgent && len(r.Header) == 1 && r.RequestURI == "/"; dropped != (size == largeHead) {
			t.Errorf("of %d bytes: %d fields are left, %d bytes of the agent, %d of the target", size, len(r.Header), len(r.UserAgent()), len(r.RequestURI))
		}
	}
}

// Every response of /hello says what it is, how long, who answered and whom.
func TestHelloFields(t *testing.T) {
	t.Parallel()
	hostname, _ := os.Hostname()
	addr := testServer(t, newHandler("local"))
	large := "X: " + strings.Repeat("a", 10000) + "\r\n"
	for _, test := range []struct {
		name, request, contentType string
		status                     int
	}{
		{"text", "GET /hello HTTP/1.1\r\nHost: test\r\n\r\n", textType[0], 200},
		{"HEAD", "HEAD /hello HTTP/1.1\r\nHost: test\r\n\r\n", textType[0], 200},
		{"large", "GET /hello HTTP/1.1\r\nHost: test\r\n" + large + "\r\n", textType[0], 200},
		{"large, HEAD", "HEAD /hello HTTP/1.1\r\nHost: test\r\n" + large + "\r\n", textType[0], 200},
		{"JSON", "GET /hello HTTP/1.1\r\nHost: test\r\nAccept: application/json\r\n\r\n", jsonType[0], 200},
		{"too large a body", "POST /hello?status=200 HTTP/1.1\r\nHost: test\r\nContent-Length: 20000000\r\n\r\n", textType[0], 413},
	} {
		method, _, _ := strings.Cut(test.request, " ")
		res, body, peer := wire.RoundTrip(t, addr, method, test.request)
		for field, want := range map[string]string{
			"Cache-Control":          "no-store",
			"Content-Type":           test.contentType,
			"Remote-Addr":            peer,
			"Served-By":              hostname,
			"X-Content-Type-Options": "nosniff",
		} {
			if got := res.Header[field]; len(got) != 1 || got[0] != want {
				t.Errorf("%s: %s: %q, want %q", test.name, field, got, want)
			}
		}
		if res.StatusCode != test.status {
			t.Errorf("%s: status %d, want %d", test.name, res.StatusCode, test.status)
		}
		if length := res.Header["Content-Length"]; len(length) != 1 || method != "HEAD" && length[0] != strconv.Itoa(len(body)) {
			t.Errorf("%s: Content-Length: %q, and the body has %d bytes", test.name, length, len(body))
		}
	}
}

func TestAskedStatusAndDelay(t *testing.T) {
	addr := testServer(t, newHandler("local"))
	const (
		wantStatus = "want 200 to 599\n"
		wantDelay  = "want 0s to 30s, such as 1.5s or 200ms\n"
		echo       = "POST /hello?"
		zeros      = "000000000000000000000"
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
		{"delay=" + zeros + "1ms", 200, echo},
		{"delay=" + zeros + "00ms", 400, `delay="` + zeros + `00ms": ` + wantDelay},
		{strings.Repeat("&", 63) + "status=503", 503, echo},
		{strings.Repeat("&", 64) + "status=503", 200, echo},
	} {
		for _, field := range []string{"", "X: " + strings.Repeat("a", 5000) + "\r\n"} {
			res, body, _ := wire.RoundTrip(t, addr, "POST", "POST /hello?"+test.query+" HTTP/1.1\r\nHost: test\r\n"+field+"Content-Length: 4\r\n\r\nbody")
			if res.StatusCode != test.status || !strings.HasPrefix(body, test.body) || test.body == "" && body != "" {
				t.Errorf("%s: %d %.200q, want %d %q", test.query, res.StatusCode, body, test.status, test.body)
			}
			if got := res.Header["Content-Length"]; test.status == 204 && got != nil {
				t.Errorf("204 has Content-Length: %q", got)
			}
		}
	}

	tr := wire.HTTP2Transport(t)
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
		"text/plain, application/json":      false,
		"application/json;q=0.5, text/plain;q=0.4, */*":               true,
		"text/plain;q=0, application/json":                            true,
		"text/html;q=x, application/json":                             true,
		"text/plain, application/json;q=0.9":                          false,
		"application/json;q=0.5, */*;q=0.1":                           true,
		"application/json;q=0":                                        false,
		"application/json;q=x":                                        false,
		"text/html, application/xml, */*;q=.8":                        false,
		"text/*, application/json;q=0.9":                              false,
		"application/jsonp, ;":                                        false,
		"TEXT/HTML;Q=0, application/json":                             true,
		"text/html ; level=1 ; q = 0.5 ; , application/json":          false,
		"text/html;level=1;q=0.000, application/json":                 true,
		`text/html;a="b c";q=0.5, application/json`:                   false,
		`application/json;a="b=c";q=0`:                                false,
		"text/html;level, application/json":                           true,
		"text/html;level=1 2, application/json":                       true,
		"text/html;level=, application/json":                          true,
		"text/html;=1, application/json":                              true,
		"text/html;;q=1, application/json":                            true,
		"text/html q=0.5, application/json":                           true,
		"text/, application/json":                                     true,
		"text/a/b, application/json":                                  true,
		"text/\xe9, application/json":                                 true,
		"application/json;q=-1":                                       false,
		"application/json;q=nan":                                      false,
		strings.Repeat(",", maxAccept-16) + "application/json":        true,
		strings.Repeat(",", maxAccept-15) + "application/json":        false, // too long
		strings.Repeat("text/a;q=0,", maxAccept) + "application/json": false,
	} {
		if got := prefersJSON([]string{accept}); got != want {
			t.Errorf("%.100q: %v", accept, got)
		}
	}
	if !prefersJSON([]string{"text/plain;q=0", "", "application/json"}) {
		t.Error("three fields")
	}
}

func TestBodies(t *testing.T) {
	t.Parallel()
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
		{"trailers too long", "Transfer-Encoding: chunked", "0\r\nx: " + strings.Repeat("a", 5000) + "\r\n\r\n", 400, "request body: trailers of over 4096 bytes, or not whole\n"},
		{"chunked badly", "Transfer-Encoding: chunked", "x\r\n", 400, "request body: invalid byte in chunk length\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			res, body, _ := wire.RoundTrip(t, addr, "POST", "POST /hello HTTP/1.1\r\nHost: test\r\n"+test.field+"\r\n\r\n"+test.body)
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
