package main

import (
	"bufio"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"httpserver/internal/head"
	"httpserver/internal/wire"
)

// BenchmarkWorstHeads is what the dearest heads cost, of those that hello takes, and what
// net/http alone takes to read each.
func BenchmarkWorstHeads(b *testing.B) {
	const most = 60000 // bytes
	fill := func(s string) string { return strings.Repeat(s, most/len(s)) }
	var distinct strings.Builder
	for i := range 1700 {
		fmt.Fprintf(&distinct, "%s:\r\n", strconv.FormatInt(int64(i*7919%1700+36*36), 36)) // out of order
	}
	for _, test := range []struct{ name, request string }{
		{"one field", wire.Asking("/hello", "X: "+fill("a")+"\r\n")},
		{"long Accept", wire.Asking("/hello", "Accept: "+fill("text/a;q=0,")+"\r\n")},
		{"Accept", wire.Asking("/hello", "Accept: "+strings.Repeat("text/a;q=0,", maxAccept/11)+"\r\n")},
		{"many Accepts", wire.Asking("/hello", strings.Repeat("Accept:\r\n", 1550))},
		{"query", wire.Asking("/hello?"+fill("&"), "")},
		{"delays", wire.Asking("/hello?"+strings.Repeat("delay=0h0h0h0h0h0h0h0h&", maxParts), "")},
		{"JSON of one field", wire.Asking("/hello", wire.AcceptJSON+"X: "+fill("a")+"\r\n")},
		{"JSON of tabs", wire.Asking("/hello", wire.AcceptJSON+"X: a"+fill("\t")+"a\r\n")},
		{"JSON of quotes", wire.Asking("/hello", wire.AcceptJSON+"X: "+fill(`"`)+"\r\n")},
		{"JSON of Latin-1", wire.Asking("/hello", wire.AcceptJSON+"X: "+fill("a\xe9")+"\r\n")},
		{"JSON of distinct fields", wire.Asking("/hello", wire.AcceptJSON+distinct.String())},
		{"JSON of equal fields", wire.Asking("/hello", wire.AcceptJSON+strings.Repeat("a:\r\n", 1700))},
		{"JSON of folded lines", wire.Asking("/hello", wire.AcceptJSON+"a: b\r\n"+strings.Repeat(" c\r\n", 1700))},
	} {
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(test.request)))
		if err != nil {
			b.Fatal(err)
		}
		b.Run(test.name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(test.request)))
			h, w := newHandler("none"), wire.NewResponseWriter()
			head := &head.Head{Text: []byte(wire.Text(test.request))}
			for b.Loop() {
				asked := *r // of which hello drops the fields
				h.hello(&recorder{ResponseWriter: w, head: head}, &asked)
			}
		})
		b.Run(test.name+", net/http", func(b *testing.B) {
			b.SetBytes(int64(len(test.request)))
			for b.Loop() {
				http.ReadRequest(bufio.NewReader(strings.NewReader(test.request)))
			}
		})
	}
}
