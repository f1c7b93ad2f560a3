package rawhead

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"httpserver/internal/frame"
	"httpserver/internal/head"
	"httpserver/internal/wire"
)

// showBeyond answers with the trailers of r, behind its target, and what its client announced.
func showBeyond(w http.ResponseWriter, r *http.Request) {
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		http.Error(w, "no body", http.StatusBadRequest)
		return
	}
	lines, fields := Trailers(r)
	for _, f := range fields {
		lines = f.AppendTo(lines)
	}
	fmt.Fprintf(w, "%s %q", r.URL.Path, lines)
	new(head.Head).WriteJSON(io.Discard, r, func(j head.JSON) {
		j.Flush()
		j.Reset(w)
		WriteHTTP2(j, r)
		j.Flush()
		j.Reset(io.Discard)
	})
}

// Trailers of HTTP/1 are shown as sent, or not at all, to the request whose they are.
func TestTrailersOfHTTP1(t *testing.T) {
	t.Parallel()
	addr := serveOf(t, &http.Server{Handler: http.HandlerFunc(showBeyond)}, false)
	const ask = "POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"
	long := "X-Long: " + strings.Repeat("a", 1000) + "\r\n"
	for _, test := range []struct{ what, raw, want string }{
		{"announced", ask + "Trailer: X-a\r\n\r\n1\r\na\r\n0\r\nX-a: 1\r\n\r\n", `/a "X-a: 1\n"`},
		{"not announced", ask + "\r\n0\r\nx-A:1\r\n\r\n", `/a "x-A:1\n"`},
		{"repeated", ask + "\r\n0\r\nx: 1\r\nX: 2\r\nx: 1\r\n\r\n", `/a "x: 1\nX: 2\nx: 1\n"`},
		{"folded", ask + "\r\n0\r\nx: 1\r\n  2\r\n\r\n", `/a "x: 1\n  2\n"`},
		{"of forbidden names", ask + "\r\n0\r\nContent-Length: 9\r\nHost: b\r\n\r\n", `/a "Content-Length: 9\nHost: b\n"`},
		{"of 3 KB", ask + "\r\n0\r\n" + strings.Repeat(long, 3) + "\r\n", fmt.Sprintf("/a %q", strings.Repeat(strings.ReplaceAll(long, "\r\n", "\n"), 3))},
		{"none", ask + "\r\n0\r\n\r\n", `/a ""`},
		{"of 5 KB", ask + "\r\n0\r\n" + strings.Repeat(long, 5) + "\r\n", ""},
		{"cut off", ask + "\r\n0\r\nx: 1\r\n", ""},
		{"malformed", ask + "\r\n0\r\nx 1\r\n\r\n", ""},
	} {
		for how, cut := range wire.Cuts {
			for _, next := range []string{"", "GET /b HTTP/1.1\r\nHost: a\r\n\r\n", ask + "\r\n0\r\nX-b: 2\r\n\r\n"} {
				c, err := net.Dial("tcp", addr)
				if err != nil {
					t.Fatal(err)
				}
				raw := test.raw
				if test.what != "cut off" {
					raw += next
				}
				for raw != "" {
					n := min(cut(), len(raw))
					io.WriteString(c, raw[:n])
					raw = raw[n:]
				}
				c.(*net.TCPConn).CloseWrite()
				all, _ := io.ReadAll(c)
				c.Close()
				var got []string
				for line := range strings.Lines(string(all)) {
					if line = strings.TrimSpace(line); strings.HasPrefix(line, "/") {
						line, _, _ = strings.Cut(line, "HTTP/1.1 ") // of the next answer
						got = append(got, line)
					}
				}
				var want []string
				if test.want != "" {
					if want = []string{test.want}; strings.HasPrefix(next, "GET") {
						want = append(want, `/b ""`)
					} else if next != "" {
						want = append(want, `/a "X-b: 2\n"`)
					}
				}
				if strings.Join(got, "|") != strings.Join(want, "|") {
					t.Errorf("%s, %s, and %.20q next: %.100q, want %.100q", test.what, how, next, got, want)
				}
			}
		}
	}
}

// Trailers of HTTP/2 are shown as sent, or not at all, and so is what the client announces.
func TestTrailersOfHTTP2(t *testing.T) {
	t.Parallel()
	addr := serveOf(t, &http.Server{Handler: http.HandlerFunc(showBeyond)}, false)
	const announced = `,"http2":{"settings":[["INITIAL_WINDOW_SIZE",2147483647]],"windowUpdate":2130706432,"streamId":1}`
	open := wire.FrameOf(frame.Headers, frame.EndHeaders, 1, wire.Block(wire.Asked4...))
	behind := func(fields ...wire.Coded) string {
		return wire.FrameOf(frame.Headers, frame.EndHeaders|frame.EndStream, 1, wire.Block(fields...))
	}
	large := wire.Literal("x", strings.Repeat("a", 50_000))
	for _, test := range []struct{ what, raw, want string }{
		{"some", open + wire.FrameOf(frame.Data, 0, 1, "a") + behind(wire.Added("grpc-status", "0"), wire.Literal("x", " 1 "), wire.Indexed(62)), `/hello "grpc-status: 0\nx:  1 \ngrpc-status: 0\n"`},
		{"none", open + wire.FrameOf(frame.Data, frame.EndStream, 1, "a"), `/hello ""`},
		{"in several frames", open + wire.CutIntoFrames(1, 16000, wire.Block(large)), fmt.Sprintf(`/hello "x: %s\n"`, strings.Repeat("a", 50_000))},
		{"that would be about a connection", open + behind(wire.Literal("te", "gzip")), `/hello "te: gzip\n"`},
		{"empty", open + behind(), `/hello ""`},
		{"with a pseudo-field", open + behind(wire.Indexed(2)), "RST_STREAM 1"},
		{"with a name in upper case", open + behind(wire.Literal("X", "1")), "RST_STREAM 1"},
		{"that don't end the stream", open + wire.FrameOf(frame.Headers, frame.EndHeaders, 1, wire.Block(wire.Literal("x", "1"))), "RST_STREAM 1"},
	} {
		for how, cut := range wire.Cuts {
			p := wire.NewHTTP2Peer(t, "tcp", addr, nil)
			p.Send(wire.HTTP2Start+test.raw, cut)
			got := p.Await(1)[1]
			want := test.want
			if strings.HasPrefix(want, "/") {
				want += announced
			}
			if got != want {
				t.Errorf("%s, %s: %.100q, want %.100q", test.what, how, got, want)
			}
			p.Conn.Close()
		}
	}
}

// What a client announces is shown in its order, however it arrives, and is bounded.
func TestAnnounced(t *testing.T) {
	t.Parallel()
	addr := serveOf(t, &http.Server{Handler: http.HandlerFunc(showBeyond)}, false)
	setting := func(id, value byte) string { return string([]byte{0x1a, id, 0, 0, 0, value}) }
	known := func(id, value byte) string { return string([]byte{0, id, 0, 0, 0, value}) }
	window := wire.FrameOf(frame.WindowUpdate, 0, 0, "\x00\x00\x00\x05")
	for _, test := range []struct{ what, raw, want string }{
		{"in order", wire.FrameOf(frame.Settings, 0, 0, known(6, 9)+known(2, 0)+setting(0x2a, 7)+known(9, 1)) + window + wire.FrameOf(frame.WindowUpdate, 0, 0, "\x00\x00\x00\x09"),
			`{"settings":[["MAX_HEADER_LIST_SIZE",9],["ENABLE_PUSH",0],["0x1a2a",7],["NO_RFC7540_PRIORITIES",1]],"windowUpdate":5,"streamId":1}`},
		{"nothing", wire.FrameOf(frame.Settings, 0, 0), `{"settings":[],"streamId":1}`},
		{"behind an ACK", wire.FrameOf(frame.Settings, frame.Ack, 0) + wire.FrameOf(frame.Settings, 0, 0, known(6, 9)), `{"settings":[["MAX_HEADER_LIST_SIZE",9]],"streamId":1}`},
		{"the first of two", wire.FrameOf(frame.Settings, 0, 0, known(8, 1)) + wire.FrameOf(frame.Settings, 0, 0, known(6, 9)), `{"settings":[["ENABLE_CONNECT_PROTOCOL",1]],"streamId":1}`},
	} {
		for how, cut := range wire.Cuts {
			p := wire.NewHTTP2Peer(t, "tcp", addr, nil)
			p.Send(frame.Preface+test.raw+wire.Request(1), cut)
			if got := p.Await(1)[1]; got != `/hello "","http2":`+test.want {
				t.Errorf("%s, %s: %s, want %s", test.what, how, got, test.want)
			}
			p.Conn.Close()
		}
	}
}
