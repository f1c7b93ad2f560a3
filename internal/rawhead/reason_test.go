package rawhead

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"httpserver/internal/frame"
	"httpserver/internal/wire"
)

// A head that net/http refuses has its reason, in which no value of a field is.
func TestReasons(t *testing.T) {
	for head, want := range map[string]string{
		"GET / HTTP/1.1\nx@y: 3\n":                                                `field name "x@y" has an invalid character`,
		"GET / HTTP/1.1\nAuthorization: secret\x00\n":                             `field "Authorization": its value has an invalid character`,
		"GET / HTTP/1.1\nHost: a\nsecret\n":                                       "a field line without a colon",
		"GET / HTTP/1.1\n Host: a\n":                                              `malformed field line: name " Host"`,
		"GET / HTTP/1.1\nsession=secret; Expires=Wed 10:00\n":                     `field name "session=" has an invalid character`,
		"GET / HTTP/1.1\nAuthorization Digest response=\"secret\", uri=\"http:\n": `field name "Authorization " has an invalid character`,
		"GET http://u:secret/ HTTP/1.1\n":                                         "malformed target: invalid port",
		"GET / HTTP/1.1\n: secret\n":                                              `malformed field line: name ""`,
		"GET / HTTP/1.1\nHost: a\nHost: b\n":                                      "too many Host headers",
		"GET / HTTP/1.1\nHost: a\nContent-Length: -1\n":                           `bad Content-Length "-1"`,
		"GET / HTTP/1.1\nHost: a\nTransfer-Encoding: gzip\n":                      `unsupported transfer encoding: "gzip"`,
		"GET /?token=secret\x01 HTTP/1.1\n":                                       "malformed target: net/url: invalid control character in URL",
		"GET /?token=secret\n":                                                    "malformed HTTP request",
		"GET /?token=secret HTTP\n":                                               "malformed HTTP version, or a space in the target",
		"GET / HTTP/1.1\nHost: a\nX-Id : 1\n":                                     `field name "X-Id " has an invalid character`,
		"GET / HTTP/1.1\nHost: a\n":                                               "",
	} {
		if got := reasonOf([]byte(head)); got != want {
			t.Errorf("%q: %q, want %q", head, got, want)
		}
	}
}

// What isn't HTTP is told apart by its first bytes.
func TestOtherProtocols(t *testing.T) {
	for line, want := range map[string]string{
		"PROXY TCP4 192.0.2.1 192.0.2.2 1 2": "a PROXY protocol header: see -proxyprotocol",
		"\r\n\r\n\x00\r":                     "a PROXY protocol header: see -proxyprotocol",
		"\x16\x03\x01\x02\x00\x01":           "TLS on the plain port",
		"\r\n\r\nGET / HTTP/1.1":             "",
		"GET / HTTP/1.1":                     "",
	} {
		if got := otherProtocol([]byte(line)); got != want {
			t.Errorf("%q: %q, want %q", line, got, want)
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
	if got, want := <-told, "too many Host headers"; got != want {
		t.Errorf("the reason is %q, want %q", got, want)
	}
}

// What doesn't come whole is told of once, with the reason.
func TestUnfinishedHeads(t *testing.T) {
	const half, preface = "GET / HTTP/1.1\r\nX-Half: a", "PRI * HTTP/2.0\r\n"
	late := func(net.Conn, func()) { time.Sleep(time.Minute) }
	evicted := func(_ net.Conn, evict func()) { evict() }
	gone := func(client net.Conn, _ func()) { client.Close() }
	for _, test := range []struct {
		raw  string
		end  func(client net.Conn, evict func())
		want string
		line string
	}{
		{half, late, "head not whole within 10s", "GET / HTTP/1.1"},
		{half, evicted, "closed to make room before the head was whole", "GET / HTTP/1.1"},
		{half, gone, "the client closed before the head was whole", "GET / HTTP/1.1"},
		{"\x16\x03\x01\x02\x00", gone, "TLS on the plain port; the client closed before the head was whole", "\x16\x03\x01\x02\x00"},
		{"\x16\x03\x01\x02\x00", late, "TLS on the plain port; head not whole within 10s", "\x16\x03\x01\x02\x00"},
		{wire.HTTP2Start + wire.CutIntoFrames(1, 16000, wire.Block(wire.Literal("x", strings.Repeat("a", 3*wire.TestHead))))[:40000], late, "a field over twice as large as a head may be", ""},
		{preface, late, "head not whole within 10s", "PRI * HTTP/2.0"},
		{wire.HTTP2Start + wire.FrameOf(frame.Headers, 0, 1), late, "frame or header block not whole within 10s", ""},
		{wire.HTTP2Start + wire.FrameOf(frame.Headers, 0, 1), gone, "the client closed before the frame or header block was whole", ""},
		{wire.HTTP2Start + "\x00", evicted, "closed to make room before the frame or header block was whole", ""},
	} {
		synctest.Test(t, func(t *testing.T) {
			time.Sleep(time.Until(longAgo))
			client, server := net.Pipe()
			conns, closed := make(wire.Stage, 1), make(chan struct{})
			defer close(conns)
			conns <- wire.HalfClosingPipe{Conn: server}
			var told []Refusal
			go Serve(newEcho(), conns, Options{
				Refused: func(r Refusal) { told = append(told, r) },
				Closed:  func(net.Conn) <-chan struct{} { return closed },
			})
			go io.Copy(io.Discard, client)
			io.WriteString(client, test.raw)
			synctest.Wait()
			test.end(client, func() { close(closed); server.Close() })
			client.Close()
			time.Sleep(time.Minute)
			synctest.Wait()
			if len(told) != 1 || !strings.HasSuffix(told[0].Reason, test.want) || string(told[0].Line) != test.line || (told[0].Head == nil) != (test.line == "") || told[0].Status != 0 && strings.HasPrefix(test.want, "closed to") {
				t.Errorf("behind %q %+v is told, want %q once", test.raw, told, test.want)
			}
		})
	}
}

// What net/http refuses over HTTP/2 is told of, with the reason in words.
func TestReasonsOfHTTP2(t *testing.T) {
	t.Parallel()
	srv, told := newEcho(), make(chan Refusal, 99)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer srv.Close()
	go Serve(srv, ln, Options{Refused: func(r Refusal) { told <- r }})
	block := func(flags byte, fields ...wire.Coded) string {
		return wire.FrameOf(frame.Headers, frame.EndHeaders|flags, 1, wire.Block(fields...))
	}
	asked := slices.Clone(wire.Asked4)
	with := func(name, value string) string {
		return block(frame.EndStream, append(asked, wire.Literal(name, value))...)
	}
	const malformedBlock = ": a malformed header block, or a field over twice as large as a head may be"
	const line, malformed = "GET /hello HTTP/2.0", "stream 1 reset with PROTOCOL_ERROR: "
	for _, test := range []struct{ raw, line, want string }{
		{with("X-Upper", "secret"), line, malformed + `field name "X-Upper" has a letter in upper case`},
		{with("x@y", "secret"), line, malformed + `field name "x@y" has an invalid character`},
		{with("x", "secret\x00"), line, malformed + `field "x": its value has an invalid character`},
		{with(":path", "/secret"), line, malformed + "two pseudo-fields :path"},
		{with(":status", "secret"), line, malformed + `pseudo-field ":status" isn't one of a request`},
		{block(frame.EndStream, wire.Literal("x", "1"), wire.Indexed(2), wire.Indexed(6), wire.LiteralOf(4, "/hello")), line, malformed + "pseudo-field :method behind a field"},
		{block(frame.EndStream, wire.Indexed(2), wire.LiteralOf(4, "/hello")), line, malformed + "no pseudo-field :scheme"},
		{block(frame.EndStream, wire.Indexed(2), wire.Indexed(6), wire.LiteralOf(4, "secret")), "GET secret HTTP/2.0", malformed + "pseudo-field :path is malformed"},
		{block(frame.EndStream, wire.Indexed(2), wire.Indexed(6), wire.LiteralOf(4, "/%zz")), "GET /%zz HTTP/2.0", malformed + "pseudo-field :path is malformed"},
		{block(frame.EndStream, append(asked, wire.Literal("te", ""), wire.Literal("X", "1"))...), line, malformed + `field name "X" has a letter in upper case`},
		{with("connection", "close"), line, "400 field \"connection\" isn't for HTTP/2"},
		{with("te", "gzip"), line, "400 field \"te\" may only be \"trailers\" over HTTP/2"},
		{wire.CutIntoFrames(1, 16000, wire.Block(append(asked, slices.Repeat([]wire.Coded{wire.Literal("x", strings.Repeat("a", wire.TestHead/2))}, 4)...)...)), "", "431 request head over 65536 bytes, counting 32 more for each field"},
		{wire.CutIntoFrames(1, 16000, wire.Block(append(asked, slices.Repeat([]wire.Coded{wire.Literal("x", strings.Repeat("a", wire.TestHead/2))}, 5)...)...)), "", "a header block of over 131226 bytes"},
		{block(frame.EndStream, wire.Literal("x", "1")), "", "stream 1 reset with PROTOCOL_ERROR"},
		{wire.FrameOf(frame.Data, 0, 1, "a"), "", "connection error PROTOCOL_ERROR after DATA on stream 1"},
		{wire.FrameOf(frame.Settings, 0, 0, "a"), "", "connection error FRAME_SIZE_ERROR after SETTINGS on stream 0"},
		{wire.FrameOf(frame.Headers, frame.EndHeaders, 2), "", "connection error PROTOCOL_ERROR after HEADERS on stream 2"},
		{wire.FrameOf(frame.Headers, frame.EndHeaders, 1, "\xff\xff\xff"), "", "connection error COMPRESSION_ERROR after HEADERS on stream 1" + malformedBlock},
		{wire.CutIntoFrames(1, 16000, wire.Block(append(asked, wire.Literal("x", strings.Repeat("a", 3*wire.TestHead)))...))[:40000], "", "connection error COMPRESSION_ERROR after HEADERS on stream 1" + malformedBlock},
	} {
		p := wire.NewHTTP2Peer(t, "tcp", ln.Addr().String(), nil)
		p.Send(wire.HTTP2Start+test.raw, wire.Cuts["whole"])
		r := <-told
		if r.Status != 0 {
			r.Reason = strconv.Itoa(r.Status) + " " + r.Reason
		}
		if r.Reason != test.want || string(r.Line) != test.line || (r.Head == nil) != (test.line == "") {
			t.Errorf("%.80q: %q %q is told, want %q %q", test.raw, r.Line, r.Reason, test.line, test.want)
		}
		p.Conn.Close()
	}
	p := wire.NewHTTP2Peer(t, "tcp", ln.Addr().String(), nil)
	p.Send(wire.HTTP2Start, wire.Cuts["whole"])
	for n := range testStreams + 1 { // whose bodies don't end
		p.Send(wire.FrameOf(frame.Headers, frame.EndHeaders, 2*n+1, wire.Block(wire.Asked4...)), wire.Cuts["whole"])
	}
	if r, want := <-told, fmt.Sprintf("stream %d reset with REFUSED_STREAM; %d requests are open", 2*testStreams+1, testStreams+1); r.Reason != want {
		t.Errorf("%q is told of one too many, want %q", r.Reason, want)
	}
	p.Conn.Close()
	p = wire.NewHTTP2Peer(t, "tcp", ln.Addr().String(), nil)
	p.Send(wire.HTTP2Start+wire.Request(1), wire.Cuts["whole"])
	p.Await(1)
	p.Conn.Close()
	select {
	case r := <-told:
		t.Errorf("%+v is told of a request that is served", r)
	default:
	}
}
