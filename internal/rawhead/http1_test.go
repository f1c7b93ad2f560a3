package rawhead

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"

	"httpserver/internal/frame"
	"httpserver/internal/rawhead/http1"
	"httpserver/internal/wire"
)

// checkHeads checks that answers show heads, from the one before the last ones on.
func checkHeads(t *testing.T, name string, answers []answer, heads ...string) {
	t.Helper()
	if len(answers) < len(heads) {
		t.Fatalf("%s: %d answers, want %d", name, len(answers), len(heads))
	}
	answers = answers[len(answers)-len(heads):]
	for i, head := range heads {
		if answers[i].status != 200 || answers[i].body != wire.Text(head) {
			t.Fatalf("%s: status %d, shown\n%q, want\n%q", name, answers[i].status, answers[i].body, wire.Text(head))
		}
	}
}

// Heads are shown as they were sent, on one connection each and all on one.
func TestHeads(t *testing.T) {
	t.Parallel()
	serve := play(t, true)
	for name, cut := range wire.Cuts {
		var all string
		var heads []string
		for _, test := range corpus {
			in, next := withFollowing(test.head + test.body)
			checkHeads(t, test.name+", "+name, serve(in, cut), append([]string{test.head}, next...)...)
			all += test.head + test.body
			heads = append(heads, test.head)
		}
		checkHeads(t, "all, "+name, serve(all, cut), heads...)
	}
}

// What is like a head, or not quite one, leaves the next one right: empty lines after
// a POST, which net/http allows, and what begins like HTTP/2.
func TestHeadsAfterOdd(t *testing.T) {
	serve, stock := play(t, true), play(t, false)
	const post = "POST /hello HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab"
	for name, cut := range wire.Cuts {
		for _, odd := range []string{
			post + "\r\n", post + "\n", post + "\r\n\r\n", post + "\n\n\n", post + "\r",
			"PRI * HTTP/2.0\r\nHost: test\r\n\r\n",
			"PRI * HTTP/2.0\nHost: test\n\n",
			"PRI * HTTP/2.0\nHost:\n\n", // shorter than HTTP/2's preface
			"PRI * HTTP/2.0\r\nHost:\r\nContent-Length: 3\r\n\r\nabc",
			"GET /nowhere HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n\r\n",
			"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
			"CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n",
			"HEAD /hello HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabcde",
		} {
			in, heads := withFollowing(odd)
			answers := serve(in, cut)
			compare(t, in, answers, stock(in, cut))
			if !answers[0].close { // since Go 1.27 net/http closes after a CONNECT
				checkHeads(t, fmt.Sprintf("%q, %s", odd, name), answers, heads...)
			}
		}
	}
}

// Every way to end a chunk's line, a chunk and the trailer section. What is strictly
// by the book is shown; whatever isn't may be net/http's view, but what net/http makes
// of it stays the same.
func TestChunkedEnds(t *testing.T) {
	t.Parallel()
	serve, stock := play(t, true), play(t, false)
	strict := func(ends ...string) map[string]bool { // and the rest isn't
		m := make(map[string]bool)
		for _, end := range ends {
			m[end] = true
		}
		return m
	}
	lines := strict("3\r\n", "03\r\n", "3 \t\r\n", "3;\r\n", "3;a=\"b\";c\r\n", "0000000000000003\r\n")
	for _, odd := range []string{"3\n", "3\r", "3\n\r", "3\r\r\n", "3;a\n", "3;a\r\r\n", "3;\r;\r\n", "3 ;\r\n", " 3\r\n", "\r\n", "+3\r\n",
		"0x3\r\n", "3g\r\n", "00000000000000003\r\n", "8000000000000003\r\n", "3;" + strings.Repeat("a", 5000) + "\r\n"} {
		lines[odd] = false
	}
	chunkEnds := strict("\r\n")
	for _, odd := range []string{"\n", "\r", "", "\r\r\n", "\n\r\n", "\n\r", "d\r\n", "\r\n\r\n"} {
		chunkEnds[odd] = false
	}
	noFields := []string{" t: 1\r\n\r\n", "t\r\n\r\n"} // net/http refuses them, and we needn't
	sections := strict("\r\n", "t: 1\r\n\r\n", "t: 1\r\n x\r\n\r\n", "t:\r\nu: \xff\r\n\r\n")
	for _, odd := range []string{"\n", "\r", "\r\r\n", "\n\r", "\n\r\n", "t: 1\n\n", "t: 1\r\n\n", "t: 1\n\r\n", "t: 1\n\r", "t: 1\r\r\n\r\n", "t: 1\r\n\r\r\n",
		noFields[0], noFields[1], "t: " + strings.Repeat("a", 5000) + "\r\n\r\n"} {
		sections[odd] = false
	}
	for line, strictLine := range lines {
		for chunkEnd, strictEnd := range chunkEnds {
			for section, strictSection := range sections {
				odd := 0
				for _, strict := range []bool{strictLine, strictEnd, strictSection} {
					if !strict {
						odd++
					}
				}
				if odd > 1 {
					continue
				}
				body := line + "abc" + chunkEnd + "0\r\n" + section
				if ended := followed(body); ended != (odd == 0 || slices.Contains(noFields, section)) {
					t.Errorf("%q is followed to its end: %v", body, ended)
				}
				for name, cut := range wire.Cuts {
					const head = "POST /hello HTTP/1.1\r\nHost: a\r\n" + wire.Chunked + "\r\n"
					in, heads := withFollowing(head + body)
					answers := serve(in, cut)
					compare(t, in, answers, stock(in, cut))
					if odd == 0 {
						checkHeads(t, fmt.Sprintf("%q, %s", in, name), answers, append([]string{head}, heads...)...)
					}
				}
			}
		}
	}
}

// followed reports whether a chunked body is followed to its end, and what comes next is taken for a head.
func followed(body string) bool {
	const head = "POST /hello HTTP/1.1\r\n\r\n"
	h := new(http1.Tracker)
	feed := func(s string) {
		for src := []byte(s); len(src) > 0; {
			_, n, _ := h.Feed(make([]byte, len(src)), src)
			src = src[n:]
		}
	}
	feed(head)
	h.Take(&http.Request{Method: "POST", RequestURI: "/hello", Proto: "HTTP/1.1", ContentLength: -1})
	feed(body + "G")
	return strings.HasSuffix(string(h.FirstLine(100)), "G")
}

// A head inside a body, under every framing, is not shown, nor is any other
// head that isn't the request's.
func TestSmuggling(t *testing.T) {
	t.Parallel()
	serve, stock := play(t, true), play(t, false)
	for _, cut := range wire.Cuts {
		for _, in := range smuggled {
			compare(t, in, serve(in, cut), stock(in, cut))
		}
	}
}

// FuzzHeads makes a sequence of requests, framed by the book, of choices, and cuts it
// at random.
func FuzzHeads(f *testing.F) {
	wire.SeedChoices(f, 20, 40)
	serve, stock := play(f, true), play(f, false)
	cut := func() int { return 1 + rand.IntN(64)*rand.IntN(64) }
	f.Fuzz(func(t *testing.T, raw []byte) {
		left := wire.Choices(raw)
		choose := left.Choose
		one := func(of ...string) string { return of[choose(len(of))] }
		var in strings.Builder
		var heads []string
		for len(left) > 0 && in.Len() < 64<<10 {
			var head strings.Builder
			eol := one("\r\n", "\r\n", "\n")
			fmt.Fprintf(&head, "%s %s HTTP/1.1%s", one("GET", "POST", "PURGE", "x"), one("/hello", "/hello?a", "http://a/hello", "/hello?HTTP/1.1"), eol)
			head.WriteString(one("Host: test", "host:\ttest ", "HOST:") + eol)
			for range choose(6) {
				head.WriteString(one("X", "x-id", "X-Id", "Trailer", "TE", "Pragma", "Content-Type") + one(":", ": ", ":\t") +
					one("", "a", "\xff\xc3", "a: b", strings.Repeat("long", choose(2000)), "a"+eol+" b", "X: \"y\"\t") + eol)
			}
			body := one("", "body", wire.Forged, "0\r\n\r\n", "\r\n\r\n", strings.Repeat("\n\r", choose(3000)))
			switch choose(3) {
			case 0:
				head.WriteString(eol)
				body = ""
			case 1:
				fmt.Fprintf(&head, "Content-Length: %d%s%s", len(body), eol, eol)
			case 2:
				head.WriteString("Transfer-Encoding: chunked" + eol + eol)
				var chunks strings.Builder
				for len(body) > 0 {
					n := 1 + choose(len(body))
					fmt.Fprintf(&chunks, "%x%s\r\n%s\r\n", n, one("", ";", ";a=\"b\"", " "), body[:n])
					body = body[n:]
				}
				body = chunks.String() + "0\r\n" + one("", "X: y\r\n", "Host: forged\r\n", "a:\r\nb: c\r\n") + "\r\n"
			}
			heads = append(heads, head.String())
			in.WriteString(head.String() + body)
		}
		answers := serve(in.String(), cut)
		compare(t, in.String(), answers, stock(in.String(), cut))
		if len(answers) != len(heads) {
			t.Fatalf("%d answers, want %d", len(answers), len(heads))
		}
		checkHeads(t, in.String(), answers, heads...)
	})
}

// FuzzSame sends any bytes, whole and cut, while another client is served, whose bytes
// must not be mixed up with them.
func FuzzSame(f *testing.F) {
	for _, test := range corpus {
		f.Add([]byte(test.head+test.body+wire.Forged), uint8(test.head[0]))
	}
	for _, in := range smuggled {
		f.Add([]byte(in), uint8(100))
	}
	serve, stock := play(f, true), play(f, false)
	f.Fuzz(func(t *testing.T, raw []byte, cut uint8) {
		in := string(raw)
		if strings.HasPrefix(in, frame.Preface) {
			return // there is another fuzzer for HTTP/2
		}
		other := fmt.Sprintf("GET /hello HTTP/1.1\r\nHost: test\r\nX-Other: %d\r\n\r\n", rand.Int())
		var others []answer
		done := make(chan struct{})
		go func() {
			defer close(done)
			others = serve(strings.Repeat(other, 5), wire.Cuts["single bytes"])
		}()
		want := stock(in, wire.Cuts["whole"])
		compare(t, in, serve(in, wire.Cuts["whole"]), want)
		compare(t, in, serve(in, func() int { return 1 + int(cut)*int(cut) }), want)
		<-done
		checkHeads(t, "another client", others, other, other, other, other, other)
	})
}
