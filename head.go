package main

import (
	"bufio"
	"bytes"
	"io"
	"iter"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
)

// This file holds a request's head, as it arrived or in net/http's view, and its
// text form.

// A head is that of a request: over HTTP/1 its text, over HTTP/2 its fields.
type head struct {
	text   []byte  // the request line and the field lines, each ended by \n
	fields []field // in order, with pseudo-fields; of net/http's view too

	refused int    // the status that it is refused with, over HTTP/2; or 0
	why     string // it is refused
	last    bool   // of its connection
}

type field struct{ name, value string }

// heads are those not in use.
var heads = sync.Pool{New: func() any { return new(head) }}

func newHead() *head { return heads.Get().(*head) }

// Up to these sizes heads are used again, so that a rare large one doesn't stay.
const (
	maxPooledText   = 16 << 10
	maxPooledFields = 128
)

// free gives h back, or nil.
func (h *head) free() {
	if h == nil {
		return
	}
	if cap(h.text) <= maxPooledText && cap(h.fields) <= maxPooledFields {
		clear(h.fields)
		*h = head{text: h.text[:0], fields: h.fields[:0]}
		heads.Put(h)
	}
}

// requestLine returns the request line as in RFC 9112 section 3, for HTTP/2 as
// well.
func requestLine(r *http.Request) string {
	return r.Method + " " + r.RequestURI + " " + r.Proto
}

// isOf reports whether the text of h begins with the request line of r.
func (h *head) isOf(r *http.Request) bool {
	rest := h.text
	for _, part := range [...]string{r.Method, " ", r.RequestURI, " ", r.Proto, "\n"} {
		var ok bool
		if rest, ok = bytes.CutPrefix(rest, []byte(part)); !ok {
			return false
		}
	}
	return true
}

// replaceIn has r hold no copy of h, if that is large or refused, but what the log says of
// it: net/http holds r until the client has taken the whole answer.
func (h *head) replaceIn(r *http.Request) {
	if h == nil || h.refused == 0 && h.size() <= smallHead {
		return
	}
	r.Header = http.Header{"User-Agent": {cut(r.UserAgent(), maxLoggedAgent)}}
	r.URL = new(url.URL)
	if h.refused != 0 {
		r.Method, r.RequestURI, r.Host = cut(r.Method, maxLoggedLine), cut(r.RequestURI, maxLoggedLine), ""
	}
	for _, f := range h.fields {
		if f.name == ":path" {
			r.RequestURI = f.value
		}
	}
}

// size returns how large h is in bytes: over HTTP/1 its text, over HTTP/2 as limits.head counts.
func (h *head) size() int {
	n := len(h.text)
	for _, f := range h.fields {
		n += len(f.name) + len(f.value) + fieldCost
	}
	return n
}

// cut returns a copy of s, of most bytes at most.
func cut(s string, most int) string { return strings.Clone(s[:min(len(s), most)]) }

// orView returns h, or where that is nil the head of r as net/http hands it over: the
// host, and then the fields sorted by name. HTTP/2's names are in lower case (RFC 9113
// section 8.2).
func (h *head) orView(r *http.Request) *head {
	if h != nil {
		return h
	}
	view := new(head)
	if r.Host != "" {
		name := "Host"
		if r.ProtoMajor == 2 {
			name = ":authority"
		}
		view.fields = append(view.fields, field{name, r.Host})
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
			view.fields = append(view.fields, field{shown, value})
		}
	}
	return view
}

// lines yields the text form of h, of r, line by line with its end.
func (h *head) lines(r *http.Request) iter.Seq[string] {
	if len(h.text) > 0 {
		return strings.Lines(string(h.text))
	}
	return func(yield func(string) bool) {
		if !yield(requestLine(r) + "\n") {
			return
		}
		for _, f := range h.fields {
			if !yield(string(f.appendTo(nil))) {
				return
			}
		}
	}
}

// textLen returns the length of the text form of h, of r.
func (h *head) textLen(r *http.Request) int {
	if len(h.text) > 0 {
		return len(h.text)
	}
	n := len(r.Method) + len(" ") + len(r.RequestURI) + len(" ") + len(r.Proto) + len("\n")
	for _, f := range h.fields {
		n += len(f.name) + len(": ") + len(f.value) + len("\n")
	}
	return n
}

// writers are those not in use. They are small, because net/http has larger ones behind
// them, and a reader that doesn't read holds both.
var writers = sync.Pool{New: func() any { return bufio.NewWriterSize(nil, 1<<10) }}

func newWriter(w io.Writer) *bufio.Writer {
	bw := writers.Get().(*bufio.Writer)
	bw.Reset(w)
	return bw
}

// freeWriter writes what bw holds, and gives it back.
func freeWriter(bw *bufio.Writer) {
	bw.Flush()
	bw.Reset(nil)
	writers.Put(bw)
}

// writeText writes the text form of h, of r, to w.
func (h *head) writeText(w io.Writer, r *http.Request) {
	if len(h.text) > 0 {
		w.Write(h.text)
		return
	}
	bw := newWriter(w)
	bw.WriteString(requestLine(r) + "\n")
	for _, f := range h.fields {
		bw.Write(f.appendTo(bw.AvailableBuffer()))
	}
	freeWriter(bw)
}

func (f field) appendTo(b []byte) []byte {
	return append(append(append(append(b, f.name...), ": "...), f.value...), '\n')
}
