package http1

import (
	"bufio"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"httpserver/internal/head"
	"httpserver/internal/wire"
)

// A head that isn't the request's is not shown.
func TestHeadIsOf(t *testing.T) {
	r := httptest.NewRequest("GET", "/hello", nil)
	for text, want := range map[string]bool{
		"GET /hello HTTP/1.1\nx: a\n":  true,
		"GET /hello HTTP/1.0\nx: a\n":  false,
		"GET /hello2 HTTP/1.1\nx: a\n": false,
		"HEAD /hello HTTP/1.1\nx: a\n": false,
	} {
		h := head.Head{Text: []byte(text)}
		if got := isOf(h.Text, r); got != want {
			t.Errorf("%q as the head of GET /hello HTTP/1.1: %v", text, got)
		}
	}
}

// A head with all that may follow it is handed on no further than its end, but for a
// byte that net/http reads ahead, before or after the handler asks for the head.
func TestReadAhead(t *testing.T) {
	const head = "GET /hello HTTP/1.1\r\nHost: test\r\n\r\n"
	r, _ := http.ReadRequest(bufio.NewReader(strings.NewReader(head)))
	for _, early := range []bool{true, false} {
		src := strings.Repeat(head, 3)
		h := new(Tracker)
		read := func(size int, want string) {
			t.Helper()
			dst := make([]byte, size)
			nDst, nSrc, _ := h.Feed(dst, []byte(src))
			if got := string(dst[:nDst]); got != want || nSrc != nDst {
				t.Fatalf("%q, %d taken, want %q", got, nSrc, want)
			}
			src = src[nSrc:]
		}
		read(4096, head)
		for i := range 2 {
			if early {
				read(1, head[:1])
			}
			if got := h.Take(r); got == nil || string(got.Text) != wire.Text(head) {
				t.Fatalf("head %d: %q", i, got.Text)
			}
			if !early {
				read(1, head[:1])
			}
			read(4096, head[1:])
		}
		read(1, "")
		if got := h.Take(r); string(got.Text) != wire.Text(head) {
			t.Fatalf("last head: %q", got.Text)
		}
	}
}

// What net/http never does must not make a wrong head.
func TestReadTooFar(t *testing.T) {
	const sent = "GET /hello HTTP/1.1\r\nHost: test\r\n\r\n"
	r, _ := http.ReadRequest(bufio.NewReader(strings.NewReader(sent)))
	other, _ := http.ReadRequest(bufio.NewReader(strings.NewReader(strings.Replace(sent, "GET", "PUT", 1))))
	dst := make([]byte, 4096)
	for name, take := range map[string]func(h *Tracker) *head.Head{
		"many bytes ahead":       func(h *Tracker) *head.Head { h.Feed(dst, []byte(sent)); return h.Take(r) },
		"a head asked for twice": func(h *Tracker) *head.Head { h.Take(r); return h.Take(r) },
		"another request's":      func(h *Tracker) *head.Head { return h.Take(other) },
	} {
		h := new(Tracker)
		h.Feed(dst, []byte(sent))
		if got := take(h); got != nil {
			t.Errorf("%s: %q", name, got.Text)
		}
		h.Feed(dst, []byte(sent))
		if got := h.Take(r); got != nil {
			t.Errorf("%s, after it: %q", name, got.Text)
		}
	}
}

// Trailers past what net/http takes aren't kept, nor is anything behind them.
func TestLongTrailers(t *testing.T) {
	for size, known := range map[int]bool{3: true, 5: false} { // in KB
		h := new(Tracker)
		feed := func(s string) { h.Feed(make([]byte, len(s)), []byte(s)) }
		feed("GET / HTTP/1.1\r\n\r\n")
		h.Take(&http.Request{Method: "GET", RequestURI: "/", Proto: "HTTP/1.1", ContentLength: -1}).Free()
		line := "x: " + strings.Repeat("a", 1000) + "\r\n"
		feed("0\r\n" + strings.Repeat(line, size) + "\r\n")
		if got := h.Trailers() != nil; got != known {
			t.Errorf("of %d KB: known: %v", size, got)
		}
	}
}
