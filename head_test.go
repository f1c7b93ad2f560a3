package main

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
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

// A head that isn't the request's is not shown.
func TestHeadIsOf(t *testing.T) {
	r := httptest.NewRequest("GET", "/hello", nil)
	for text, want := range map[string]bool{
		"GET /hello HTTP/1.1\nx: a\n":  true,
		"GET /hello HTTP/1.0\nx: a\n":  false,
		"GET /hello2 HTTP/1.1\nx: a\n": false,
		"HEAD /hello HTTP/1.1\nx: a\n": false,
	} {
		h := head(text)
		if got := h.isOf(r); got != want {
			t.Errorf("%q as the head of GET /hello HTTP/1.1: %v", text, got)
		}
	}
}

func TestLargeHeadsAreNotKept(t *testing.T) {
	for range 10 {
		large := make(head, 0, 1<<20)
		large.free()
		if got := cap(*newHead()); got >= 1<<20 {
			t.Fatalf("%d bytes were kept", got)
		}
	}
}
