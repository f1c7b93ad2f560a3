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
