package http2

import (
	"fmt"
	"slices"
	"sync"

	"golang.org/x/net/http2/hpack"

	"httpserver/internal/frame"
	"httpserver/internal/head"
)

// This file decodes the header blocks of requests (RFC 7541).

// decode takes the fragment of a header block out of the frame. It decodes the block once the frame
// ends it. It reports false where the connection can't be followed any more. net/http ends nearly all
// such connections.
func (h *Tracker) decode() bool {
	fragment, padding := h.frame[frame.HeaderSize:], 0
	if h.frame.Kind() == frame.Headers {
		h.stream, h.endStream = h.frame.Stream(), h.frame.Has(frame.EndStream)
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
		if most := 2 * (h.maxHead + MarkerSize); len(fragment) > most { // net/http goes on if they hold no fields
			h.observer.Refused(Refused{Reason: fmt.Sprintf("a header block of over %d bytes", most)})
			h.end()
			return true
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

// leastWork is what a block counts at least of the work after which others run, in bytes. Only then
// does the handler of its request begin to run.
const leastWork = 1 << 10

// forget has the decoder drop its copy of the last block. It decodes another one, of an indexed field,
// which leaves the decoder's table as it is.
func (h *Tracker) forget() {
	h.decoder.SetEmitEnabled(false)
	h.decoder.Write(indexedMethod)
	h.decoder.Close()
}

var indexedMethod = []byte{0x82}

// begin begins a block.
func (h *Tracker) begin() {
	h.size, h.names, h.request = 0, 0, false
	h.fields = fieldBuffers.Get().(*[]head.Field)
	h.decoder.SetEmitEnabled(true)
}

// fieldBuffers are for fields while they are decoded. A head has a copy, no larger than it.
var fieldBuffers = sync.Pool{New: func() any { return new([]head.Field) }}

// freeFields returns the block's fields to the pool.
func (h *Tracker) freeFields() {
	clear(*h.fields)
	*h.fields = (*h.fields)[:0]
	fieldBuffers.Put(h.fields)
	h.fields = nil
}

// keep counts a field, and keeps it if the head isn't too large. A head of up to twice the limit is
// answered by rawhead. A larger one is refused by net/http, since Go 1.27 only after it has taken what
// the field Trailer announces.
func (h *Tracker) keep(f hpack.HeaderField) {
	h.request = h.request || f.IsPseudo()
	if f.Name == "trailer" {
		h.names += len(f.Value)
	}
	if h.size += int(f.Size()); h.size <= h.maxHead {
		*h.fields = append(*h.fields, head.Field{Name: f.Name, Value: f.Value})
	}
}

// endBlock ends a block of size bytes, whose last frame ends with padding. A request's block gets its
// marker. A block without pseudo-fields holds trailers (RFC 9113 section 8.1), or net/http refuses it.
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
		// The marker gets a frame of its own. Where the block is malformed, net/http then ends
		// the connection, where else it would reset the stream.
		h.frame[4] &^= frame.EndHeaders
		h.frame = append(h.frame, frame.ContinuationOf(h.stream, marker)...)
	}
	h.endRequest(h.lastBlock && size > MaxFrame) // net/http's decoder keeps what it has had of a field in several frames
}

// endRequest begins the request of the block. With last it is to be its connection's last.
func (h *Tracker) endRequest(last bool) {
	cost, as := h.observer.Request(h.size, h.names)
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
	h.requests.begin(cost, h.endStream, Request{Head: kept, As: as, Last: last, Stream: h.stream})
}

// endTrailers counts the block as the trailers of its stream's request, and keeps them.
func (h *Tracker) endTrailers() {
	i := h.requests.find(h.stream)
	if i < 0 {
		return
	}
	one := &h.requests.open[i]
	cost, ok := h.observer.Trailers(h.size, h.names)
	one.cost += cost
	switch {
	case !ok:
		h.end()
		return
	case h.endStream && !one.bodyEnded: // else net/http refuses them
		one.trailers = append(one.trailers, *h.fields...)
	}
	one.bodyEnded = true
}
