package main

import (
	"io"
	"net/http"
	"slices"
	"time"

	"golang.org/x/net/http2/hpack"
)

// This file follows what a client sends over HTTP/2: its frames (RFC 9113), and in
// them the header blocks of requests (RFC 7541).

// An http2 is a feed that decodes header blocks beside net/http. Each request's block
// gets one field more at its end, the marker of what was decoded. What net/http refuses
// goes to it as it came; after a frame that ends the connection nothing is kept.
type http2 struct {
	frame   frame // being gathered
	out     frame // gathered, to be handed on
	passing int   // bytes of a frame that is not gathered, to be handed on as they come

	decoder *hpack.Decoder
	stream  int    // whose block has begun and not ended, or 0
	last    int    // stream of a request
	skipped bool   // the block isn't decoded
	block   []byte // as much as has come, where it ends in a later frame
	head    *head  // of the block, where it is a request's
	request bool   // the block is a request's
	size    int    // of its fields
	taken   int    // of the shared memory, for a block that is large or doesn't end with its frame

	limits *limits
	own    *budget // for small heads on few streams
	ended  bool    // net/http gets no more than what is to be handed on

	records records // of requests that no handler has yet
}

// tableSize is what the client's header compression may have kept, in bytes.
const tableSize = 4096

// maxFrame is the largest frame taken, in bytes: what a client may send without being
// asked what is taken (RFC 9113 section 4.2), and a marker.
const maxFrame = 16<<10 + 128

func newHTTP2(l *limits) *http2 {
	h := &http2{limits: l, own: newBudget(ownMemory)}
	h.decoder = hpack.NewDecoder(tableSize, h.keep)
	h.decoder.SetMaxStringLength(l.head + markerSize) // as net/http
	return h
}

func (h *http2) feed(dst, src []byte) (nDst, nSrc int, err error) {
	for nDst < len(dst) {
		switch {
		case len(h.out) > 0:
			n := copy(dst[nDst:], h.out)
			if h.out = h.out[n:]; len(h.out) == 0 {
				h.out = nil
			}
			nDst += n
		case nSrc == len(src) && !(h.ended && h.passing == 0):
			return nDst, nSrc, nil
		case h.passing > 0:
			n := copy(dst[nDst:], src[nSrc:nSrc+min(h.passing, len(src)-nSrc)])
			h.passing -= n
			nDst += n
			nSrc += n
		case h.ended:
			if nDst == 0 {
				err = io.EOF
			}
			return nDst, nSrc, err
		default:
			nSrc += h.gather(src[nSrc:])
		}
	}
	return nDst, nSrc, nil
}

// gather takes a frame's bytes from p. Frames of a header block are handed on whole,
// for the marker to stand in the one that ends the block. Others are handed on from
// the end of their header.
func (h *http2) gather(p []byte) (n int) {
	if len(h.frame) < frameHeader {
		n = min(frameHeader-len(h.frame), len(p))
		h.frame = append(h.frame, p[:n]...)
		if len(h.frame) < frameHeader {
			return n
		}
		kind := h.frame.kind()
		switch {
		case h.frame.length() > maxFrame, (kind == continuationFrame) != (h.stream != 0): // net/http ends the connection
			h.lose()
			return n
		case kind != headersFrame && kind != continuationFrame:
			h.passing = h.frame.length()
			h.handOn()
			return n
		case h.taken == 0 && (h.frame.length() > smallHead || !h.frame.has(endHeaders)):
			if cost := h.limits.cost(h.limits.head); h.limits.memory.try(cost) {
				h.taken = cost
			} else {
				h.refuse()
				return n
			}
		}
	}
	in := min(frameHeader+h.frame.length()-len(h.frame), len(p)-n)
	h.frame = append(h.frame, p[n:n+in]...)
	if len(h.frame) == frameHeader+h.frame.length() {
		if !h.decode() {
			h.lose()
		} else if !h.ended {
			h.handOn()
		}
	}
	return n + in
}

// refuse ends the connection for want of memory.
func (h *http2) refuse() {
	h.limits.refused.add()
	h.close()
	h.frame, h.ended = nil, true
}

// handOn has the frame handed on. Its memory is used for the next, unless it's large.
func (h *http2) handOn() {
	h.out, h.frame = h.frame, h.frame[:0]
	if cap(h.frame) > maxKeptFrame {
		h.frame = nil
	}
}

// maxKeptFrame is the size up to which the memory of frames is used again.
const maxKeptFrame = 1 << 10

// lose gives up on the connection, which ends after the frame, by net/http's own
// answer to it or else by ours: heads that aren't followed aren't bounded.
func (h *http2) lose() {
	h.passing = frameHeader + h.frame.length() - len(h.frame)
	h.handOn()
	h.close()
	h.ended = true
}

// close lets go of what the connection holds.
func (h *http2) close() {
	h.head.free()
	h.block, h.head = nil, nil
	h.giveBack()
}

// giveBack gives back what is taken for a block.
func (h *http2) giveBack() {
	if h.taken > 0 {
		h.limits.memory.giveBack(h.taken)
		h.taken = 0
	}
}

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
	h.size = 0
	if h.request = h.stream%2 == 1 && h.stream > h.last; h.request {
		h.head = newHead()
	}
	h.decoder.SetEmitEnabled(h.request)
}

// keep keeps a field of a request, unless net/http is to refuse its head.
func (h *http2) keep(f hpack.HeaderField) {
	if h.size += int(f.Size()); h.size > h.limits.head {
		h.head.free()
		h.head = nil
		h.decoder.SetEmitEnabled(false)
		return
	}
	h.head.fields = append(h.head.fields, field{f.Name, f.Value})
}

// end ends a block with a frame that ends with padding. If it is a request's, it is
// marked, and recorded unless net/http refuses it.
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

// record records the head of the block, or, where there is no memory for it, that it is
// refused.
func (h *http2) record() {
	if h.head == nil { // too large: net/http answers
		h.head, h.size = &head{refused: true}, 0
	}
	if h.size > smallHead { // not in memory for more
		large := h.head
		h.head = &head{fields: slices.Clone(large.fields)}
		large.free()
	}
	h.giveBack()
	if !h.charge(streamCost + h.limits.cost(h.size)) {
		h.head.free()
		h.head, h.size = &head{refused: true}, 0
		if !h.charge(streamCost) {
			h.refuse()
			return
		}
		h.limits.refused.add()
	}
	h.records.put(h.head, h.size)
}

// charge takes cost bytes of memory for the head of the block.
func (h *http2) charge(cost int) bool {
	h.head.cost = cost
	switch {
	case h.own.try(cost):
		h.head.memory = h.own
	case h.limits.memory.try(cost):
		h.head.memory = h.limits.memory
	default:
		return false
	}
	return true
}

func (h *http2) take(r *http.Request) *head { return h.records.take(r) }

func (h *http2) drop(then time.Time) (others bool) { return h.records.drop(then) }

// firstLine returns nothing: over HTTP/2 net/http refuses in frames.
func (h *http2) firstLine() []byte { return nil }
