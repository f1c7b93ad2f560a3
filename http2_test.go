package main

import (
	"crypto/tls"
	"fmt"
	"io"
	"maps"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2/hpack"
)

// Types of frames that the program needn't know.
const (
	settingsFrame = 0x4
	goAwayFrame   = 0x7
	windowFrame   = 0x8
	pingFrame     = 0x6
)

// frameOf returns a frame with payload.
func frameOf(kind, flags byte, stream int, payload ...string) string {
	p := strings.Join(payload, "")
	f := make(frame, frameHeader)
	f.setLength(len(p))
	f[3], f[4] = kind, flags
	f[5], f[6], f[7], f[8] = byte(stream>>24), byte(stream>>16), byte(stream>>8), byte(stream)
	return string(f) + p
}

// A coded is a field in a header block, and how it is coded there.
type coded struct {
	first  byte // of its representation, with the bits that tell which it is
	prefix int  // bits of first that belong to the index
	index  int
	huff   bool
	name   string // where index is 0
	value  string // unless first says that it is indexed
}

// Representations of RFC 7541 section 6.
func indexed(index int) coded          { return coded{first: 0x80, prefix: 7, index: index} }
func literal(name, value string) coded { return coded{prefix: 4, name: name, value: value} }
func never(name, value string) coded   { return coded{first: 0x10, prefix: 4, name: name, value: value} }
func added(name, value string) coded   { return coded{first: 0x40, prefix: 6, name: name, value: value} }
func addedTo(index int, value string) coded {
	return coded{first: 0x40, prefix: 6, index: index, value: value}
}
func literalOf(index int, value string) coded { return coded{prefix: 4, index: index, value: value} }
func huffman(c coded) coded                   { c.huff = true; return c }
func tableUpdate(size int) coded              { return coded{first: 0x20, prefix: 5, index: size} }

// varint appends n as in RFC 7541 section 5.1.
func varint(b []byte, first byte, prefix, n int) []byte {
	most := 1<<prefix - 1
	if n < most {
		return append(b, first|byte(n))
	}
	b = append(b, first|byte(most))
	for n -= most; n >= 128; n >>= 7 {
		b = append(b, byte(n)|128)
	}
	return append(b, byte(n))
}

// block codes fields as a header block.
func block(fields ...coded) string {
	var b []byte
	text := func(s string, huff bool) {
		if huff {
			b = varint(b, 0x80, 7, int(hpack.HuffmanEncodeLength(s)))
			b = hpack.AppendHuffmanString(b, s)
		} else {
			b = append(varint(b, 0, 7, len(s)), s...)
		}
	}
	for _, f := range fields {
		b = varint(b, f.first, f.prefix, f.index)
		if f.first&0xa0 != 0 { // indexed, or an update
			continue
		}
		if f.index == 0 {
			text(f.name, f.huff)
		}
		text(f.value, f.huff)
	}
	return string(b)
}

// request returns a HEADERS frame for /hello with fields added.
func request(stream int, fields ...coded) string {
	return frameOf(headersFrame, endHeaders|endStream, stream, block(asked4...), block(fields...))
}

// asked4 are the pseudo-fields of request, out of their usual order.
var asked4 = []coded{indexed(6), literalOf(4, "/hello"), indexed(2), literalOf(1, "test")}

const shown4 = "GET /hello HTTP/2.0\n:scheme: http\n:path: /hello\n:method: GET\n:authority: test\n"

const tooLargeLine = "431 request head over 65536 bytes, each field counted 32 longer than it is\n"

// An http2Peer talks HTTP/2 to a server in frames.
type http2Peer struct {
	t       testing.TB
	c       net.Conn
	decoder *hpack.Decoder
	answers map[int]string // by stream: what /hello shows or another status, or RST_STREAM; under 0 GOAWAY
	ended   map[int]bool
}

func newHTTP2Peer(t testing.TB, network, addr string, config *tls.Config) *http2Peer {
	t.Helper()
	c, err := net.Dial(network, addr)
	if err == nil && config != nil {
		tc := tls.Client(c, config)
		c, err = tc, tc.Handshake()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(20 * time.Second))
	return newHTTP2PeerOn(t, c)
}

// newHTTP2PeerOn returns a peer on c.
func newHTTP2PeerOn(t testing.TB, c net.Conn) *http2Peer {
	return &http2Peer{t, c, hpack.NewDecoder(4096, nil), map[int]string{}, map[int]bool{}}
}

// send sends raw, cut so.
func (p *http2Peer) send(raw string, cut func() int) {
	for raw != "" {
		n := min(len(raw), cut())
		if _, err := io.WriteString(p.c, raw[:n]); err != nil {
			return // the server has closed it
		}
		raw = raw[n:]
	}
}

// await reads answers until streams have ended, 0 with GOAWAY, or the connection.
func (p *http2Peer) await(streams ...int) map[int]string {
	p.t.Helper()
	for slices.ContainsFunc(streams, func(s int) bool { return !p.ended[s] }) {
		f := make(frame, frameHeader)
		if _, err := io.ReadFull(p.c, f); err != nil {
			if ne, ok := err.(net.Error); ok && ne.Timeout() {
				p.t.Errorf("no answer: %v", streams)
			}
			return p.answers
		}
		payload := make([]byte, f.length())
		if _, err := io.ReadFull(p.c, payload); err != nil {
			p.t.Errorf("half a frame of type %d", f.kind())
			return p.answers
		}
		id := f.stream()
		switch f.kind() {
		case headersFrame:
			fields, err := p.decoder.DecodeFull(payload)
			if err != nil {
				p.t.Error(err)
			}
			if len(fields) > 0 && fields[0].Name == ":status" && fields[0].Value != "200" {
				p.answers[id] = fields[0].Value + " "
			}
		case dataFrame:
			p.answers[id] += string(payload)
		case resetFrame:
			if !p.ended[id] { // else what is left of its body isn't wanted (RFC 9113 section 8.1)
				p.answers[id] = fmt.Sprintf("RST_STREAM %d", payload[3])
			}
		case goAwayFrame:
			p.answers[0] = fmt.Sprintf("GOAWAY %d %s", payload[7], payload[8:])
		}
		p.ended[id] = p.ended[id] || f.kind() == resetFrame || f.kind() == goAwayFrame ||
			f.has(endStream) && (f.kind() == headersFrame || f.kind() == dataFrame)
	}
	return p.answers
}

// awaitHead reads to the head of the answer on a stream, and reports whether it comes.
func (p *http2Peer) awaitHead(stream int) bool {
	for f := make(frame, frameHeader); f.kind() != headersFrame || f.stream() != stream; io.CopyN(io.Discard, p.c, int64(f.length())) {
		if _, err := io.ReadFull(p.c, f); err != nil {
			return false
		}
	}
	return true
}

// reset returns the frame by which a client resets a stream.
func reset(stream int) string { return frameOf(resetFrame, 0, stream, "\x00\x00\x00\x08") }

// http2Start is what a client sends first, with settings by which it takes large answers whole.
var http2Start = preface + frameOf(settingsFrame, 0, 0, "\x00\x04\x7f\xff\xff\xff") + frameOf(windowFrame, 0, 0, "\x7f\x00\x00\x00")

// http2NoWindow is what one sends first who takes no content.
var http2NoWindow = preface + frameOf(settingsFrame, 0, 0, "\x00\x04\x00\x00\x00\x00")

// http2Corpus holds frames, and what the streams get; "as by net/http" is what they get
// of net/http alone, "refused" the same, and no answer of a handler. After each the next stream is to be shown rightly, unless the connection ended.
var http2Corpus = []struct {
	name string
	raw  string
	want map[int]string
}{
	{"indexed and literal fields", request(1, literal("x-a", "1"), never("authorization", "z"), huffman(literal("x-long-name", "with a value")),
		indexed(16), literalOf(32, "a=1"), literal("x-a", "2"), literalOf(32, "b=2"), literal("x-empty", ""), literal("te", "trailers")),
		map[int]string{1: shown4 + "x-a: 1\nauthorization: z\nx-long-name: with a value\naccept-encoding: gzip, deflate\ncookie: a=1\nx-a: 2\ncookie: b=2\nx-empty: \nte: trailers\n"}},
	{"the dynamic table", request(1, added("x-a", "1"), addedTo(62, "2"), huffman(added("x-b", "3"))) + request(3, indexed(62), indexed(64), indexed(63), literalOf(62, "4")) +
		request(5, literal("x-c", "5")),
		map[int]string{1: shown4 + "x-a: 1\nx-a: 2\nx-b: 3\n", 3: shown4 + "x-b: 3\nx-a: 1\nx-a: 2\nx-b: 4\n", 5: shown4 + "x-c: 5\n"}},
	{"a smaller table", frameOf(headersFrame, endHeaders|endStream, 1, block(tableUpdate(0), tableUpdate(60)), block(asked4...), block(added("x-a", "1"), added("x-b", "2"), indexed(62))) +
		request(3, indexed(62)),
		map[int]string{1: shown4 + "x-a: 1\nx-b: 2\nx-b: 2\n", 3: shown4 + "x-b: 2\n"}},
	{"CONTINUATION at every byte", cutIntoFrames(1, 1, block(asked4...)+block(added("x-a", "12345"), huffman(added("x-b", "67890")))) + request(3, indexed(62), indexed(63)),
		map[int]string{1: shown4 + "x-a: 12345\nx-b: 67890\n", 3: shown4 + "x-b: 67890\nx-a: 12345\n"}},
	{"an empty HEADERS frame and an empty CONTINUATION", frameOf(headersFrame, endStream, 1) + frameOf(continuationFrame, 0, 1, block(asked4...)) + frameOf(continuationFrame, endHeaders, 1),
		map[int]string{1: shown4}},
	{"padding and priority", frameOf(headersFrame, endHeaders|endStream|padded|priority, 1, "\x05", "\x80\x00\x00\x00\x07", block(asked4...), block(literal("x", "y")), "\x00\x00\x00\x00\x00") +
		frameOf(headersFrame, endHeaders|endStream|padded, 3, "\x00", block(asked4...)) + frameOf(headersFrame, endStream|padded|priority, 5, "\x02", "\x00\x00\x00\x00\x07", block(asked4...), "\x00\x00") +
		frameOf(continuationFrame, endHeaders, 5, block(literal("x", "z"))) + frameOf(0x2, 0, 7, "\x00\x00\x00\x00\x07"),
		map[int]string{1: shown4 + "x: y\n", 3: shown4, 5: shown4 + "x: z\n"}},
	{"trailers", frameOf(headersFrame, endHeaders, 1, block(asked4...), block(added("x-a", "1"))) + frameOf(dataFrame, 0, 1, "body") +
		frameOf(headersFrame, endHeaders|endStream, 1, block(added("x-trailer", "t"), added("x-b", "2"))) + request(3, indexed(62), indexed(64)),
		map[int]string{1: shown4 + "x-a: 1\n", 3: shown4 + "x-b: 2\nx-a: 1\n"}},
	{"a body that looks like frames", frameOf(headersFrame, endHeaders, 1, block(asked4...)) + frameOf(dataFrame, endStream|padded, 1, "\x03", request(5, added("x", "forged")), "\x00\x00\x00") +
		request(3, added("x", "3")) + request(5, indexed(62)),
		map[int]string{1: shown4, 3: shown4 + "x: 3\n", 5: shown4 + "x: 3\n"}},
	{"unknown frames, and pings", frameOf(0xbe, 0xff, 1, request(1)) + frameOf(0x6, 0, 0, "12345678") + request(1) + frameOf(0x10, 0, 0, "\x00\x00\x00\x03u=1"),
		map[int]string{1: shown4}},
	{"its own field of the marker's name", request(1, added(marker, "1"), added("x", "y"), added(marker, "7")) + request(3, indexed(62), literal(marker, "2")) + request(5),
		map[int]string{1: shown4 + marker + ": 1\nx: y\n" + marker + ": 7\n", 3: shown4 + marker + ": 7\n" + marker + ": 2\n", 5: shown4}},
	{"one stream reset before its answer, one whose body never comes", frameOf(headersFrame, endHeaders, 1, block(asked4...), block(added("x", "1"))) +
		reset(1) + frameOf(headersFrame, endHeaders, 3, block(asked4...)) + request(5, indexed(62)),
		map[int]string{5: shown4 + "x: 1\n"}},
	{"a frame too large for a marker", frameOf(headersFrame, endHeaders|endStream, 1, block(asked4...), block(added("x", "1"), literal("large", strings.Repeat("a", 16460)))) + request(3, indexed(62)),
		map[int]string{1: shown4 + "x: 1\nlarge: " + strings.Repeat("a", 16460) + "\n", 3: shown4 + "x: 1\n"}},
	{"a frame just small enough for one", frameOf(headersFrame, endHeaders|endStream, 1, block(asked4...), block(literal("large", strings.Repeat("a", 16456)))) + request(3),
		map[int]string{1: shown4 + "large: " + strings.Repeat("a", 16456) + "\n", 3: shown4}},
	{"a large head", cutIntoFrames(1, 16000, block(asked4...)+block(added("x", "1"), literal("large", strings.Repeat("a", 60000)))) + request(3, indexed(62)),
		map[int]string{1: shown4 + "x: 1\nlarge: " + strings.Repeat("a", 60000) + "\n", 3: shown4 + "x: 1\n"}},

	{"an upper-case name", request(1, added("X-Upper", "1"), added("x", "2")) + request(3, indexed(62)), map[int]string{1: "refused", 3: shown4 + "x: 2\n"}},
	{"a bad value", request(1, added("x", "a\nb"), added("y", "2")) + request(3, indexed(62)), map[int]string{1: "refused", 3: shown4 + "y: 2\n"}},
	{"no :path", frameOf(headersFrame, endHeaders|endStream, 1, block(indexed(2), indexed(6), added("x", "1"))) + request(3, indexed(62)), map[int]string{1: "refused", 3: shown4 + "x: 1\n"}},
	{"a pseudo-field after a field", frameOf(headersFrame, endHeaders|endStream, 1, block(asked4[:3]...), block(added("x", "1"), literalOf(1, "test"))) + request(3, indexed(62)), map[int]string{1: "refused", 3: shown4 + "x: 1\n"}},
	{"more padding than there is", frameOf(headersFrame, endHeaders|endStream|padded, 1, "\xff", block(asked4...), block(added("x", "1"))) + request(3), map[int]string{1: "refused", 3: shown4}},
	{"more padding than there is, and CONTINUATION", request(1, added("x", "1")) + frameOf(headersFrame, endStream|padded, 3, "\xff", block(added("y", "2"))) +
		frameOf(continuationFrame, endHeaders, 3, block(asked4...), block(added("z", "3"))) + request(5, indexed(62)), map[int]string{1: shown4 + "x: 1\n", 3: "refused", 5: shown4 + "x: 1\n"}},
	{"a stream that depends on itself", frameOf(headersFrame, endHeaders|endStream|priority, 1, "\x00\x00\x00\x01\x07", block(asked4...), block(added("x", "1"))) + request(3, indexed(62)), map[int]string{1: "refused", 3: shown4 + "x: 1\n"}},
	{"a head over the limit", cutIntoFrames(1, 16000, block(asked4...)+block(added("x", "1"), added("y", strings.Repeat("a", 4000)), added("z", "2"))+strings.Repeat(block(indexed(63)), 300)) + request(3, indexed(62)),
		map[int]string{1: "refused", 3: shown4 + "z: 2\n"}},

	{"a head at the limit", cutIntoFrames(1, 16000, nearLimit(0)) + request(3), map[int]string{1: shownNearLimit(0), 3: shown4}},
	{"a head one byte over the limit", cutIntoFrames(1, 16000, nearLimit(-1)) + request(3), map[int]string{1: tooLargeLine, 3: shown4}},
	{"a head of twice the limit", cutIntoFrames(1, 16000, nearLimit(-testHead)) + request(3), map[int]string{1: tooLargeLine, 3: shown4}},
	{"a head one byte over twice the limit", cutIntoFrames(1, 16000, nearLimit(-testHead-1)) + request(3), map[int]string{1: "refused", 3: shown4}},
	{"a field longer than twice the limit", cutIntoFrames(1, 16000, nearLimit(-testHead-500)), map[int]string{0: "refused"}},
	{"a head too large of many fields", request(1, added("x", "1")) + cutIntoFrames(3, 1000, block(asked4...)+strings.Repeat(block(indexed(62)), 3500)) + request(5, indexed(62)),
		map[int]string{1: shown4 + "x: 1\n", 3: tooLargeLine, 5: shown4 + "x: 1\n"}},
	{"a head too large in Huffman's code", cutIntoFrames(1, 500, block(asked4...)+block(huffman(added("large", strings.Repeat("a", 120000))), added("x", "1"))) + request(3, indexed(62)),
		map[int]string{1: tooLargeLine, 3: shown4 + "x: 1\n"}},
	{"a field too large for the table", request(1, added("x", "1")) + cutIntoFrames(3, 16000, block(asked4...)+block(added("large", strings.Repeat("a", 70000)))) + request(5, added("y", "2")) + request(7, indexed(62)),
		map[int]string{1: shown4 + "x: 1\n", 3: tooLargeLine, 5: shown4 + "y: 2\n", 7: shown4 + "y: 2\n"}},
	{"a field that emptied the table", request(1, added("x", "1")) + cutIntoFrames(3, 16000, block(asked4...)+block(added("large", strings.Repeat("a", 70000)))) + request(5, indexed(62)),
		map[int]string{0: "refused"}},
	{"a head too large, and a body", frameOf(headersFrame, 0, 1, block(asked4...)) + strings.Repeat(frameOf(continuationFrame, 0, 1, block(literal("x", strings.Repeat("a", 16000)))), 6) +
		frameOf(continuationFrame, endHeaders, 1) + frameOf(dataFrame, endStream, 1, strings.Repeat("a", 10000)) + request(3), map[int]string{1: tooLargeLine, 3: shown4}},
	{"a head at the limit with a last frame that is twice what is left", cutIntoFrames(1, len(nearLimit(10))/70, nearLimit(10)) + request(3),
		map[int]string{1: shownNearLimit(10), 3: shown4}},

	{"HEADERS on stream 0", request(0), map[int]string{0: "refused"}},
	{"HEADERS on an even stream", request(2), map[int]string{0: "refused"}},
	{"CONTINUATION without HEADERS", frameOf(continuationFrame, endHeaders, 1, block(asked4...)), map[int]string{0: "refused"}},
	{"CONTINUATION on another stream", frameOf(headersFrame, endStream, 1, block(asked4...)) + frameOf(continuationFrame, endHeaders, 3), map[int]string{0: "refused"}},
	{"DATA in a block", frameOf(headersFrame, 0, 1, block(asked4...)) + frameOf(dataFrame, endStream, 1), map[int]string{0: "refused"}},
	{"a block cut short", frameOf(headersFrame, endHeaders|endStream, 1, block(asked4...)+"\x00\x03ab"), map[int]string{0: "refused"}},
	{"an index past the table", request(1, indexed(99)), map[int]string{0: "refused"}},
	{"a table larger than agreed on", frameOf(headersFrame, endHeaders|endStream, 1, block(tableUpdate(5000)), block(asked4...)), map[int]string{0: "refused"}},
	{"bad Huffman code", frameOf(headersFrame, endHeaders|endStream, 1, block(asked4...), "\x00\x81\xff\x01a"), map[int]string{0: "refused"}},
	{"a frame too large", frameOf(headersFrame, endHeaders|endStream, 1, strings.Repeat("\x82", maxFrame+1)), map[int]string{0: "refused"}},
	{"PADDED without padding", frameOf(headersFrame, endHeaders|endStream|padded, 1), map[int]string{0: "refused"}},
	{"PRIORITY cut short", frameOf(headersFrame, endHeaders|endStream|priority, 1, "\x00"), map[int]string{0: "refused"}},
	{"a stream that is over", request(3) + request(1), map[int]string{0: "refused"}},
}

// manyStreams returns n requests, and what they get.
func manyStreams(n int) (raw string, want map[int]string) {
	want = map[int]string{}
	for i := range n {
		value := strconv.Itoa(i)
		raw += request(2*i+1, added("x", value))
		want[2*i+1] = shown4 + "x: " + value + "\n"
	}
	return raw, want
}

// A hundred streams at once, all of whose requests come before the first answer.
func TestHTTP2Streams(t *testing.T) {
	ours, _ := serveHTTP2(t)
	raw, want := manyStreams(testStreams)
	p := newHTTP2Peer(t, "unix", ours, nil)
	p.send(http2Start+raw, cuts["whole"])
	if got := p.await(slices.Collect(maps.Keys(want))...); !maps.Equal(got, want) {
		t.Errorf("%v", got)
	}
}

// nearLimit returns a block whose fields are so many bytes from too large.
func nearLimit(left int) string {
	return block(asked4...) + block(literal("large", largeValue(left)))
}

// shownNearLimit returns what such a request is shown.
func shownNearLimit(left int) string { return shown4 + "large: " + largeValue(left) + "\n" }

func largeValue(left int) string {
	const others = len(":scheme"+"http"+":path"+"/hello"+":method"+"GET"+":authority"+"test"+"large") + 5*fieldCost
	return strings.Repeat("a", testHead-others-left)
}

// cutIntoFrames returns block in frames of n bytes.
func cutIntoFrames(stream, n int, block string) string {
	var b strings.Builder
	kind, flags := byte(headersFrame), byte(endStream)
	for len(block) > n {
		b.WriteString(frameOf(kind, flags, stream, block[:n]))
		block, kind, flags = block[n:], continuationFrame, 0
	}
	b.WriteString(frameOf(kind, flags|endHeaders, stream, block))
	return b.String()
}

// serveHTTP2 returns the sockets of two servers, one with our connections, one with
// net/http's own.
func serveHTTP2(tb testing.TB) (ours, stock string) {
	dir := tb.TempDir()
	ours, stock = filepath.Join(dir, "ours"), filepath.Join(dir, "stock")
	for _, name := range []string{ours, stock} {
		ln, err := net.Listen("unix", name)
		if err != nil {
			tb.Fatal(err)
		}
		srv := newEcho()
		tb.Cleanup(func() { srv.Close() })
		go serveEcho(srv, ln, nil, name == ours)
	}
	return ours, stock
}

func TestHTTP2(t *testing.T) {
	ours, stock := serveHTTP2(t)
	for _, test := range http2Corpus {
		for name, cut := range cuts {
			if len(test.raw) > 10000 && name == "single bytes" {
				continue // they take a second
			}
			t.Run(test.name+"/"+name, func(t *testing.T) {
				t.Parallel()
				const next = 101
				streams := slices.Collect(maps.Keys(test.want))
				_, ends := test.want[0]
				if !ends {
					streams = append(streams, next)
				}
				raw := http2Start + test.raw + request(next)
				var got [2]map[int]string
				for i, addr := range []string{ours, stock} {
					p := newHTTP2Peer(t, "unix", addr, nil)
					go p.send(raw, cut)
					got[i] = p.await(streams...)
				}
				if !ends && got[0][next] != shown4 {
					t.Errorf("the next shows %q", got[0][next])
				}
				for stream, want := range test.want {
					if want == "refused" {
						want = got[1][stream]
						if stream > 0 && !strings.HasPrefix(want, "RST_STREAM") && !strings.HasPrefix(want, "4") {
							t.Errorf("stream %d gets %q of net/http alone", stream, want)
						}
					}
					if got[0][stream] != want {
						t.Errorf("stream %d gets\n%.500q, want\n%.500q", stream, got[0][stream], want)
					}
				}
			})
		}
	}
}

// What idle connections hold after large and refused blocks.
func TestHTTP2IdleMemory(t *testing.T) {
	large := strings.Repeat("~", 15000) // no shorter by Huffman's code
	many := slices.Repeat([]coded{indexed(16)}, 3000)
	for name, raw := range map[string]string{
		"a large frame":             request(101, literal("x", large)),
		"a field in several frames": cutIntoFrames(1, 16000, block(asked4...)+block(literal("x", large+large))) + request(101),
		"refused blocks":            request(1, append(many, literal("X", ""))...) + request(3, append(many, literal("X", ""))...) + request(101),
	} {
		measure := func(addr string) int {
			const conns = 20
			before := heapBytes()
			for range conns {
				p := newHTTP2Peer(t, "unix", addr, nil)
				p.send(http2Start+raw, cuts["whole"])
				p.await(101)
			}
			return (heapBytes() - before) / conns
		}
		holdMore(t, name, 8<<10, func() int {
			ours, stock := serveHTTP2(t)
			return measure(ours) - measure(stock)
		})
	}
}

// A request is marked, and nothing else is touched.
func TestMarked(t *testing.T) {
	head := frameOf(headersFrame, endHeaders|padded, 1, "\x02", block(asked4...), "\x00\x00")
	rest := frameOf(dataFrame, 0, 1, "body") + frameOf(headersFrame, endHeaders|endStream, 1, block(added("x", "trailer"))) + frameOf(0xbe, 0, 1)
	h, _ := newTestHTTP2(nil)
	dst := make([]byte, 4096)
	nDst, _, _ := h.feed(dst, []byte(head+rest))
	want := frameOf(headersFrame, endHeaders|padded, 1, "\x02", block(asked4...), block(literal(marker, "1000000000000000001")), "\x00\x00") + rest
	if got := string(dst[:nDst]); got != want {
		t.Errorf("handed on is\n%q, want\n%q", got, want)
	}
}

// What net/http won't take is not gathered for it.
func TestFrameTooLarge(t *testing.T) {
	for _, kind := range []byte{headersFrame, dataFrame} {
		h, _ := newTestHTTP2(nil)
		dst := make([]byte, 100)
		src := frameOf(kind, endHeaders, 1, strings.Repeat("a", maxFrame+1))[:50]
		if nDst, nSrc, _ := h.feed(dst, []byte(src)); nSrc != 50 || string(dst[:nDst]) != src {
			t.Errorf("%d of 50 bytes are handed on: %q", nDst, dst[:nDst])
		}
	}
}

// Nor is a block gathered without end, of changes of the table's size, which net/http
// doesn't count.
func TestEndlessBlock(t *testing.T) {
	h, a := newTestHTTP2(nil)
	dst := make([]byte, 20000)
	fragment := strings.Repeat("\x20", 16000)
	h.feed(dst, []byte(frameOf(headersFrame, 0, 1, fragment)))
	for i := range 3 * testHead / len(fragment) {
		src := frameOf(continuationFrame, 0, 1, fragment)
		if nDst, _, err := h.feed(dst, []byte(src)); string(dst[:nDst]) != src && err == nil {
			t.Fatalf("frame %d is not handed on", i)
		}
	}
	if _, _, err := h.feed(dst, nil); err != io.EOF || a.acquired > 0 {
		t.Errorf("%v, %d bytes are acquired", err, a.acquired)
	}
}

// Nor is a head over the limit kept, of a small field referred to often.
func TestHeadOverLimitIsNotKept(t *testing.T) {
	for fields, want := range map[int]int{14: 1, 18: 0, 40: 0} {
		h, a := newTestHTTP2(nil)
		dst := make([]byte, 100000)
		h.feed(dst, []byte(request(1, added("x", strings.Repeat("a", 4000)))))
		h.feed(dst, []byte(request(3, slices.Repeat([]coded{indexed(62)}, fields)...)))
		one := h.take(marked(2))
		if kept := len(one.head.fields); kept != want*(4+fields) || (one.as == tooLarge) != (want == 0) ||
			(a.cost >= headCopies*2*testHead) != (fields == 40) {
			t.Errorf("%d times 4,000 bytes: %d fields kept, at a cost of %d", fields, kept, a.cost)
		}
	}
}

// FuzzHTTP2 makes requests of choices, in frames of choices, and holds what each is
// shown against what was sent.
func FuzzHTTP2(f *testing.F) {
	seedChoices(f, 30, 30)
	ours, _ := serveHTTP2(f)
	f.Fuzz(func(t *testing.T, bytes []byte) {
		left := choices(bytes)
		choose := left.choose
		var table []field // the dynamic table, as the last block leaves it
		tableMax := tableSize
		fit := func() {
			for sum, i := 0, 0; i < len(table); i++ {
				if sum += len(table[i].name) + len(table[i].value) + 32; sum > tableMax {
					table = table[:i]
				}
			}
		}
		// fields returns how some fields are coded, and what they are.
		fields := func(pseudo bool) (code []coded, text string) {
			if choose(4) == 1 { // hpack takes no second, and none that is cut
				tableMax = choose(256) * 16
				code = append(code, tableUpdate(tableMax))
				fit()
			}
			if pseudo {
				code, text = append(code, asked4...), shown4[strings.IndexByte(shown4, '\n')+1:]
			}
			for range choose(12) {
				name := []string{"x", "cookie", "x-long-name", "accept-language", marker}[choose(5)]
				value := strings.Repeat(string(rune('a'+choose(26))), choose(40)*choose(10))
				var c coded
				switch how := choose(6); {
				case how > 1 && len(table) > 0:
					i := choose(len(table))
					if strings.HasPrefix(table[i].name, ":") {
						continue
					}
					name = table[i].name
					switch how {
					case 2, 3:
						c, value = indexed(62+i), table[i].value
					case 4:
						c = literalOf(62+i, value)
					case 5:
						c = addedTo(62+i, value)
					}
				case how == 1:
					c = added(name, value)
				default:
					c = literal(name, value)
				}
				if choose(2) == 1 {
					c = huffman(c)
				}
				if c.first == 0x40 {
					table = append([]field{{name: name, value: value}}, table...)
					fit()
				}
				code = append(code, c)
				text += name + ": " + value + "\n"
			}
			return code, text
		}
		var raw strings.Builder
		// send sends a block in frames.
		send := func(stream int, flags byte, block string) {
			kind := byte(headersFrame)
			for {
				n := min(len(block), 4+1<<choose(12))
				if choose(3) > 0 {
					n = len(block)
				}
				fragment := block[:n]
				block = block[n:]
				if kind == headersFrame && choose(4) == 1 {
					flags |= priority
					fragment = "\x00\x00\x00\x00\x07" + fragment
				}
				if kind == headersFrame && choose(4) == 1 {
					flags |= padded
					padding := choose(256)
					fragment = string([]byte{byte(padding)}) + fragment + strings.Repeat("\x00", padding)
				}
				if block == "" {
					raw.WriteString(frameOf(kind, flags|endHeaders, stream, fragment))
					return
				}
				raw.WriteString(frameOf(kind, flags, stream, fragment))
				kind, flags = continuationFrame, 0
			}
		}
		want := map[int]string{}
		var streams []int
		for stream := 1; stream <= 2*testStreams-1 && len(left) > 0; stream += 2 * (1 + choose(3)) {
			code, text := fields(true)
			end := choose(4)
			flags := byte(endStream)
			if end > 0 {
				flags = 0
			}
			send(stream, flags, block(code...))
			text = "GET /hello HTTP/2.0\n" + text
			switch end {
			case 1:
				raw.WriteString(frameOf(dataFrame, endStream, stream, strings.Repeat(request(stream+2), choose(5))))
			case 2:
				raw.WriteString(frameOf(dataFrame, 0, stream, request(stream)))
				trailers, _ := fields(false)
				send(stream, endStream, block(trailers...))
			case 3:
				raw.WriteString(reset(stream))
				continue // it may be answered, or not
			}
			if choose(4) == 1 {
				raw.WriteString(frameOf(0xbe, byte(choose(256)), stream, request(stream)))
			}
			want[stream] = text
			streams = append(streams, stream)
		}
		cut := cuts["whole"]
		if choose(2) == 1 {
			cut = func() int { return 1 + choose(100) }
		}
		p := newHTTP2Peer(t, "unix", ours, nil)
		defer p.c.Close()
		go p.send(http2Start+raw.String(), cut)
		got := p.await(streams...)
		if got[0] != "" {
			t.Errorf("%s for\n%q", got[0], raw.String())
		}
		for stream, text := range want {
			if got[stream] != text {
				t.Errorf("stream %d gets\n%.2000q, want\n%.2000q", stream, got[stream], text)
			}
		}
	})
}
