package main

import (
	"slices"
	"sync"

	"golang.org/x/net/http2/hpack"
)

// This file holds what an http2 does with the header blocks of requests (RFC 7541).

// decode takes the part of a header block that the frame has, and decodes the block
// with the frame that ends it. It reports false where the connection can't be followed
// any more; net/http ends nearly all such.
func (h *http2) decode() bool {
	fragment, padding := h.frame[frameHeader:], 0
	if h.frame.kind() == headersFrame {
		h.stream = h.frame.stream()
		if h.frame.has(padded) {
			if len(fragment) == 0 {
				return false
			}
			fragment, padding = fragment[1:], int(fragment[0])
		}
		if h.frame.has(priority) {
			if len(fragment) < priorityFields {
				return false
			}
			fragment = fragment[priorityFields:]
		}
		h.skipped = padding > len(fragment) // net/http refuses the stream, and decodes nothing
	}
	if !h.skipped {
		fragment = fragment[:len(fragment)-padding]
		if h.block != nil || !h.frame.has(endHeaders) {
			h.block = append(h.block, fragment...)
			fragment = h.block
		}
		if len(fragment) > 2*(h.maxHead+markerSize) { // net/http goes on if they hold no fields
			return false
		}
	}
	if !h.frame.has(endHeaders) {
		return true
	}
	if !h.skipped {
		h.begin()
		_, err := h.decoder.Write(fragment)
		if err == nil {
			err = h.decoder.Close()
		}
		if err == nil {
			h.endBlock(padding, len(fragment))
		}
		h.freeFields()
		h.decoded += max(h.size, leastWork)
		if err != nil {
			return false
		}
		if len(fragment) > maxKeptFrame {
			h.forget()
		}
	}
	h.stream, h.block = 0, nil
	h.observer.block(0)
	return true
}

// leastWork is what a block counts at least, in bytes, until others run: a handler for each request
// begins to run only then.
const leastWork = 1 << 10

// forget has the decoder let go of the last block, by another, of an indexed field
// that leaves its table as it is.
func (h *http2) forget() {
	h.decoder.SetEmitEnabled(false)
	h.decoder.Write(indexedMethod)
	h.decoder.Close()
}

var indexedMethod = []byte{0x82}

// begin begins a block.
func (h *http2) begin() {
	h.size, h.announced, h.request = 0, 0, false
	h.fields = fieldBuffers.Get().(*[]field)
	h.decoder.SetEmitEnabled(true)
}

// fieldBuffers are for fields while they are decoded. A head has a copy, no larger than it.
var fieldBuffers = sync.Pool{New: func() any { return new([]field) }}

// freeFields gives the block's fields back.
func (h *http2) freeFields() {
	clear(*h.fields)
	*h.fields = (*h.fields)[:0]
	fieldBuffers.Put(h.fields)
	h.fields = nil
}

// keep counts a field, and keeps it if the head isn't too large. Up to twice the limit a head gets
// to the handler, to be refused there; past that net/http refuses, but since Go 1.27 not before it
// has taken what is announced.
func (h *http2) keep(f hpack.HeaderField) {
	h.request = h.request || f.IsPseudo()
	if f.Name == "trailer" {
		h.announced += len(f.Value)
	}
	if h.size += int(f.Size()); h.size <= h.maxHead {
		*h.fields = append(*h.fields, field{name: f.Name, value: f.Value})
	}
}

// endBlock ends a block of size bytes with a frame that ends with padding. A request's is marked.
// Without pseudo-fields a block holds trailers (RFC 9113 section 8.1), or net/http refuses it.
func (h *http2) endBlock(padding, size int) {
	if !h.request || h.stream%2 == 0 {
		h.endTrailers()
		return
	}
	marker := h.requests.nextMarker()
	if h.frame.length()+len(marker) <= maxFrame {
		h.frame = slices.Insert(h.frame, len(h.frame)-padding, marker...)
		h.frame.setLength(len(h.frame) - frameHeader)
	} else {
		// A frame of its own has net/http end the connection where the block is
		// malformed and it would reset the stream.
		h.frame[4] &^= endHeaders
		h.frame = append(h.frame, continuation(h.stream, marker)...)
	}
	h.endRequest(h.lastBlock && size > maxFrame) // net/http's decoder keeps what it has had of a field in several frames
}

// endRequest begins the request of the block. With last it is to be its connection's last.
func (h *http2) endRequest(last bool) {
	cost, as := h.observer.request(h.size, h.announced)
	if as == fatal {
		h.end()
		return
	}
	kept := newHead()
	switch {
	case as == taken && h.size > h.maxHead:
		as = tooLarge
	case as == taken:
		kept.fields = append(kept.fields, *h.fields...)
	}
	h.requests.begin(h.stream, cost, request2{head: kept, as: as, last: last})
}

// endTrailers has the block be the trailers of its stream's request. They are no larger than a head.
func (h *http2) endTrailers() {
	i := h.requests.find(h.stream)
	if h.size > h.maxHead {
		h.end()
	} else if i >= 0 {
		cost, ok := h.observer.trailers(h.size, h.announced)
		if h.requests.open[i].cost += cost; !ok {
			h.end()
		}
	}
}
