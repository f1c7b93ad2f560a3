package http2

import (
	"slices"
	"sync"

	"golang.org/x/net/http2/hpack"

	"httpserver/internal/frame"
	"httpserver/internal/head"
)

// This file holds what an http2 does with the header blocks of requests (RFC 7541).

// decode takes the part of a header block that the frame has, and decodes the block
// with the frame that ends it. It reports false where the connection can't be followed
// any more; net/http ends nearly all such.
func (h *Tracker) decode() bool {
	fragment, padding := h.frame[frame.HeaderSize:], 0
	if h.frame.Kind() == frame.Headers {
		h.stream = h.frame.Stream()
		if h.frame.Has(frame.Padded) {
			if len(fragment) == 0 {
				return false
			}
			fragment, padding = fragment[1:], int(fragment[0])
		}
		if h.frame.Has(frame.Priority) {
			if len(fragment) < frame.PrioritySize {
				return false
			}
			fragment = fragment[frame.PrioritySize:]
		}
		h.skipped = padding > len(fragment) // net/http refuses the stream, and decodes nothing
	}
	if !h.skipped {
		fragment = fragment[:len(fragment)-padding]
		if h.block != nil || !h.frame.Has(frame.EndHeaders) {
			h.block = append(h.block, fragment...)
			fragment = h.block
		}
		if len(fragment) > 2*(h.maxHead+MarkerSize) { // net/http goes on if they hold no fields
			return false
		}
	}
	if !h.frame.Has(frame.EndHeaders) {
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
	h.observer.Block(0)
	return true
}

// leastWork is what a block counts at least, in bytes, until others run: a handler for each request
// begins to run only then.
const leastWork = 1 << 10

// forget has the decoder let go of the last block, by another, of an indexed field
// that leaves its table as it is.
func (h *Tracker) forget() {
	h.decoder.SetEmitEnabled(false)
	h.decoder.Write(indexedMethod)
	h.decoder.Close()
}

var indexedMethod = []byte{0x82}

// begin begins a block.
func (h *Tracker) begin() {
	h.size, h.announced, h.request = 0, 0, false
	h.fields = fieldBuffers.Get().(*[]head.Field)
	h.decoder.SetEmitEnabled(true)
}

// fieldBuffers are for fields while they are decoded. A head has a copy, no larger than it.
var fieldBuffers = sync.Pool{New: func() any { return new([]head.Field) }}

// freeFields gives the block's fields back.
func (h *Tracker) freeFields() {
	clear(*h.fields)
	*h.fields = (*h.fields)[:0]
	fieldBuffers.Put(h.fields)
	h.fields = nil
}

// keep counts a field, and keeps it if the head isn't too large. Up to twice the limit a head gets
// to the handler, to be refused there; past that net/http refuses, but since Go 1.27 not before it
// has taken what is announced.
func (h *Tracker) keep(f hpack.HeaderField) {
	h.request = h.request || f.IsPseudo()
	if f.Name == "trailer" {
		h.announced += len(f.Value)
	}
	if h.size += int(f.Size()); h.size <= h.maxHead {
		*h.fields = append(*h.fields, head.Field{Name: f.Name, Value: f.Value})
	}
}

// endBlock ends a block of size bytes with a frame that ends with padding. A request's is marked.
// Without pseudo-fields a block holds trailers (RFC 9113 section 8.1), or net/http refuses it.
func (h *Tracker) endBlock(padding, size int) {
	if !h.request || h.stream%2 == 0 {
		h.endTrailers()
		return
	}
	marker := h.requests.nextMarker()
	if h.frame.Length()+len(marker) <= MaxFrame {
		h.frame = slices.Insert(h.frame, len(h.frame)-padding, marker...)
		h.frame.SetLength(len(h.frame) - frame.HeaderSize)
	} else {
		// A frame of its own has net/http end the connection where the block is
		// malformed and it would reset the stream.
		h.frame[4] &^= frame.EndHeaders
		h.frame = append(h.frame, frame.ContinuationOf(h.stream, marker)...)
	}
	h.endRequest(h.lastBlock && size > MaxFrame) // net/http's decoder keeps what it has had of a field in several frames
}

// endRequest begins the request of the block. With last it is to be its connection's last.
func (h *Tracker) endRequest(last bool) {
	cost, as := h.observer.Request(h.size, h.announced)
	if as == Fatal {
		h.end()
		return
	}
	kept := head.New()
	switch {
	case as == Taken && h.size > h.maxHead:
		as = TooLarge
	case as == Taken:
		kept.Fields = append(kept.Fields, *h.fields...)
	}
	h.requests.begin(h.stream, cost, Request{Head: kept, As: as, Last: last})
}

// endTrailers has the block be the trailers of its stream's request. They are no larger than a head.
func (h *Tracker) endTrailers() {
	i := h.requests.find(h.stream)
	if h.size > h.maxHead {
		h.end()
	} else if i >= 0 {
		cost, ok := h.observer.Trailers(h.size, h.announced)
		if h.requests.open[i].cost += cost; !ok {
			h.end()
		}
	}
}
