package main

import (
	"io"
	"iter"
	"net/http"
	"strings"
)

// This file holds the text form of a request's head.

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
