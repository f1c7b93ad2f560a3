// Package head holds the head of a request, and its forms as text and as JSON.
package head

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
)

// A Head is the head of a request. As it arrived it is Text over HTTP/1, and Fields over HTTP/2. In
// net/http's view it is Fields.
type Head struct {
	Text   []byte  // the request line and the field lines, each ended by \n
	Fields []Field // in order, with pseudo-fields; of net/http's view too
}

type Field struct{ Name, Value string }

// FieldCost is what a field counts beside its bytes where a head is limited (RFC 9113 section 6.5.2).
const FieldCost = 32

// heads are those not in use.
var heads = sync.Pool{New: func() any { return new(Head) }}

func New() *Head { return heads.Get().(*Head) }

// Up to these sizes heads are used again, so that a rare large one doesn't stay.
const (
	maxPooledText   = 16 << 10
	maxPooledFields = 128
)

// Free returns h to the pool, unless it is nil. It is not to be used any more.
func (h *Head) Free() {
	if h == nil {
		return
	}
	if cap(h.Text) <= maxPooledText && cap(h.Fields) <= maxPooledFields {
		clear(h.Fields)
		*h = Head{Text: h.Text[:0], Fields: h.Fields[:0]}
		heads.Put(h)
	}
}

// RequestLine returns the request line as in RFC 9112 section 3, for HTTP/2 as
// well.
func RequestLine(r *http.Request) string {
	return r.Method + " " + r.RequestURI + " " + r.Proto
}

// Size returns how large h is in bytes: over HTTP/1 its text, over HTTP/2 with FieldCost for each field.
func (h *Head) Size() int {
	n := len(h.Text)
	for _, f := range h.Fields {
		n += len(f.Name) + len(f.Value) + FieldCost
	}
	return n
}

// OrView returns h, or where that is nil the head of r as net/http hands it over: the
// host, and then the fields sorted by name. HTTP/2's names are in lower case (RFC 9113
// section 8.2).
func (h *Head) OrView(r *http.Request) *Head {
	if h != nil {
		return h
	}
	view := new(Head)
	if r.Host != "" {
		name := "Host"
		if r.ProtoMajor == 2 {
			name = ":authority"
		}
		view.Fields = append(view.Fields, Field{name, r.Host})
	}
	names := slices.SortedFunc(maps.Keys(r.Header), func(a, b string) int {
		return strings.Compare(strings.ToLower(a), strings.ToLower(b))
	})
	for _, name := range names {
		shown := name
		if r.ProtoMajor == 2 {
			shown = strings.ToLower(name)
		}
		for _, value := range r.Header[name] {
			view.Fields = append(view.Fields, Field{shown, value})
		}
	}
	return view
}

// IsToken reports whether s is a token (RFC 9110 section 5.6.2).
func IsToken(s string) bool {
	for i := range len(s) {
		if !isTokenByte[s[i]] {
			return false
		}
	}
	return s != ""
}

// isTokenByte is a table, for a client to pay for a name of 60 KB what net/http does.
var isTokenByte = func() (is [256]bool) {
	for c := '!'; c <= '~'; c++ {
		is[c] = !strings.ContainsRune(`"(),/:;<=>?@[\]{}`, c)
	}
	return is
}()
