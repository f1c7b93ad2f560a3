package rawhead

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"httpserver/internal/wire"
)

// A head that net/http refuses has its reason, in which no value of a field is.
func TestReasons(t *testing.T) {
	for head, want := range map[string]string{
		"GET / HTTP/1.1\nx@y: 3\n":                             `field name "x@y" has an invalid character`,
		"GET / HTTP/1.1\nAuthorization: secret\x00\n":          `field "Authorization": its value has an invalid character`,
		"GET / HTTP/1.1\nHost: a\nsecret\n":                    "a field line without a colon",
		"GET / HTTP/1.1\n Host: a\n":                           `malformed field line: name " Host"`,
		"GET / HTTP/1.1\n: secret\n":                           `malformed field line: name ""`,
		"GET / HTTP/1.1\nHost: a\nHost: b\n":                   "too many Host headers",
		"GET / HTTP/1.1\nHost: a\nContent-Length: -1\n":        `bad Content-Length "-1"`,
		"GET / HTTP/1.1\nHost: a\nTransfer-Encoding: gzip\n":   `unsupported transfer encoding: "gzip"`,
		"GET /?token=secret\x01 HTTP/1.1\n":                    "malformed target: net/url: invalid control character in URL",
		"GET /?token=secret\n":                                 "malformed HTTP request",
		"GET /?token=secret HTTP\n":                            "malformed HTTP version",
		"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\nGET / HTTP/1.1\n": "a PROXY protocol header, which isn't taken",
		"\x00\nQUIT\n\x21\x11":                                 "a PROXY protocol header, which isn't taken",
		"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03":         "TLS on the plain port",
		"GET / HTTP/1.1\nHost: a\n":                            "",
	} {
		if got := reasonOf([]byte(head)); got != want {
			t.Errorf("%q: %q, want %q", head, got, want)
		}
	}
}

// What ended an earlier Read isn't the reason of a later refusal.
func TestReasonBehindAnotherRequest(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv, told := newEcho(), make(chan string, 9)
	defer srv.Close()
	go Serve(srv, ln, Options{Refused: func(r Refusal) { told <- r.Reason }})
	client, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for _, request := range []string{"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"} {
		io.WriteString(client, request)
		if r, err := http.ReadResponse(bufio.NewReader(client), nil); err == nil {
			io.Copy(io.Discard, r.Body)
		}
	}
	if got, want := <-told, "Bad Request: too many Host headers"; got != want {
		t.Errorf("the reason is %q, want %q", got, want)
	}
}

// A head that doesn't come whole is told of once, with the reason.
func TestUnfinishedHeads(t *testing.T) {
	for want, end := range map[string]func(client net.Conn, evict func()){
		"head not whole within 10s":                     func(net.Conn, func()) { time.Sleep(time.Minute) },
		"closed to make room before the head was whole": func(_ net.Conn, evict func()) { evict() },
		"the client closed before the head was whole":   func(client net.Conn, _ func()) { client.Close() },
	} {
		synctest.Test(t, func(t *testing.T) {
			time.Sleep(time.Until(longAgo))
			client, server := net.Pipe()
			conns, closed := make(wire.Stage, 1), make(chan struct{})
			defer close(conns)
			conns <- wire.HalfClosingPipe{Conn: server}
			var told []Refusal
			go Serve(newEcho(), conns, Options{
				Refused: func(r Refusal) { r.Head = []byte(string(r.Head)); told = append(told, r) },
				Closed:  func(net.Conn) <-chan struct{} { return closed },
			})
			go io.Copy(io.Discard, client)
			io.WriteString(client, "GET / HTTP/1.1\r\nX-Half: a")
			end(client, func() { close(closed); server.Close() })
			client.Close()
			time.Sleep(time.Minute)
			synctest.Wait()
			if len(told) != 1 || !strings.HasSuffix(told[0].Reason, want) || string(told[0].Line) != "GET / HTTP/1.1" || !strings.HasSuffix(string(told[0].Head), "X-Half: a") {
				t.Errorf("%+v is told, want %q once", told, want)
			}
		})
	}
}
