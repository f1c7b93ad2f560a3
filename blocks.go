package main

import (
	"net/http"
	"slices"
	"sync"
	"time"

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
		if len(fragment) > 2*(h.limits.head+markerSize) { // net/http goes on if they hold no fields
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
			h.end(padding, len(fragment))
		}
		h.freeFields()
		if err != nil {
			return false
		}
		if len(fragment) > maxKeptFrame {
			h.forget()
		}
	}
	h.stream, h.block = 0, nil
	h.giveBack()
	return true
}

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
	if h.size += int(f.Size()); h.size <= h.limits.head {
		*h.fields = append(*h.fields, field{f.Name, f.Value})
	}
}

// end ends a block of size bytes with a frame that ends with padding. A request's is marked and
// recorded. Without pseudo-fields a block holds trailers (RFC 9113 section 8.1), or net/http
// refuses it.
func (h *http2) end(padding, size int) {
	if !h.request || h.stream%2 == 0 {
		h.chargeTrailers()
		return
	}
	i := h.streams.find(h.stream)
	if i >= 0 && h.streams.open[i].head == nil {
		return // net/http has taken a request of that number, and refuses another
	}
	marker := h.streams.nextMarker()
	if h.frame.length()+len(marker) <= maxFrame {
		h.frame = slices.Insert(h.frame, len(h.frame)-padding, marker...)
		h.frame.setLength(len(h.frame) - frameHeader)
	} else {
		// A frame of its own has net/http end the connection where the block is
		// malformed and it would reset the stream.
		h.frame[4] &^= endHeaders
		h.frame = append(h.frame, continuation(h.stream, marker)...)
	}
	h.record(h.limits.bounded && size > maxFrame) // net/http's decoder keeps what it has had of a field in several frames
}

// record records the head of the block, or what it is refused with: where it is too large,
// or there is no memory for it. With last the connection is to end after it.
func (h *http2) record(last bool) {
	most := 2 * h.limits.head
	stream, handler := streamCost+announcedCost*h.announced, handlerCost+h.limits.cost(h.size)
	if h.size <= smallHead { // net/http keeps it, and else replaceIn has it go
		stream += headCopies * h.size
	}
	if h.size > most { // net/http answers, and holds as much until the client has the answer
		stream, handler = stream+h.limits.cost(most), handlerCost
	}
	kept := newHead()
	switch {
	case h.charge(kept, stream, handler):
		if h.size <= h.limits.head {
			kept.fields = append(kept.fields, *h.fields...)
			break
		}
		kept.refused, kept.why = http.StatusRequestHeaderFieldsTooLarge, "request head "+h.limits.tooLarge()
	case h.size > most, h.announced > maxAnnounced, h.streams.find(h.stream) >= 0, !h.chargeRefused(kept):
		kept.free()
		h.refuse()
		return
	default: // of these a connection has maxStreams at most
		kept.refused, kept.why = http.StatusServiceUnavailable, "no memory for another request like this; try again"
		h.limits.refused.add()
	}
	kept.last = last
}

// charge takes of the connection's own memory, or else of its part, with what is reserved, what
// the stream of the block takes, and for its head what that and its handler do.
func (h *http2) charge(kept *head, stream, handler int) bool {
	b := h.own
	if !b.try(stream + handler) {
		if b = h.part; !b.swap(h.reserved, stream+handler) {
			return false
		}
		h.reserved = 0
	}
	h.open(kept, b, stream, handler)
	return true
}

// chargeRefused charges for a request that is refused for want of memory, past the connection's
// part if need be.
func (h *http2) chargeRefused(kept *head) bool {
	if h.charge(kept, streamCost, handlerCost) {
		return true
	}
	if !h.part.exceed(streamCost + handlerCost) {
		return false
	}
	h.open(kept, h.part, streamCost, handlerCost)
	return true
}

// open notes that the stream of the block, with its head, has so much of b.
func (h *http2) open(kept *head, b *budget, stream, handler int) {
	kept.memory, kept.cost = b, handler
	h.streams.begin(h.stream, kept, b, stream)
}

// chargeTrailers takes the memory for trailers, which net/http keeps while their stream is
// not over. Where there is none the connection ends, as where they are larger than a head,
// or, within a GOMEMLIMIT, than a small one.
func (h *http2) chargeTrailers() {
	most := h.limits.head
	if h.limits.bounded {
		most = smallHead
	}
	i, cost := h.streams.find(h.stream), headCopies*h.size+announcedCost*h.announced
	switch {
	case h.size > most || i >= 0 && !h.part.try(cost):
		h.refuse()
	case i >= 0:
		h.streams.open[i].trailers += cost
	}
}

// reserve takes the memory that a block may need with the frame that has begun. It reports
// false where there is none.
func (h *http2) reserve() bool {
	large := len(h.block)+h.frame.length() > smallHead
	if h.late == nil && (large || !h.frame.has(endHeaders)) {
		h.late = time.AfterFunc(headTimeout, h.abort)
	}
	if !large || h.reserved > 0 {
		return true
	}
	cost := h.limits.cost(h.limits.head)
	if !h.part.exceed(cost) {
		return false
	}
	h.reserved = cost
	return true
}

// giveBack gives back what is reserved for a block.
func (h *http2) giveBack() {
	if h.late != nil {
		h.late.Stop()
		h.part.giveBack(h.reserved)
		h.reserved, h.late = 0, nil
	}
}
