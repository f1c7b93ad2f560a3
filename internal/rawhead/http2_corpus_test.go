package rawhead

import (
	"strings"

	"httpserver/internal/frame"
	"httpserver/internal/rawhead/http2"
	"httpserver/internal/wire"
)

// http2Corpus holds frames, and what the streams get; "as by net/http" is what they get
// of net/http alone, "refused" the same, and no answer of a handler. After each the next stream is to be shown rightly, unless the connection ended.
var http2Corpus = []struct {
	name string
	raw  string
	want map[int]string
}{
	{"indexed and literal fields", wire.Request(1, wire.Literal("x-a", "1"), wire.Never("authorization", "z"), wire.Huffman(wire.Literal("x-long-name", "with a value")),
		wire.Indexed(16), wire.LiteralOf(32, "a=1"), wire.Literal("x-a", "2"), wire.LiteralOf(32, "b=2"), wire.Literal("x-empty", ""), wire.Literal("te", "trailers")),
		map[int]string{1: wire.Shown4 + "x-a: 1\nauthorization: z\nx-long-name: with a value\naccept-encoding: gzip, deflate\ncookie: a=1\nx-a: 2\ncookie: b=2\nx-empty: \nte: trailers\n"}},
	{"the dynamic table", wire.Request(1, wire.Added("x-a", "1"), wire.AddedTo(62, "2"), wire.Huffman(wire.Added("x-b", "3"))) + wire.Request(3, wire.Indexed(62), wire.Indexed(64), wire.Indexed(63), wire.LiteralOf(62, "4")) +
		wire.Request(5, wire.Literal("x-c", "5")),
		map[int]string{1: wire.Shown4 + "x-a: 1\nx-a: 2\nx-b: 3\n", 3: wire.Shown4 + "x-b: 3\nx-a: 1\nx-a: 2\nx-b: 4\n", 5: wire.Shown4 + "x-c: 5\n"}},
	{"a smaller table", wire.FrameOf(frame.Headers, frame.EndHeaders|frame.EndStream, 1, wire.Block(wire.TableUpdate(0), wire.TableUpdate(60)), wire.Block(wire.Asked4...), wire.Block(wire.Added("x-a", "1"), wire.Added("x-b", "2"), wire.Indexed(62))) +
		wire.Request(3, wire.Indexed(62)),
		map[int]string{1: wire.Shown4 + "x-a: 1\nx-b: 2\nx-b: 2\n", 3: wire.Shown4 + "x-b: 2\n"}},
	{"CONTINUATION at every byte", wire.CutIntoFrames(1, 1, wire.Block(wire.Asked4...)+wire.Block(wire.Added("x-a", "12345"), wire.Huffman(wire.Added("x-b", "67890")))) + wire.Request(3, wire.Indexed(62), wire.Indexed(63)),
		map[int]string{1: wire.Shown4 + "x-a: 12345\nx-b: 67890\n", 3: wire.Shown4 + "x-b: 67890\nx-a: 12345\n"}},
	{"an empty HEADERS frame and an empty CONTINUATION", wire.FrameOf(frame.Headers, frame.EndStream, 1) + wire.FrameOf(frame.Continuation, 0, 1, wire.Block(wire.Asked4...)) + wire.FrameOf(frame.Continuation, frame.EndHeaders, 1),
		map[int]string{1: wire.Shown4}},
	{"padding and priority", wire.FrameOf(frame.Headers, frame.EndHeaders|frame.EndStream|frame.Padded|frame.Priority, 1, "\x05", "\x80\x00\x00\x00\x07", wire.Block(wire.Asked4...), wire.Block(wire.Literal("x", "y")), "\x00\x00\x00\x00\x00") +
		wire.FrameOf(frame.Headers, frame.EndHeaders|frame.EndStream|frame.Padded, 3, "\x00", wire.Block(wire.Asked4...)) + wire.FrameOf(frame.Headers, frame.EndStream|frame.Padded|frame.Priority, 5, "\x02", "\x00\x00\x00\x00\x07", wire.Block(wire.Asked4...), "\x00\x00") +
		wire.FrameOf(frame.Continuation, frame.EndHeaders, 5, wire.Block(wire.Literal("x", "z"))) + wire.FrameOf(0x2, 0, 7, "\x00\x00\x00\x00\x07"),
		map[int]string{1: wire.Shown4 + "x: y\n", 3: wire.Shown4, 5: wire.Shown4 + "x: z\n"}},
	{"trailers", wire.FrameOf(frame.Headers, frame.EndHeaders, 1, wire.Block(wire.Asked4...), wire.Block(wire.Added("x-a", "1"))) + wire.FrameOf(frame.Data, 0, 1, "body") +
		wire.FrameOf(frame.Headers, frame.EndHeaders|frame.EndStream, 1, wire.Block(wire.Added("x-trailer", "t"), wire.Added("x-b", "2"))) + wire.Request(3, wire.Indexed(62), wire.Indexed(64)),
		map[int]string{1: wire.Shown4 + "x-a: 1\n", 3: wire.Shown4 + "x-b: 2\nx-a: 1\n"}},
	{"a body that looks like frames", wire.FrameOf(frame.Headers, frame.EndHeaders, 1, wire.Block(wire.Asked4...)) + wire.FrameOf(frame.Data, frame.EndStream|frame.Padded, 1, "\x03", wire.Request(5, wire.Added("x", "forged")), "\x00\x00\x00") +
		wire.Request(3, wire.Added("x", "3")) + wire.Request(5, wire.Indexed(62)),
		map[int]string{1: wire.Shown4, 3: wire.Shown4 + "x: 3\n", 5: wire.Shown4 + "x: 3\n"}},
	{"unknown frames, and pings", wire.FrameOf(0xbe, 0xff, 1, wire.Request(1)) + wire.FrameOf(0x6, 0, 0, "12345678") + wire.Request(1) + wire.FrameOf(0x10, 0, 0, "\x00\x00\x00\x03u=1"),
		map[int]string{1: wire.Shown4}},
	{"its own field of the marker's name", wire.Request(1, wire.Added(http2.Marker, "1"), wire.Added("x", "y"), wire.Added(http2.Marker, "7")) + wire.Request(3, wire.Indexed(62), wire.Literal(http2.Marker, "2")) + wire.Request(5),
		map[int]string{1: wire.Shown4 + http2.Marker + ": 1\nx: y\n" + http2.Marker + ": 7\n", 3: wire.Shown4 + http2.Marker + ": 7\n" + http2.Marker + ": 2\n", 5: wire.Shown4}},
	{"one stream reset before its answer, one whose body never comes", wire.FrameOf(frame.Headers, frame.EndHeaders, 1, wire.Block(wire.Asked4...), wire.Block(wire.Added("x", "1"))) +
		wire.Reset(1) + wire.FrameOf(frame.Headers, frame.EndHeaders, 3, wire.Block(wire.Asked4...)) + wire.Request(5, wire.Indexed(62)),
		map[int]string{5: wire.Shown4 + "x: 1\n"}},
	{"a frame too large for a marker", wire.FrameOf(frame.Headers, frame.EndHeaders|frame.EndStream, 1, wire.Block(wire.Asked4...), wire.Block(wire.Added("x", "1"), wire.Literal("large", strings.Repeat("a", 16460)))) + wire.Request(3, wire.Indexed(62)),
		map[int]string{1: wire.Shown4 + "x: 1\nlarge: " + strings.Repeat("a", 16460) + "\n", 3: wire.Shown4 + "x: 1\n"}},
	{"a frame just small enough for one", wire.FrameOf(frame.Headers, frame.EndHeaders|frame.EndStream, 1, wire.Block(wire.Asked4...), wire.Block(wire.Literal("large", strings.Repeat("a", 16456)))) + wire.Request(3),
		map[int]string{1: wire.Shown4 + "large: " + strings.Repeat("a", 16456) + "\n", 3: wire.Shown4}},
	{"a large head", wire.CutIntoFrames(1, 16000, wire.Block(wire.Asked4...)+wire.Block(wire.Added("x", "1"), wire.Literal("large", strings.Repeat("a", 60000)))) + wire.Request(3, wire.Indexed(62)),
		map[int]string{1: wire.Shown4 + "x: 1\nlarge: " + strings.Repeat("a", 60000) + "\n", 3: wire.Shown4 + "x: 1\n"}},

	{"an upper-case name", wire.Request(1, wire.Added("X-Upper", "1"), wire.Added("x", "2")) + wire.Request(3, wire.Indexed(62)), map[int]string{1: "refused", 3: wire.Shown4 + "x: 2\n"}},
	{"a bad value", wire.Request(1, wire.Added("x", "a\nb"), wire.Added("y", "2")) + wire.Request(3, wire.Indexed(62)), map[int]string{1: "refused", 3: wire.Shown4 + "y: 2\n"}},
	{"no :path", wire.FrameOf(frame.Headers, frame.EndHeaders|frame.EndStream, 1, wire.Block(wire.Indexed(2), wire.Indexed(6), wire.Added("x", "1"))) + wire.Request(3, wire.Indexed(62)), map[int]string{1: "refused", 3: wire.Shown4 + "x: 1\n"}},
	{"a pseudo-field after a field", wire.FrameOf(frame.Headers, frame.EndHeaders|frame.EndStream, 1, wire.Block(wire.Asked4[:3]...), wire.Block(wire.Added("x", "1"), wire.LiteralOf(1, "test"))) + wire.Request(3, wire.Indexed(62)), map[int]string{1: "refused", 3: wire.Shown4 + "x: 1\n"}},
	{"more padding than there is", wire.FrameOf(frame.Headers, frame.EndHeaders|frame.EndStream|frame.Padded, 1, "\xff", wire.Block(wire.Asked4...), wire.Block(wire.Added("x", "1"))) + wire.Request(3), map[int]string{1: "refused", 3: wire.Shown4}},
	{"more padding than there is, and CONTINUATION", wire.Request(1, wire.Added("x", "1")) + wire.FrameOf(frame.Headers, frame.EndStream|frame.Padded, 3, "\xff", wire.Block(wire.Added("y", "2"))) +
		wire.FrameOf(frame.Continuation, frame.EndHeaders, 3, wire.Block(wire.Asked4...), wire.Block(wire.Added("z", "3"))) + wire.Request(5, wire.Indexed(62)), map[int]string{1: wire.Shown4 + "x: 1\n", 3: "refused", 5: wire.Shown4 + "x: 1\n"}},
	{"a stream that depends on itself", wire.FrameOf(frame.Headers, frame.EndHeaders|frame.EndStream|frame.Priority, 1, "\x00\x00\x00\x01\x07", wire.Block(wire.Asked4...), wire.Block(wire.Added("x", "1"))) + wire.Request(3, wire.Indexed(62)), map[int]string{1: "refused", 3: wire.Shown4 + "x: 1\n"}},
	{"a head over the limit", wire.CutIntoFrames(1, 16000, wire.Block(wire.Asked4...)+wire.Block(wire.Added("x", "1"), wire.Added("y", strings.Repeat("a", 4000)), wire.Added("z", "2"))+strings.Repeat(wire.Block(wire.Indexed(63)), 300)) + wire.Request(3, wire.Indexed(62)),
		map[int]string{1: "refused", 3: wire.Shown4 + "z: 2\n"}},

	{"a head at the limit", wire.CutIntoFrames(1, 16000, nearLimit(0)) + wire.Request(3), map[int]string{1: shownNearLimit(0), 3: wire.Shown4}},
	{"a head one byte over the limit", wire.CutIntoFrames(1, 16000, nearLimit(-1)) + wire.Request(3), map[int]string{1: wire.TooLargeLine, 3: wire.Shown4}},
	{"a head of twice the limit", wire.CutIntoFrames(1, 16000, nearLimit(-wire.TestHead)) + wire.Request(3), map[int]string{1: wire.TooLargeLine, 3: wire.Shown4}},
	{"a head one byte over twice the limit", wire.CutIntoFrames(1, 16000, nearLimit(-wire.TestHead-1)) + wire.Request(3), map[int]string{1: "refused", 3: wire.Shown4}},
	{"a field longer than twice the limit", wire.CutIntoFrames(1, 16000, nearLimit(-wire.TestHead-500)), map[int]string{0: "refused"}},
	{"a head too large of many fields", wire.Request(1, wire.Added("x", "1")) + wire.CutIntoFrames(3, 1000, wire.Block(wire.Asked4...)+strings.Repeat(wire.Block(wire.Indexed(62)), 3500)) + wire.Request(5, wire.Indexed(62)),
		map[int]string{1: wire.Shown4 + "x: 1\n", 3: wire.TooLargeLine, 5: wire.Shown4 + "x: 1\n"}},
	{"a head too large in Huffman's code", wire.CutIntoFrames(1, 500, wire.Block(wire.Asked4...)+wire.Block(wire.Huffman(wire.Added("large", strings.Repeat("a", 120000))), wire.Added("x", "1"))) + wire.Request(3, wire.Indexed(62)),
		map[int]string{1: wire.TooLargeLine, 3: wire.Shown4 + "x: 1\n"}},
	{"a field too large for the table", wire.Request(1, wire.Added("x", "1")) + wire.CutIntoFrames(3, 16000, wire.Block(wire.Asked4...)+wire.Block(wire.Added("large", strings.Repeat("a", 70000)))) + wire.Request(5, wire.Added("y", "2")) + wire.Request(7, wire.Indexed(62)),
		map[int]string{1: wire.Shown4 + "x: 1\n", 3: wire.TooLargeLine, 5: wire.Shown4 + "y: 2\n", 7: wire.Shown4 + "y: 2\n"}},
	{"a field that emptied the table", wire.Request(1, wire.Added("x", "1")) + wire.CutIntoFrames(3, 16000, wire.Block(wire.Asked4...)+wire.Block(wire.Added("large", strings.Repeat("a", 70000)))) + wire.Request(5, wire.Indexed(62)),
		map[int]string{0: "refused"}},
	{"a head too large, and a body", wire.FrameOf(frame.Headers, 0, 1, wire.Block(wire.Asked4...)) + strings.Repeat(wire.FrameOf(frame.Continuation, 0, 1, wire.Block(wire.Literal("x", strings.Repeat("a", 16000)))), 6) +
		wire.FrameOf(frame.Continuation, frame.EndHeaders, 1) + wire.FrameOf(frame.Data, frame.EndStream, 1, strings.Repeat("a", 10000)) + wire.Request(3), map[int]string{1: wire.TooLargeLine, 3: wire.Shown4}},
	{"a head at the limit with a last frame that is twice what is left", wire.CutIntoFrames(1, len(nearLimit(10))/70, nearLimit(10)) + wire.Request(3),
		map[int]string{1: shownNearLimit(10), 3: wire.Shown4}},

	{"HEADERS on stream 0", wire.Request(0), map[int]string{0: "refused"}},
	{"HEADERS on an even stream", wire.Request(2), map[int]string{0: "refused"}},
	{"CONTINUATION without HEADERS", wire.FrameOf(frame.Continuation, frame.EndHeaders, 1, wire.Block(wire.Asked4...)), map[int]string{0: "refused"}},
	{"CONTINUATION on another stream", wire.FrameOf(frame.Headers, frame.EndStream, 1, wire.Block(wire.Asked4...)) + wire.FrameOf(frame.Continuation, frame.EndHeaders, 3), map[int]string{0: "refused"}},
	{"DATA in a block", wire.FrameOf(frame.Headers, 0, 1, wire.Block(wire.Asked4...)) + wire.FrameOf(frame.Data, frame.EndStream, 1), map[int]string{0: "refused"}},
	{"a block cut short", wire.FrameOf(frame.Headers, frame.EndHeaders|frame.EndStream, 1, wire.Block(wire.Asked4...)+"\x00\x03ab"), map[int]string{0: "refused"}},
	{"an index past the table", wire.Request(1, wire.Indexed(99)), map[int]string{0: "refused"}},
	{"a table larger than agreed on", wire.FrameOf(frame.Headers, frame.EndHeaders|frame.EndStream, 1, wire.Block(wire.TableUpdate(5000)), wire.Block(wire.Asked4...)), map[int]string{0: "refused"}},
	{"bad Huffman code", wire.FrameOf(frame.Headers, frame.EndHeaders|frame.EndStream, 1, wire.Block(wire.Asked4...), "\x00\x81\xff\x01a"), map[int]string{0: "refused"}},
	{"a frame too large", wire.FrameOf(frame.Headers, frame.EndHeaders|frame.EndStream, 1, strings.Repeat("\x82", http2.MaxFrame+1)), map[int]string{0: "refused"}},
	{"PADDED without padding", wire.FrameOf(frame.Headers, frame.EndHeaders|frame.EndStream|frame.Padded, 1), map[int]string{0: "refused"}},
	{"PRIORITY cut short", wire.FrameOf(frame.Headers, frame.EndHeaders|frame.EndStream|frame.Priority, 1, "\x00"), map[int]string{0: "refused"}},
	{"a stream that is over", wire.Request(3) + wire.Request(1), map[int]string{0: "refused"}},
}

// nearLimit returns a block whose fields are so many bytes from too large.
func nearLimit(left int) string {
	return wire.Block(wire.Asked4...) + wire.Block(wire.Literal("large", wire.LargeValue(left)))
}

// shownNearLimit returns what such a request is shown.
func shownNearLimit(left int) string { return wire.Shown4 + "large: " + wire.LargeValue(left) + "\n" }
