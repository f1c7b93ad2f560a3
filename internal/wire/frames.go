// Package wire holds what the clients of the tests put on the wire: requests, frames, connections
// that are scripted, and load. Only tests import it.
package wire

import (
	"strconv"
	"strings"

	"golang.org/x/net/http2/hpack"

	"httpserver/internal/frame"
	"httpserver/internal/head"
)

// PingFrame is a type of frames that the program needn't know.
const PingFrame = 0x6

// FrameOf returns a frame with payload.
func FrameOf(kind, flags byte, stream int, payload ...string) string {
	p := strings.Join(payload, "")
	f := make(frame.Frame, frame.HeaderSize)
	f.SetLength(len(p))
	f[3], f[4] = kind, flags
	f[5], f[6], f[7], f[8] = byte(stream>>24), byte(stream>>16), byte(stream>>8), byte(stream)
	return string(f) + p
}

// A Coded is a field in a header block, and how it is coded there.
type Coded struct {
	First  byte // of its representation, with the bits that tell which it is
	prefix int  // bits of first that belong to the index
	index  int
	huff   bool
	name   string // where index is 0
	value  string // unless first says that it is indexed
}

// Representations of RFC 7541 section 6.
func Indexed(index int) Coded { return Coded{First: 0x80, prefix: 7, index: index} }

func Literal(name, value string) Coded { return Coded{prefix: 4, name: name, value: value} }

func Never(name, value string) Coded { return Coded{First: 0x10, prefix: 4, name: name, value: value} }

func Added(name, value string) Coded { return Coded{First: 0x40, prefix: 6, name: name, value: value} }

func AddedTo(index int, value string) Coded {
	return Coded{First: 0x40, prefix: 6, index: index, value: value}
}

func LiteralOf(index int, value string) Coded { return Coded{prefix: 4, index: index, value: value} }

func Huffman(c Coded) Coded { c.huff = true; return c }

func TableUpdate(size int) Coded { return Coded{First: 0x20, prefix: 5, index: size} }

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

// Block codes fields as a header block.
func Block(fields ...Coded) string {
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
		b = varint(b, f.First, f.prefix, f.index)
		if f.First&0xa0 != 0 { // indexed, or an update
			continue
		}
		if f.index == 0 {
			text(f.name, f.huff)
		}
		text(f.value, f.huff)
	}
	return string(b)
}

// Request returns a HEADERS frame for /hello with fields added.
func Request(stream int, fields ...Coded) string {
	return FrameOf(frame.Headers, frame.EndHeaders|frame.EndStream, stream, Block(Asked4...), Block(fields...))
}

// Asked4 are the pseudo-fields of request, out of their usual order.
var Asked4 = []Coded{Indexed(6), LiteralOf(4, "/hello"), Indexed(2), LiteralOf(1, "test")}

const Shown4 = "GET /hello HTTP/2.0\n:scheme: http\n:path: /hello\n:method: GET\n:authority: test\n"

const TooLargeLine = "431 request head over 65536 bytes, counting 32 more for each field\n"

// Reset returns the frame by which a client resets a stream.
func Reset(stream int) string { return FrameOf(frame.Reset, 0, stream, "\x00\x00\x00\x08") }

// HTTP2Start is what a client sends first, with settings by which it takes large answers whole.
var HTTP2Start = frame.Preface + FrameOf(frame.Settings, 0, 0, "\x00\x04\x7f\xff\xff\xff") + FrameOf(frame.WindowUpdate, 0, 0, "\x7f\x00\x00\x00")

// HTTP2NoWindow is what one sends first who takes no content.
var HTTP2NoWindow = frame.Preface + FrameOf(frame.Settings, 0, 0, "\x00\x04\x00\x00\x00\x00")

// manyStreams returns n requests, and what they get.
func ManyStreams(n int) (raw string, want map[int]string) {
	want = map[int]string{}
	for i := range n {
		value := strconv.Itoa(i)
		raw += Request(2*i+1, Added("x", value))
		want[2*i+1] = Shown4 + "x: " + value + "\n"
	}
	return raw, want
}

func LargeValue(left int) string {
	const others = len(":scheme"+"http"+":path"+"/hello"+":method"+"GET"+":authority"+"test"+"large") + 5*head.FieldCost
	return strings.Repeat("a", TestHead-others-left)
}

// cutIntoFrames returns block in frames of n bytes.
func CutIntoFrames(stream, n int, block string) string {
	var b strings.Builder
	kind, flags := byte(frame.Headers), byte(frame.EndStream)
	for len(block) > n {
		b.WriteString(FrameOf(kind, flags, stream, block[:n]))
		block, kind, flags = block[n:], frame.Continuation, 0
	}
	b.WriteString(FrameOf(kind, flags|frame.EndHeaders, stream, block))
	return b.String()
}
