package proxyprotocol

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"

	"httpserver/internal/head"
	"httpserver/internal/wire"
)

// A given is a connection that its client has sent all of that it will, and what comes then.
type given struct {
	*wire.Script
	then error
}

func (g given) Read(p []byte) (int, error) {
	n, err := g.Script.Read(p)
	if err != nil {
		err = g.then
	}
	return n, err
}

// receive reads what sent gives, cut so. It returns what comes behind the header, and what is told.
func receive(sent string, cut func() int, required bool, then error) (c *conn, rest string, told error, err error) {
	c, rest, _, told, err = receiveLine(sent, cut, required, then)
	return c, rest, told, err
}

// receiveLine returns also the line that is told.
func receiveLine(sent string, cut func() int, required bool, then error) (c *conn, rest, line string, told error, err error) {
	stage := make(wire.Stage, 1)
	stage <- given{wire.NewScript(sent, cut), then}
	ln := Listener(stage, required, func(_ net.Conn, first []byte, err error) { line, told = string(first), err })
	nc, _ := ln.Accept()
	c = nc.(*conn)
	all, err := io.ReadAll(c)
	if err == nil {
		err = io.EOF
	}
	return c, string(all), line, told, err
}

// v2 returns a header of version 2.
func v2(command, transport byte, after ...string) string {
	all := strings.Join(after, "")
	return "\r\n\r\n\x00\r\nQUIT\n" + string([]byte{command, transport, byte(len(all) >> 8), byte(len(all))}) + all
}

// tlv returns one.
func tlv(kind byte, value string) string {
	return string([]byte{kind, byte(len(value) >> 8), byte(len(value))}) + value
}

const (
	v4Ends   = "\xc0\x00\x02\x01\xc0\x00\x02\x02\x00\x50\x01\xbb"
	v4Shown  = `"source":"192.0.2.1:80","destination":"192.0.2.2:443"`
	v4Spelt  = "PROXY TCP4 192.0.2.1 192.0.2.2 80 443"
	v6Ends   = "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\xc0\x00\x02\x01\x00\x50\x01\xbb"
	v6Shown  = `"source":"[2001:db8::1]:80","destination":"[::ffff:192.0.2.1]:443"`
	v6Spelt  = "PROXY TCP6 2001:db8::1 ::ffff:192.0.2.1 80 443"
	behind   = "GET / HTTP/1.1\r\n\r\n"
	unixName = "/run/\nclient"
)

var unixEnds = unixName + strings.Repeat("\x00", 108-len(unixName)) + "/run/server" + strings.Repeat("\x00", 108-len("/run/server"))

// What a right header says is shown, and what comes behind it is handed on, however it is cut.
func TestHeaders(t *testing.T) {
	ssl := tlv(0x20, "\x01\x00\x00\x00\x00"+tlv(0x21, "TLSv1.3")+tlv(0x23, "TLS_AES_128_GCM_SHA256"))
	for _, test := range []struct{ sent, json, v1, source string }{
		{v4Spelt + "\r\n", `{"version":1,"command":"PROXY","transport":"TCP4",` + v4Shown + `,"tlvs":[]}`, v4Spelt, "192.0.2.1:80"},
		{v6Spelt + "\r\n", `{"version":1,"command":"PROXY","transport":"TCP6",` + v6Shown + `,"tlvs":[]}`, v6Spelt, "[2001:db8::1]:80"},
		{"PROXY UNKNOWN\r\n", `{"version":1,"command":"PROXY","transport":"UNKNOWN","tlvs":[]}`, "PROXY UNKNOWN", ""},
		{"PROXY UNKNOWN ffff::1 ffff::1 1 2\r\n", `{"version":1,"command":"PROXY","transport":"UNKNOWN","tlvs":[]}`, "PROXY UNKNOWN ffff::1 ffff::1 1 2", ""},
		{"PROXY UNKNOWN \x1b\r\n", `{"version":1,"command":"PROXY","transport":"UNKNOWN","tlvs":[]}`, "PROXY UNKNOWN", ""},
		{v2(0x21, 0x11, v4Ends), `{"version":2,"command":"PROXY","transport":"TCP4",` + v4Shown + `,"tlvs":[]}`, v4Spelt, "192.0.2.1:80"},
		{v2(0x21, 0x21, v6Ends), `{"version":2,"command":"PROXY","transport":"TCP6",` + v6Shown + `,"tlvs":[]}`, v6Spelt, "[2001:db8::1]:80"},
		{v2(0x21, 0x12, v4Ends), `{"version":2,"command":"PROXY","transport":"UDP4",` + v4Shown + `,"tlvs":[]}`, "PROXY UNKNOWN", "192.0.2.1:80"},
		{v2(0x21, 0x31, unixEnds), `{"version":2,"command":"PROXY","transport":"UNIX","source":"/run/\u000aclient","destination":"/run/server","tlvs":[]}`, "PROXY UNKNOWN", ""},
		{v2(0x20, 0x00), `{"version":2,"command":"LOCAL","transport":"UNKNOWN","tlvs":[]}`, "PROXY UNKNOWN", ""},
		{v2(0x20, 0x11, "no"), `{"version":2,"command":"LOCAL","transport":"TCP4","tlvs":[]}`, "PROXY UNKNOWN", ""},
		{v2(0x20, 0x11, v4Ends), `{"version":2,"command":"LOCAL","transport":"TCP4",` + v4Shown + `,"tlvs":[]}`, "PROXY UNKNOWN", ""},
		{v2(0x21, 0x11, v4Ends, tlv(0x05, "id-1"), tlv(0xe1, "\x00\xff"), tlv(0x04, "\x00\x00"), tlv(0x02, "")),
			`{"version":2,"command":"PROXY","transport":"TCP4",` + v4Shown + `,"tlvs":[{"type":"0x05","name":"PP2_TYPE_UNIQUE_ID","value":"id-1"},` +
				`{"type":"0xe1","base64":"AP8="},{"type":"0x04","name":"PP2_TYPE_NOOP"},{"type":"0x02","name":"PP2_TYPE_AUTHORITY","value":""}]}`, v4Spelt, "192.0.2.1:80"},
		{v2(0x21, 0x11, v4Ends, ssl), `{"version":2,"command":"PROXY","transport":"TCP4",` + v4Shown + `,"tlvs":[{"type":"0x20","name":"PP2_TYPE_SSL","client":1,"verify":0,"tlvs":[` +
			`{"type":"0x21","name":"PP2_SUBTYPE_SSL_VERSION","value":"TLSv1.3"},{"type":"0x23","name":"PP2_SUBTYPE_SSL_CIPHER","value":"TLS_AES_128_GCM_SHA256"}]}]}`, v4Spelt, "192.0.2.1:80"},
		{v2(0x21, 0x11, v4Ends, tlv(0x20, "\x00\x00\x00\x00\x00"+tlv(0x20, "\x00\x00\x00\x00\x00"))), `{"version":2,"command":"PROXY","transport":"TCP4",` + v4Shown + `,"tlvs":[{"type":"0x20","name":"PP2_TYPE_SSL","client":0,"verify":0,"tlvs":[{"type":"0x20","name":"PP2_TYPE_SSL","base64":"AAAAAAA="}]}]}`, v4Spelt, "192.0.2.1:80"},
		{v2(0x21, 0x11, v4Ends, tlv(0x20, "\x01")), `{"version":2,"command":"PROXY","transport":"TCP4",` + v4Shown + `,"tlvs":[{"type":"0x20","name":"PP2_TYPE_SSL","base64":"AQ=="}]}`, v4Spelt, "192.0.2.1:80"},
		{v2(0x21, 0x11, v4Ends, tlv(0x20, "\x07\x00\x00\x00\x01"+tlv(0x22, "cn")+"x"), tlv(0x03, "abcd")), `{"version":2,"command":"PROXY","transport":"TCP4",` + v4Shown + `,"tlvs":[{"type":"0x20","name":"PP2_TYPE_SSL","base64":"BwAAAAEiAAJjbng="},{"type":"0x03","name":"PP2_TYPE_CRC32C","base64":"YWJjZA=="}]}`, v4Spelt, "192.0.2.1:80"},
		{v2(0x21, 0x11, v4Ends, tlv(0xe1, strings.Repeat("\x00\xff", 150))), `{"version":2,"command":"PROXY","transport":"TCP4",` + v4Shown + `,"tlvs":[{"type":"0xe1","base64":"` + strings.Repeat("AP8A/wD/", 50) + `"}]}`, v4Spelt, "192.0.2.1:80"},
	} {
		for how, cut := range wire.Cuts {
			for _, required := range []bool{false, true} {
				c, rest, told, _ := receive(test.sent+behind, cut, required, io.EOF)
				h := Of(c)
				if h == nil || told != nil || rest != behind {
					t.Errorf("%q, %s: %v, %v is told, %q is handed on", test.sent, how, h, told, rest)
					continue
				}
				var out bytes.Buffer
				j := head.JSON{Writer: bufio.NewWriter(&out)}
				h.WriteJSON(j)
				j.Flush()
				if out.String() != test.json || h.V1() != test.v1 || h.Source() != test.source {
					t.Errorf("%q, %s:\n%s %q %q, want\n%s %q %q", test.sent, how, out.String(), h.V1(), h.Source(), test.json, test.v1, test.source)
				}
			}
		}
	}
}

// The block of LOCAL is ignored where it is no addresses and TLVs (section 2.2).
func TestLocalBlocks(t *testing.T) {
	for _, sent := range []string{v2(0x20, 0x00, "no TLV"), v2(0x20, 0x11), v2(0x20, 0x11, "short"), v2(0x20, 0x11, v4Ends, "no TLV")} {
		c, rest, told, _ := receive(sent+behind, wire.Cuts["whole"], true, io.EOF)
		if h := Of(c); h == nil || h.tlvs != "" || rest != behind || told != nil {
			t.Errorf("%q: %v, %q is handed on, %v is told", sent, h, rest, told)
		}
	}
}

// A header with as many TLVs as there is room for is shown without copies: answers that nobody reads would
// hold them.
func TestManyTLVs(t *testing.T) {
	c, _, told, _ := receive(v2(0x21, 0x11, v4Ends, strings.Repeat(tlv(0xe0, ""), 1360))+behind, wire.Cuts["whole"], true, io.EOF)
	h := Of(c)
	if h == nil {
		t.Fatal(told)
	}
	j := head.JSON{Writer: bufio.NewWriterSize(io.Discard, 1<<10)}
	if n := testing.AllocsPerRun(10, func() { h.WriteJSON(j) }); n > 20 {
		t.Errorf("%v allocations", n)
	}
}

// A connection without a right header ends, and why is told.
func TestWrongHeaders(t *testing.T) {
	for _, test := range []struct{ sent, want string }{
		{"PROXY TCP4 " + strings.Repeat("1", 108-len("PROXY TCP4 ")-2) + "\r\n", errLong.Error()},
		{"PROXY " + strings.Repeat("a", 1<<16), errLong.Error()},
		{v2(0x21, 0x11, strings.Repeat("a", 1<<16-1)), errLong.Error()},
		{v2(0x20, 0x00, strings.Repeat("a", maxAfter+1)), errLong.Error()},
		{"PROXY TCP4 192.0.2.1 192.0.2.2 80\r\n", "malformed PROXY protocol header: can't read address family or protocol"},
		{"PROXY TCP4 192.0.2.1 192.0.2.2 80 70000\r\n", "malformed PROXY protocol header: invalid port number"},
		{"PROXY TCP4 2001:db8::1 2001:db8::2 80 443\r\n", "malformed PROXY protocol header: invalid address"},
		{v4Spelt + "\nAuthorization: a\r\n", "malformed PROXY protocol header: version 1 header is invalid, must end with"},
		{"PROXY UDP4 192.0.2.1 192.0.2.2 80 443\r\n", "malformed PROXY protocol header: can't read address family or protocol"},
		{v2(0x31, 0x11, v4Ends), "malformed PROXY protocol header: unsupported proxy protocol version and command"},
		{v2(0x22, 0x11, v4Ends), "malformed PROXY protocol header: unsupported proxy protocol version and command"},
		{v2(0x21, 0x13, v4Ends), "malformed PROXY protocol header: unsupported address family and protocol"},
		{v2(0x21, 0x11, "short"), "malformed PROXY protocol header: invalid length"},
		{v2(0x21, 0x21, v4Ends), "malformed PROXY protocol header: invalid length"},
		{v2(0x21, 0x11, v4Ends, "\x05\xff\xff"), "malformed PROXY protocol header: truncated TLV"},
		{v2(0x21, 0x11, v4Ends, "\x05"), "malformed PROXY protocol header: truncated TLV"},
	} {
		for how, cut := range wire.Cuts {
			c, rest, line, told, err := receiveLine(test.sent+behind, cut, false, io.EOF)
			if !strings.HasPrefix(test.sent, line) || len(line) < fixedV2 || strings.Contains(line, "\n") && len(line) > fixedV2 {
				t.Errorf("%.80q, %s: the line is %.80q", test.sent, how, line)
			}
			if n, err := c.Read(make([]byte, 1)); n > 0 || !errors.Is(err, errHeader) {
				t.Errorf("%.80q, %s: a second Read gives %d bytes and %v", test.sent, how, n, err)
			}
			var op *net.OpError
			if told == nil || !strings.HasPrefix(told.Error(), test.want) || rest != "" || !errors.Is(err, errHeader) || !errors.As(err, &op) || op.Op != "read" || Of(c) != nil {
				t.Errorf("%.80q, %s: %v is told, want %s; %q is handed on, and %v", test.sent, how, told, test.want, rest, err)
			}
		}
	}
}

// A header that is cut off at any byte is told of once it can't be the beginning of anything else.
func TestCutHeaders(t *testing.T) {
	for _, header := range []string{v4Spelt + "\r\n", v2(0x21, 0x11, v4Ends, tlv(5, "id"))} {
		for size := range len(header) {
			for then, want := range map[error]error{os.ErrDeadlineExceeded: errLate, io.EOF: errCut, net.ErrClosed: errClosed} {
				for _, required := range []bool{false, true} {
					_, rest, line, told, err := receiveLine(header[:size], wire.Cuts["at random"], required, then)
					passed := size == 0 || !required && size < len(beginV1)
					switch {
					case passed && (told != nil || rest != header[:size] || err != then):
						t.Errorf("%q and %v: %v is told, %q is handed on and %v", header[:size], then, told, rest, err)
					case !passed && (line != header[:min(size, len(line))] || line == "" || told != want || rest != "" || !errors.Is(err, errHeader)):
						t.Errorf("%q and %v: %v is told, want %v; %q is handed on and %v", header[:size], then, told, want, rest, err)
					}
				}
			}
		}
	}
}

// A connection without a header is handed on as it is, or ends where one is required.
func TestNoHeader(t *testing.T) {
	for _, sent := range []string{"", "P", "PROX", "POST / HTTP/1.1\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "PROXYING / HTTP/1.1\r\n\r\n", "\r\n\r\nGET / HTTP/1.1\r\n\r\n", "\x16\x03\x01" + strings.Repeat("a", 1000)} {
		for how, cut := range wire.Cuts {
			c, rest, told, err := receive(sent, cut, false, io.EOF)
			if rest != sent || told != nil || err != io.EOF || Of(c) != nil {
				t.Errorf("%.20q, %s: %q is handed on and %v, %v is told", sent, how, rest, err, told)
			}
			if len(sent) < len(beginV1) {
				continue
			}
			if _, rest, told, err = receive(sent, cut, true, io.EOF); rest != "" || told != errMissing || !errors.Is(err, errHeader) {
				t.Errorf("%.20q, %s, required: %q is handed on and %v, %v is told", sent, how, rest, err, told)
			}
		}
	}
}

// A second header is what the client sent.
func TestTwoHeaders(t *testing.T) {
	for _, header := range []string{v4Spelt + "\r\n", v2(0x21, 0x11, v4Ends)} {
		_, rest, told, _ := receive(header+header+behind, wire.Cuts["whole"], true, io.EOF)
		if rest != header+behind || told != nil {
			t.Errorf("%q is handed on, %v is told", rest, told)
		}
	}
}

// FuzzHeaders reads what begins like a header. It hands all on but the header, which is bounded.
func FuzzHeaders(f *testing.F) {
	f.Add("P", "ROXY TCP4 192.0.2.1 192.0.2.2 80 443\r\n"+behind, 3, true)
	f.Add("\r", v2(0x21, 0x11, v4Ends, tlv(5, "id"))[1:]+behind, 16, false)
	f.Add(v2(0x20, 0x00)[:12], "\x20\x31\x00\xd8"+unixEnds, 100, false)
	f.Fuzz(func(t *testing.T, begin, sent string, size int, required bool) {
		sent = begin + sent
		c, rest, told, _ := receive(sent, func() int { return max(1, size) }, required, io.EOF)
		h := Of(c)
		switch {
		case told != nil && (rest != "" || h != nil):
			t.Errorf("%q: %v is told, and %q handed on", sent, told, rest)
		case told == nil && h == nil && rest != sent:
			t.Errorf("%q: %q is handed on", sent, rest)
		case h != nil && (!strings.HasSuffix(sent, rest) || len(sent)-len(rest) > fixedV2+maxAfter):
			t.Errorf("%q: %q is handed on", sent, rest)
		case h != nil:
			h.WriteJSON(head.JSON{Writer: bufio.NewWriter(io.Discard)})
			_ = fmt.Sprint(h.V1(), h.Source())
		}
	})
}
