package rawhead

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"httpserver/internal/head"
	"httpserver/internal/wire"
)

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
		s := r.Context().Value(scriptKey{}).(*wire.Script)
		s.Methods = append(s.Methods, r.Method)
		echo(w, r)
	})
	scripts := make(wire.Stage)
	go serveEcho(srv, scripts, nil, ours)
	tb.Cleanup(func() { close(scripts) })
	return func(in string, cut func() int) (answers []answer) {
		s := wire.NewScript(in, cut)
		scripts <- s
		<-s.Closed
		out := bufio.NewReader(&s.Out)
		for {
			a := answer{handled: len(answers) < len(s.Methods)}
			method := "GET"
			if a.handled {
				method = s.Methods[len(answers)]
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
func textOf(h *head.Head, r *http.Request) string {
	var b strings.Builder
	h.WriteText(&b, r)
	return b.String()
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
			if view := textOf((*head.Head)(nil).OrView(r), r); view != stock[i].body {
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
