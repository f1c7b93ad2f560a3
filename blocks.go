package main

import (
	"net/http"
	"slices"
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
		if _, err := h.decoder.Write(fragment); err != nil || h.decoder.Close() != nil {
			return false
		}
		if !h.request && h.size > h.limits.head { // of trailers net/http holds twice as much
			return false
		}
		h.end(padding)
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

// begin begins a block. One on a stream that has begun holds trailers, or what net/http
// takes for a request after an error in the first.
func (h *http2) begin() {
	h.size, h.announced = 0, 0
	if h.request = h.stream%2 == 1 && h.stream > h.last; h.request {
		h.head = newHead()
	}
	h.decoder.SetEmitEnabled(true)
}

// keep counts a field, and keeps it if it is of a request whose head isn't too large. Up to
// twice the limit a head gets to the handler, to be refused there; past that net/http refuses.
func (h *http2) keep(f hpack.HeaderField) {
	if f.Name == "trailer" {
		h.announced += len(f.Value)
	}
	if h.size += int(f.Size()); h.request && h.size <= h.limits.head {
		h.head.fields = append(h.head.fields, field{f.Name, f.Value})
		return
	}
	h.head.free()
	h.head = nil
	if h.size > 2*h.limits.head {
		h.decoder.SetEmitEnabled(false)
	}
}

// end ends a block with a frame that ends with padding. If it is a request's, it is
// marked and recorded.
func (h *http2) end(padding int) {
	h.last = max(h.last, h.stream)
	if !h.request {
		return
	}
	marker := h.records.nextMarker()
	if h.frame.length()+len(marker) <= maxFrame {
		h.frame = slices.Insert(h.frame, len(h.frame)-padding, marker...)
		h.frame.setLength(len(h.frame) - frameHeader)
	} else {
		// A frame of its own has net/http end the connection where the block is
		// malformed and it would reset the stream.
		h.frame[4] &^= endHeaders
		h.frame = append(h.frame, continuation(h.stream, marker)...)
	}
	h.record()
	h.head = nil
}

// record records the head of the block, or what it is refused with: where it is too large,
// or there is no memory for it.
func (h *http2) record() {
	kept, most := h.size, 2*h.limits.head
	if h.head == nil {
		h.head = &head{refused: http.StatusRequestHeaderFieldsTooLarge, why: "request head " + h.limits.tooLarge()}
		kept = 0
	}
	if kept > smallHead { // not in memory for more
		large := h.head
		h.head = &head{fields: slices.Clone(large.fields)}
		large.free()
	}
	h.giveBack()
	if !h.charge(streamCost+announcedCost*h.announced+h.limits.cost(min(h.size, most)), h.shared) {
		if kept > 0 {
			h.head.free()
			h.head = &head{refused: http.StatusServiceUnavailable, why: "no memory for another request like this; try again"}
			kept = 0
		}
		// Past most net/http answers, and holds as much until the client has the answer, as it
		// does announced trailers.
		// A connection has maxStreams of the others.
		if h.size > most || h.announced > maxAnnounced || !h.charge(streamCost, h.limits.memory) {
			h.refuse()
			return
		}
		h.limits.refused.add()
	}
	h.records.put(h.head, kept)
}

// charge takes cost bytes for the head of the block, of the connection's own memory or else of b.
func (h *http2) charge(cost int, b *budget) bool {
	if h.own.try(cost) {
		b = h.own
	} else if !b.try(cost) {
		return false
	}
	h.head.memory, h.head.cost = b, cost
	return true
}

// reserve takes the memory that a block may need with the frame that has begun. It reports
// false where there is none.
func (h *http2) reserve() bool {
	large := len(h.block)+h.frame.length() > smallHead
	if h.late == nil && (large || !h.frame.has(endHeaders)) {
		h.late = time.AfterFunc(headTimeout, h.abort)
	}
	if !large || h.taken > 0 {
		return true
	}
	cost := h.limits.cost(h.limits.head)
	if !h.limits.memory.try(cost) {
		return false
	}
	h.taken = cost
	return true
}

// giveBack gives back what is reserved for a block.
func (h *http2) giveBack() {
	if h.late != nil {
		h.late.Stop()
		h.limits.memory.giveBack(h.taken)
		h.taken, h.late = 0, nil
	}
}
