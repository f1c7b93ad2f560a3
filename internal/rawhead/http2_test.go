package rawhead

import (
	"io"
	"maps"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"httpserver/internal/frame"
	"httpserver/internal/head"
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

// A hundred streams at once, all of whose requests come before the first answer.
func TestHTTP2Streams(t *testing.T) {
	ours, _ := serveHTTP2(t)
	raw, want := wire.ManyStreams(testStreams)
	p := wire.NewHTTP2Peer(t, "unix", ours, nil)
	p.Send(wire.HTTP2Start+raw, wire.Cuts["whole"])
	if got := p.Await(slices.Collect(maps.Keys(want))...); !maps.Equal(got, want) {
		t.Errorf("%v", got)
	}
}

// nearLimit returns a block whose fields are so many bytes from too large.
func nearLimit(left int) string {
	return wire.Block(wire.Asked4...) + wire.Block(wire.Literal("large", wire.LargeValue(left)))
}

// shownNearLimit returns what such a request is shown.
func shownNearLimit(left int) string { return wire.Shown4 + "large: " + wire.LargeValue(left) + "\n" }

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
		for name, cut := range wire.Cuts {
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
				raw := wire.HTTP2Start + test.raw + wire.Request(next)
				var got [2]map[int]string
				for i, addr := range []string{ours, stock} {
					p := wire.NewHTTP2Peer(t, "unix", addr, nil)
					go p.Send(raw, cut)
					got[i] = p.Await(streams...)
				}
				if !ends && got[0][next] != wire.Shown4 {
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

// A request is marked, and nothing else is touched.
func TestMarked(t *testing.T) {
	head := wire.FrameOf(frame.Headers, frame.EndHeaders|frame.Padded, 1, "\x02", wire.Block(wire.Asked4...), "\x00\x00")
	rest := wire.FrameOf(frame.Data, 0, 1, "body") + wire.FrameOf(frame.Headers, frame.EndHeaders|frame.EndStream, 1, wire.Block(wire.Added("x", "trailer"))) + wire.FrameOf(0xbe, 0, 1)
	h, _ := newTestHTTP2(nil)
	dst := make([]byte, 4096)
	nDst, _, _ := h.Feed(dst, []byte(head+rest))
	want := wire.FrameOf(frame.Headers, frame.EndHeaders|frame.Padded, 1, "\x02", wire.Block(wire.Asked4...), wire.Block(wire.Literal(http2.Marker, "1000000000000000001")), "\x00\x00") + rest
	if got := string(dst[:nDst]); got != want {
		t.Errorf("handed on is\n%q, want\n%q", got, want)
	}
}

// What net/http won't take is not gathered for it.
func TestFrameTooLarge(t *testing.T) {
	for _, kind := range []byte{frame.Headers, frame.Data} {
		h, _ := newTestHTTP2(nil)
		dst := make([]byte, 100)
		src := wire.FrameOf(kind, frame.EndHeaders, 1, strings.Repeat("a", http2.MaxFrame+1))[:50]
		if nDst, nSrc, _ := h.Feed(dst, []byte(src)); nSrc != 50 || string(dst[:nDst]) != src {
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
	h.Feed(dst, []byte(wire.FrameOf(frame.Headers, 0, 1, fragment)))
	for i := range 3 * wire.TestHead / len(fragment) {
		src := wire.FrameOf(frame.Continuation, 0, 1, fragment)
		if nDst, _, err := h.Feed(dst, []byte(src)); string(dst[:nDst]) != src && err == nil {
			t.Fatalf("frame %d is not handed on", i)
		}
	}
	if _, _, err := h.Feed(dst, nil); err != io.EOF || a.acquired > 0 {
		t.Errorf("%v, %d bytes are acquired", err, a.acquired)
	}
}

// Nor is a head over the limit kept, of a small field referred to often.
func TestHeadOverLimitIsNotKept(t *testing.T) {
	for fields, want := range map[int]int{14: 1, 18: 0, 40: 0} {
		h, a := newTestHTTP2(nil)
		dst := make([]byte, 100000)
		h.Feed(dst, []byte(wire.Request(1, wire.Added("x", strings.Repeat("a", 4000)))))
		h.Feed(dst, []byte(wire.Request(3, slices.Repeat([]wire.Coded{wire.Indexed(62)}, fields)...)))
		one := h.Take(marked(2))
		if kept := len(one.Head.Fields); kept != want*(4+fields) || (one.As == http2.TooLarge) != (want == 0) ||
			(a.cost >= HeadCopies*2*wire.TestHead) != (fields == 40) {
			t.Errorf("%d times 4,000 bytes: %d fields kept, at a cost of %d", fields, kept, a.cost)
		}
	}
}

// FuzzHTTP2 makes requests of choices, in frames of choices, and holds what each is
// shown against what was sent.
func FuzzHTTP2(f *testing.F) {
	wire.SeedChoices(f, 30, 30)
	ours, _ := serveHTTP2(f)
	f.Fuzz(func(t *testing.T, bytes []byte) {
		left := wire.Choices(bytes)
		choose := left.Choose
		var table []head.Field // the dynamic table, as the last block leaves it
		tableMax := http2.TableSize
		fit := func() {
			for sum, i := 0, 0; i < len(table); i++ {
				if sum += len(table[i].Name) + len(table[i].Value) + 32; sum > tableMax {
					table = table[:i]
				}
			}
		}
		// fields returns how some fields are coded, and what they are.
		fields := func(pseudo bool) (code []wire.Coded, text string) {
			if choose(4) == 1 { // hpack takes no second, and none that is cut
				tableMax = choose(256) * 16
				code = append(code, wire.TableUpdate(tableMax))
				fit()
			}
			if pseudo {
				code, text = append(code, wire.Asked4...), wire.Shown4[strings.IndexByte(wire.Shown4, '\n')+1:]
			}
			for range choose(12) {
				name := []string{"x", "cookie", "x-long-name", "accept-language", http2.Marker}[choose(5)]
				value := strings.Repeat(string(rune('a'+choose(26))), choose(40)*choose(10))
				var c wire.Coded
				switch how := choose(6); {
				case how > 1 && len(table) > 0:
					i := choose(len(table))
					if strings.HasPrefix(table[i].Name, ":") {
						continue
					}
					name = table[i].Name
					switch how {
					case 2, 3:
						c, value = wire.Indexed(62+i), table[i].Value
					case 4:
						c = wire.LiteralOf(62+i, value)
					case 5:
						c = wire.AddedTo(62+i, value)
					}
				case how == 1:
					c = wire.Added(name, value)
				default:
					c = wire.Literal(name, value)
				}
				if choose(2) == 1 {
					c = wire.Huffman(c)
				}
				if c.First == 0x40 {
					table = append([]head.Field{{Name: name, Value: value}}, table...)
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
			kind := byte(frame.Headers)
			for {
				n := min(len(block), 4+1<<choose(12))
				if choose(3) > 0 {
					n = len(block)
				}
				fragment := block[:n]
				block = block[n:]
				if kind == frame.Headers && choose(4) == 1 {
					flags |= frame.Priority
					fragment = "\x00\x00\x00\x00\x07" + fragment
				}
				if kind == frame.Headers && choose(4) == 1 {
					flags |= frame.Padded
					padding := choose(256)
					fragment = string([]byte{byte(padding)}) + fragment + strings.Repeat("\x00", padding)
				}
				if block == "" {
					raw.WriteString(wire.FrameOf(kind, flags|frame.EndHeaders, stream, fragment))
					return
				}
				raw.WriteString(wire.FrameOf(kind, flags, stream, fragment))
				kind, flags = frame.Continuation, 0
			}
		}
		want := map[int]string{}
		var streams []int
		for stream := 1; stream <= 2*testStreams-1 && len(left) > 0; stream += 2 * (1 + choose(3)) {
			code, text := fields(true)
			end := choose(4)
			flags := byte(frame.EndStream)
			if end > 0 {
				flags = 0
			}
			send(stream, flags, wire.Block(code...))
			text = "GET /hello HTTP/2.0\n" + text
			switch end {
			case 1:
				raw.WriteString(wire.FrameOf(frame.Data, frame.EndStream, stream, strings.Repeat(wire.Request(stream+2), choose(5))))
			case 2:
				raw.WriteString(wire.FrameOf(frame.Data, 0, stream, wire.Request(stream)))
				trailers, _ := fields(false)
				send(stream, frame.EndStream, wire.Block(trailers...))
			case 3:
				raw.WriteString(wire.Reset(stream))
				continue // it may be answered, or not
			}
			if choose(4) == 1 {
				raw.WriteString(wire.FrameOf(0xbe, byte(choose(256)), stream, wire.Request(stream)))
			}
			want[stream] = text
			streams = append(streams, stream)
		}
		cut := wire.Cuts["whole"]
		if choose(2) == 1 {
			cut = func() int { return 1 + choose(100) }
		}
		p := wire.NewHTTP2Peer(t, "unix", ours, nil)
		defer p.Conn.Close()
		go p.Send(wire.HTTP2Start+raw.String(), cut)
		got := p.Await(streams...)
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
