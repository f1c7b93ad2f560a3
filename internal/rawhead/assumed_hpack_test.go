package rawhead

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"golang.org/x/net/http2/hpack"

	"httpserver/internal/rawhead/http2"
	"httpserver/internal/wire"
)

// This file tests that golang.org/x/net's decoder of header blocks, which the server uses, and
// net/http's, which is no longer kept in step with it, do the same.

// maxString is the longest string that is decoded in hpackCorpus, in bytes.
const maxString = 4000

// hpackCorpus holds hostile blocks. Each comes after asked4, and after a block that has added
// five fields.
var hpackCorpus = map[string]string{
	"every representation":           wire.Block(wire.Literal("a", "1"), wire.Never("b", "2"), wire.Added("c", "3"), wire.LiteralOf(62, "4"), wire.AddedTo(63, "5"), wire.Indexed(62), wire.Huffman(wire.Added("d", "6"))),
	"the last of the static table":   wire.Block(wire.Indexed(61)),
	"the last of the dynamic table":  wire.Block(wire.Indexed(66)),
	"past the dynamic table":         wire.Block(wire.Indexed(67)),
	"a name past the dynamic table":  wire.Block(wire.LiteralOf(67, "x")),
	"index 0":                        "\x80",
	"an index of 2^32":               "\xff\x81\xff\xff\xff\x0f",
	"an index of 2^63":               "\xff\x81\xff\xff\xff\xff\xff\xff\xff\xff\x01",
	"an integer without end":         "\xff" + strings.Repeat("\x80", 20),
	"an integer cut short":           "\xff\x80",
	"an integer with zeros at end":   "\x00\x01a\x7f\x81\x80\x80\x00" + strings.Repeat("b", 128),
	"an index with zeros at end":     "\x0f\xb1\x80\x00\x01b",
	"a name cut short":               "\x00\x03ab",
	"a value cut short":              "\x00\x01a\x03bc",
	"no value":                       "\x00\x01a",
	"no name":                        wire.Block(wire.Literal("", "b")),
	"Huffman's code, empty":          "\x00\x01a\x80",
	"Huffman's code, padded":         "\x00\x01a\x81\x1f",
	"Huffman's code, badly padded":   "\x00\x01a\x81\x18",
	"Huffman's code, a byte padding": "\x00\x01a\x82\x1f\xff",
	"Huffman's code, only padding":   "\x00\x01a\x81\xff",
	"Huffman's code, EOS":            "\x00\x01a\x84\xff\xff\xff\xff",
	"Huffman's code, EOS in between": "\x00\x01a\x85\x1f\xff\xff\xff\xe3",
	"a value at the limit":           wire.Block(wire.Literal("a", strings.Repeat("b", maxString))),
	"a value over the limit":         wire.Block(wire.Literal("a", strings.Repeat("b", maxString+1))),
	"a name at the limit":            wire.Block(wire.Literal(strings.Repeat("a", maxString), "b")),
	"a name over the limit":          wire.Block(wire.Literal(strings.Repeat("a", maxString+1), "b")),
	"Huffman's code at the limit":    wire.Block(wire.Huffman(wire.Literal("a", strings.Repeat("b", maxString)))),
	"Huffman's code over the limit":  wire.Block(wire.Huffman(wire.Literal("a", strings.Repeat("b", maxString+1)))),
	"a name in code over the limit":  wire.Block(wire.Huffman(wire.Literal(strings.Repeat("a", maxString+1), "b"))),
	"a field that evicts some":       wire.Block(wire.Added("a", strings.Repeat("b", 2000)), wire.Indexed(62), wire.Indexed(63)),
	"a field that evicts all":        wire.Block(wire.Added("a", strings.Repeat("b", 3990)), wire.Indexed(62), wire.Indexed(63)),
	"a field too large for a table":  wire.Block(wire.TableUpdate(2000)) + wire.Block(wire.Added("a", strings.Repeat("b", 2000)), wire.Indexed(62)),
	"a change of size after a field": wire.Block(wire.TableUpdate(100)),
}

// seen returns what a handler sees of a request, in text.
func seen(method, target, host string, header http.Header) string {
	return fmt.Sprintf("%q %q %q %q", method, target, host, header)
}

// sameDecoded holds what a stock handler sees of blocks, on streams 1, 3 and so on, against what our
// decoder makes of them, and returns how many got to the handler and whether a block was refused.
func sameDecoded(t *testing.T, name string, blocks []string, size func() int) (handled int, refused bool) {
	decoder := hpack.NewDecoder(http2.TableSize, nil)
	decoder.SetMaxStringLength(maxString)
	srv := stockServer(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, seen(r.Method, r.RequestURI, r.Host, r.Header))
	})
	srv.MaxHeaderBytes = maxString - http2Slack
	srv.HTTP2 = &http.HTTP2Config{MaxDecoderHeaderTableSize: http2.TableSize}
	synctest.Test(t, func(t *testing.T) {
		p, _ := observeHTTP2(t, srv)
		raw, want, streams := "", map[int]string{}, []int(nil)
		for i, b := range blocks {
			raw += wire.CutIntoFrames(2*i+1, size(), b)
			streams = append(streams, 2*i+1)
			fields, err := decoder.DecodeFull([]byte(b))
			if refused = err != nil; refused {
				break
			}
			pseudo, header := map[string]string{}, http.Header{}
			for _, f := range fields {
				if f.IsPseudo() {
					pseudo[f.Name] = f.Value
				} else {
					header.Add(f.Name, f.Value)
				}
			}
			want[2*i+1] = seen(pseudo[":method"], pseudo[":path"], pseudo[":authority"], header)
		}
		go p.Send(raw, wire.Cuts["whole"])
		got := p.Await(streams...)
		// An error of HTTP/2 may come before it, of another frame of the block.
		if refused && got[0] == "" || !refused && strings.HasPrefix(got[0], "GOAWAY 9 ") {
			t.Errorf("%s: our decoder refuses it: %v, net/http's connection ends with %q", name, refused, got[0])
		}
		for stream, text := range want {
			switch answer := got[stream]; {
			case answer == text:
				handled++
			case strings.HasPrefix(answer, `"`), answer == "" && got[0] == "":
				t.Errorf("%s: net/http has\n%.1000s, our decoder\n%.1000s", name, answer, text)
			}
		}
	})
	return handled, refused
}

// The decoder of golang.org/x/net takes what net/http's takes, and makes the same of it.
func TestAssumedHPACK(t *testing.T) {
	t.Parallel()
	asked, five := wire.Block(wire.Asked4...), []wire.Coded{wire.Added("e", "5"), wire.Added("d", "4"), wire.Added("c", "3"), wire.Added("b", "2"), wire.Added("a", "1")}
	table := asked + wire.Block(wire.Indexed(62), wire.Indexed(63))
	for name, raw := range hpackCorpus {
		sameDecoded(t, name, []string{asked + wire.Block(five...), asked + raw, table}, wire.Cuts["whole"])
	}
	for name, updates := range map[string]string{
		"two changes of size":     wire.Block(wire.TableUpdate(0), wire.TableUpdate(100)),
		"three changes of size":   wire.Block(wire.TableUpdate(0), wire.TableUpdate(50), wire.TableUpdate(100)),
		"the largest size":        wire.Block(wire.TableUpdate(http2.TableSize)),
		"a size over the largest": wire.Block(wire.TableUpdate(http2.TableSize + 1)),
		"a size that doesn't end": "\x3f\x80",
		"a size that evicts some": wire.Block(wire.TableUpdate(70)),
	} {
		sameDecoded(t, name, []string{asked + wire.Block(five...), updates + asked, table}, wire.Cuts["whole"])
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	handled, refused := 0, 0
	for i := range 500 {
		blocks := []string{asked + wire.Block(five...)}
		for range 5 {
			blocks = append(blocks, randomBlock(rnd))
		}
		// The last but one is changed, or cut, by a byte. The last shows the table after that.
		b := []byte(blocks[len(blocks)-2])
		if at := len(asked) + rnd.IntN(len(b)-len(asked)); rnd.IntN(4) > 0 {
			b[at] ^= byte(1 + rnd.IntN(255))
		} else {
			b = b[:at]
		}
		blocks[len(blocks)-2] = string(b)
		n, ends := sameDecoded(t, fmt.Sprint("random ", i), blocks, func() int { return 1 + rnd.IntN(200) })
		if handled += n; ends {
			refused++
		}
	}
	if handled < 1500 || refused < 100 {
		t.Errorf("the test is void: of 3000 random blocks %d get to a handler, and %d are refused", handled, refused)
	}
}

// randomBlock returns a block of a request that refers to the dynamic table where that may
// have so many fields.
func randomBlock(rnd *rand.Rand) string {
	var fields []wire.Coded
	if rnd.IntN(4) == 0 {
		fields = append(fields, wire.TableUpdate(rnd.IntN(http2.TableSize+1)))
	}
	fields = append(fields, wire.Asked4...)
	name := func() string { return strings.Repeat(string(rune('a'+rnd.IntN(26))), 1+rnd.IntN(10)) }
	for range 1 + rnd.IntN(10) {
		value := strings.Repeat(string(rune('!'+rnd.IntN(90))), rnd.IntN(100))
		index := []int{15 + rnd.IntN(12), 62}[rnd.IntN(2)] // of fields that any request may have
		f := []wire.Coded{wire.Literal(name(), value), wire.Never(name(), value), wire.Added(name(), value), wire.LiteralOf(index, value), wire.AddedTo(index, value), wire.Indexed(index)}[rnd.IntN(6)]
		if rnd.IntN(2) == 0 {
			f = wire.Huffman(f)
		}
		fields = append(fields, f)
	}
	return wire.Block(fields...)
}
