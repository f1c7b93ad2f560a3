package rawhead

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"httpserver/internal/frame"
	"httpserver/internal/wire"
)

// This file tests what the server assumes of net/http beyond its documentation, of HTTP/1 and of
// connections; assumed_http2_test.go and assumed_hpack_test.go test the rest. None of our code runs here. Where a test
// fails, net/http has changed, and the code that the message names no longer holds.

const plainGet = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"

// Before a handler reads, net/http has read at most maxAhead bytes that follow a head.
func TestAssumedReadAhead(t *testing.T) {
	const post = "POST /waits HTTP/1.1\r\nHost: a\r\n"
	body := strings.Repeat("b", 100)
	for _, test := range []struct{ name, before, head, after string }{
		{"a request without content", "", "GET /waits HTTP/1.1\r\nHost: a\r\n\r\n", plainGet},
		{"the second of a connection", plainGet, "GET /waits HTTP/1.1\r\nHost: a\r\n\r\n", plainGet},
		{"content", "", post + "Content-Length: 100\r\n\r\n", body},
		{"content on the second", plainGet, post + "Content-Length: 100\r\n\r\n", body},
		{"chunks", "", post + "Transfer-Encoding: chunked\r\n\r\n", "64\r\n" + body + "\r\n0\r\n\r\n"},
		{"content to be asked for", "", post + "Expect: 100-continue\r\nContent-Length: 100\r\n\r\n", body},
		{"the shortest head", "", "G /waits HTTP/1.0\n\n", plainGet},
		{"what is no head", "", "a\n\n", plainGet},
	} {
		synctest.Test(t, func(t *testing.T) {
			release := make(chan struct{})
			client, w := observe(t, stockServer(func(_ http.ResponseWriter, r *http.Request) {
				if r.RequestURI == "/waits" {
					<-release
				}
				io.Copy(io.Discard, r.Body)
			}))
			if test.before != "" {
				send(client, test.before)
			}
			send(client, test.head, test.after)
			if ahead := int(w.received.Load()) - len(test.before+test.head); ahead < 0 || ahead > 11 {
				t.Errorf("%s: %d bytes beyond the head are read before the handler reads, want 0 to 11 (maxAhead)", test.name, ahead)
			}
			close(release)
			synctest.Wait()
		})
	}
}

// Of HTTP/1, StateActive comes between a head and its handler, and StateIdle when the whole
// answer is written.
func TestAssumedConnState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w *observed
		client, w := observe(t, stockServer(func(rw http.ResponseWriter, _ *http.Request) {
			w.note("handler")
			io.WriteString(rw, strings.Repeat("a", 10000))
		}))
		send(client, plainGet)
		send(client, plainGet)
		client.Close()
		synctest.Wait()
		const each = "read active handler write idle "
		if got, want := w.did(), "new "+each+each+"Close closed"; got != want {
			t.Errorf("%s, want %s (noteState, conn.handled)", got, want)
		}
	})
}

// What net/http answers without a handler it gives in one Write, before anything else.
func TestAssumedRefusal(t *testing.T) {
	for raw, status := range map[string]string{
		"GET / HTTP/1.1\r\n\r\n":                                            "400",
		"G@ / HTTP/1.1\r\nHost: a\r\n\r\n":                                  "400",
		"\x16\x03\x01 a TLS hello\n\n":                                      "400",
		"GET / HTTP/3.0\r\nHost: a\r\n\r\n":                                 "505",
		"GET / HTTP/1.1\r\nHost: a\r\nExpect: x\r\n\r\n":                    "417",
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n":     "501",
		"GET / HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("a", 2<<20):     "431",
		"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 2\r\nX: y\r\n\r\n": "400",
	} {
		synctest.Test(t, func(t *testing.T) {
			client, _ := observe(t, stockServer(func(http.ResponseWriter, *http.Request) { t.Errorf("a handler gets %.40q", raw) }))
			go io.WriteString(client, raw)
			answer := make([]byte, 4<<10)
			n, _ := client.Read(answer)
			rest, _ := io.ReadAll(client)
			if !strings.HasPrefix(string(answer[:n]), "HTTP/1.1 "+status+" ") || len(rest) > 0 {
				t.Errorf("%.60q gets %q and then %q, want status %s in one Write (tellRefused, logRefused)", raw, answer[:n], rest, status)
			}
		})
	}
}

// Where a client goes on to send, net/http calls CloseWrite after the answer, and then Close.
func TestAssumedCloseWrite(t *testing.T) {
	for name, raw := range map[string]string{
		"a head too large": "GET / HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("a", 2<<20),
		"content unread":   "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n" + strings.Repeat("b", 1000000),
	} {
		synctest.Test(t, func(t *testing.T) {
			client, w := observe(t, stockServer(func(http.ResponseWriter, *http.Request) {}))
			send(client, raw)
			time.Sleep(time.Minute)
			if got := w.did(); !strings.HasSuffix(got, " CloseWrite Close closed") {
				t.Errorf("%s: %s, want CloseWrite and then Close (halfCloser)", name, got)
			}
		})
	}
}

// A late is a script that meets its deadline where others end.
type late struct{ *wire.Script }

func (s late) Read(p []byte) (int, error) {
	n, err := s.Script.Read(p)
	if err == io.EOF {
		err = os.ErrDeadlineExceeded
	}
	return n, err
}

// A head on whose Read the deadline is exceeded gets no answer, where no line is cut short.
func TestAssumedSilence(t *testing.T) {
	sent := ""
	for line := range strings.Lines(plainGet + plainGet) {
		got := played(func(http.ResponseWriter, *http.Request) {}, sent, func(s *wire.Script) net.Conn { return late{s} })
		if strings.Count(got, "HTTP/1.1 ") != len(sent)/len(plainGet) {
			t.Errorf("a deadline exceeded after %q is answered (refuse): %q", sent, got)
		}
		sent += line
	}
}

// Once a handler is done, net/http doesn't need what replaceIn takes out of its request.
func TestAssumedRequestIsReplaced(t *testing.T) {
	for _, raw := range []string{
		plainGet,
		"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n" + plainGet,
		"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n" + plainGet,
		"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" + plainGet,
		"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\na" + plainGet,
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: x\r\n\r\n1\r\na\r\n0\r\nX: y\r\n\r\n" + plainGet,
	} {
		var got [2]string
		for i := range got {
			got[i] = played(func(w http.ResponseWriter, r *http.Request) {
				w.Header()["Date"] = nil
				w.Write([]byte("a"))
				if i == 1 {
					r.Header, r.URL, r.RequestURI, r.Host, r.Trailer = http.Header{}, new(url.URL), "", "", nil
				}
			}, raw, func(s *wire.Script) net.Conn { return s })
		}
		if got[0] != got[1] || got[0] == "" {
			t.Errorf("%q gets %q, and %q where the request is replaced (replaceIn)", raw, got[0], got[1])
		}
	}
}

// net/http sets the Content-Length of content up to 2,048 bytes (maxCounted), and leaves the values of fields
// as they are.
func TestAssumedContentLength(t *testing.T) {
	shared := []string{"text/plain"}
	got := played(func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Content-Type"] = shared
		io.WriteString(w, strings.Repeat("a", 2048))
	}, plainGet, func(s *wire.Script) net.Conn { return s })
	if !strings.Contains(got, fmt.Sprintf("\r\nContent-Length: %d\r\n", 2048)) || shared[0] != "text/plain" {
		t.Errorf("%d bytes get %.200q, and %q is left (maxCounted, textType)", 2048, got, shared)
	}
}

// A stated is a connection over TLS that isn't a *tls.Conn.
type stated struct{ *wire.Script }

func (stated) ConnectionState() tls.ConnectionState { return tls.ConnectionState{ServerName: "a"} }

// A connection with a ConnectionState has Request.TLS of it, and by prior knowledge no HTTP/2.
func TestAssumedConnectionState(t *testing.T) {
	for _, raw := range []string{plainGet, frame.Preface} {
		got := played(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.TLS.ServerName) },
			raw, func(s *wire.Script) net.Conn { return stated{s} })
		if !strings.HasPrefix(got, "HTTP/1.1 200 ") || !strings.HasSuffix(got, "\r\n\r\na") {
			t.Errorf("%q gets %q, want HTTP/1 with the name of its ConnectionState (tlsConn)", raw, got)
		}
	}
}
