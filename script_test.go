package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// This file has net/http serve connections that are held in memory, where nothing
// depends on time, through our connections and by itself, to compare the two.

// A script is a connection whose client has sent all it will. A Read gives as many of
// the bytes as cut says, the last one the end; what is written is kept.
type script struct {
	in      string
	cut     func() int
	out     bytes.Buffer
	methods []string // of the requests that came to the handler
	closed  chan struct{}
	close   func()
}

func newScript(in string, cut func() int) *script {
	s := &script{in: in, cut: cut, closed: make(chan struct{})}
	s.close = sync.OnceFunc(func() { close(s.closed) })
	return s
}

func (s *script) Read(p []byte) (int, error) {
	if s.in == "" {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), s.cut())], s.in)
	s.in = s.in[n:]
	return n, nil
}

func (s *script) Write(p []byte) (int, error) {
	select {
	case <-s.closed:
		return 0, net.ErrClosed
	default:
		return s.out.Write(p)
	}
}

func (s *script) CloseWrite() error                { return s.Close() } // net/http sends nothing more, and waits for half a second
func (s *script) Close() error                     { s.close(); return nil }
func (s *script) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (s *script) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (s *script) SetDeadline(time.Time) error      { return nil }
func (s *script) SetReadDeadline(time.Time) error  { return nil }
func (s *script) SetWriteDeadline(time.Time) error { return nil }

// cuts are ways in which a client's bytes may arrive.
var cuts = map[string]func() int{
	"whole":        func() int { return 1 << 20 },
	"single bytes": func() int { return 1 },
	"at random":    func() int { return 1 + rand.IntN(40) },
}

// A stage is a listener for scripts.
type stage chan net.Conn

func (s stage) Accept() (net.Conn, error) {
	if c, ok := <-s; ok {
		return c, nil
	}
	return nil, net.ErrClosed
}

func (s stage) Close() error   { return nil }
func (s stage) Addr() net.Addr { return &net.TCPAddr{} }

// An answer is what a request got.
type answer struct {
	handled     bool // by the handler, and not by net/http
	status      int
	close       bool
	contentType string
	body        string
}

// play returns a function that has our server serve what a client sends, cut so, and
// returns the answers. Where ours is false net/http's own connections are served, on
// which /hello can only show net/http's view.
func play(tb testing.TB, ours bool) func(in string, cut func() int) []answer {
	type scriptKey struct{}
	srv := newEcho()
	srv.ConnContext = func(ctx context.Context, nc net.Conn) context.Context {
		if c := connOf(nc); c != nil {
			nc = c.NetConn()
		}
		return context.WithValue(ctx, scriptKey{}, nc)
	}
	srv.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := r.Context().Value(scriptKey{}).(*script)
		s.methods = append(s.methods, r.Method)
		echo(w, r)
	})
	scripts := make(stage)
	go serveEcho(srv, scripts, nil, ours)
	tb.Cleanup(func() { close(scripts) })
	return func(in string, cut func() int) (answers []answer) {
		s := newScript(in, cut)
		scripts <- s
		<-s.closed
		out := bufio.NewReader(&s.out)
		for {
			a := answer{handled: len(answers) < len(s.methods)}
			method := "GET"
			if a.handled {
				method = s.methods[len(answers)]
			}
			res, err := http.ReadResponse(out, &http.Request{Method: method})
			if err != nil {
				if err != io.ErrUnexpectedEOF {
					tb.Errorf("%q is answered with what is no response: %v", in, err)
				}
				return answers
			}
			body, err := io.ReadAll(res.Body)
			if err != nil {
				tb.Errorf("%q is answered with a body that ends badly: %v", in, err)
			}
			if res.StatusCode == http.StatusContinue {
				continue
			}
			a.status, a.close, a.contentType, a.body = res.StatusCode, res.Close, res.Header.Get("Content-Type"), string(body)
			answers = append(answers, a)
		}
	}
}

// textOf returns the text form of h, of r.
func textOf(h *head, r *http.Request) string {
	var b strings.Builder
	h.writeText(&b, r)
	return b.String()
}

// choices are a fuzzer's bytes, each of which makes a choice.
type choices []byte

// choose returns a number below n, 0 when no choices are left.
func (c *choices) choose(n int) int {
	if len(*c) == 0 {
		return 0
	}
	choice := int((*c)[0])
	*c = (*c)[1:]
	return choice % n
}

// seedChoices gives f n runs of choices, each longer than the last by size.
func seedChoices(f *testing.F, n, size int) {
	for i := range n {
		c := make([]byte, size*(i+1))
		src := rand.NewChaCha8([32]byte{byte(i)})
		src.Read(c)
		f.Add(c)
	}
}

// text returns what /hello shows of a raw head.
func text(head string) string {
	return strings.TrimSuffix(strings.ReplaceAll(head, "\r\n", "\n"), "\n")
}

// compare holds the answers to in on our connections against those on net/http's own.
// They are the same, but that /hello shows heads as they were sent, or else net/http's
// view of them. It returns what /hello showed, in order.
func compare(t *testing.T, in string, ours, stock []answer) (shown []string) {
	t.Helper()
	if len(ours) != len(stock) {
		t.Fatalf("%q is answered\n%+v\nand by net/http alone\n%+v", in, ours, stock)
	}
	for i, a := range ours {
		differs := a.handled && a.body != stock[i].body
		if differs {
			r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(a.body + "\n")))
			if err != nil {
				t.Fatalf("answer %d to %q shows %q: %v", i, in, a.body, err)
			}
			r.Header.Del("Host") // as net/http's server does
			if view := textOf((*head)(nil).orView(r), r); view != stock[i].body {
				t.Fatalf("answer %d to %q shows %q, in net/http's view\n%s, but net/http saw\n%s", i, in, a.body, view, stock[i].body)
			}
			if !strings.Contains(strings.ReplaceAll(in, "\r\n", "\n"), a.body+"\n") {
				t.Fatalf("answer %d to %q shows %q, which wasn't sent", i, in, a.body)
			}
			shown = append(shown, a.body)
		}
		a.body = stock[i].body
		if a != stock[i] {
			t.Fatalf("answer %d to %q is\n%+v, and by net/http alone\n%+v", i, in, a, stock[i])
		}
	}
	return shown
}
