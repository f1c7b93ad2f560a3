package head

import (
	"io"
	"iter"
	"net/http"
	"strings"
)

// This file holds the text form of a request's head.

// Lines yields the text form of h, of r, line by line with its end.
func (h *Head) Lines(r *http.Request) iter.Seq[string] {
	if len(h.Text) > 0 {
		return strings.Lines(string(h.Text))
	}
	return func(yield func(string) bool) {
		if !yield(RequestLine(r) + "\n") {
			return
		}
		for _, f := range h.Fields {
			if !yield(string(f.AppendTo(nil))) {
				return
			}
		}
	}
}

// TextLen returns the length of the text form of h, of r.
func (h *Head) TextLen(r *http.Request) int {
	if len(h.Text) > 0 {
		return len(h.Text)
	}
	n := len(r.Method) + len(" ") + len(r.RequestURI) + len(" ") + len(r.Proto) + len("\n")
	for _, f := range h.Fields {
		n += len(f.Name) + len(": ") + len(f.Value) + len("\n")
	}
	return n
}

// WriteText writes the text form of h, of r, to w.
func (h *Head) WriteText(w io.Writer, r *http.Request) {
	if len(h.Text) > 0 {
		w.Write(h.Text)
		return
	}
	bw := newWriter(w)
	bw.WriteString(RequestLine(r) + "\n")
	for _, f := range h.Fields {
		bw.Write(f.AppendTo(bw.AvailableBuffer()))
	}
	freeWriter(bw)
}

// AppendTo appends the field line of f to b, ended by LF.
func (f Field) AppendTo(b []byte) []byte {
	return append(append(append(append(b, f.Name...), ": "...), f.Value...), '\n')
}
