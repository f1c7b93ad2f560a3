package main

import (
	"io"
	"net/http"
	"time"

	"golang.org/x/net/http2/hpack"
)

// This file follows what a client sends over HTTP/2: its frames (RFC 9113). The header
// blocks in them are decoded in blocks.go.

// An http2 is a feed that decodes header blocks beside net/http. Each request's block
// gets one field more at its end, the marker of what was decoded. What net/http refuses
// goes to it as it came; after a frame that ends the connection nothing is kept.
type http2 struct {
	frame   frame // being gathered
	out     frame // gathered, to be handed on
	passing int   // bytes of a frame that is not gathered, to be handed on as they come

	decoder   *hpack.Decoder
	stream    int         // whose block has begun and not ended, or 0
	skipped   bool        // the block isn't decoded
	block     []byte      // as much as has come, where it ends in a later frame
	request   bool        // the block has pseudo-fields, as requests do
	fields    *[]field    // of the block, unless they are too many
	size      int         // of its fields
	announced int         // bytes of its fields Trailer
	reserved  int         // of the connection's part, for a large block
	late      *time.Timer // of a block that is large or doesn't end with its frame

	limits *limits
	own    *budget // for small heads on few streams
	part   *budget // for the others, of limits.memory
	ended  bool    // net/http gets no more than what is to be handed on
	abort  func()  // closes the connection

	streams streams // that are not over
}

// tableSize is what the client's header compression may have kept, in bytes.
const tableSize = 4096

// maxFrame is the largest frame taken, in bytes: what a client may send without being
// asked what is taken (RFC 9113 section 4.2), and a marker.
const maxFrame = 16<<10 + 128

// newHTTP2 returns a feed within l. It calls idle where the last stream is over, and abort,
// which is to close the connection, in a goroutine of its own where a block that is large, or
// not in one frame, doesn't end in time.
func newHTTP2(l *limits, idle func(since time.Time), abort func()) *http2 {
	h := &http2{limits: l, abort: abort}
	h.own = &budget{left: ownMemory}
	h.part = &budget{of: l.memory, left: max(connMemory, streamCost+handlerCost+l.cost(l.head))}
	h.streams = streams{idle: idle, part: h.part, since: time.Now()}
	h.decoder = hpack.NewDecoder(tableSize, h.keep)
	h.decoder.SetMaxStringLength(2*l.head + markerSize) // as net/http
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
		if kind == resetFrame {
			h.streams.reset(h.frame.stream())
		}
		switch {
		case h.frame.length() > maxFrame, (kind == continuationFrame) != (h.stream != 0): // net/http ends the connection
			h.lose()
			return n
		case kind != headersFrame && kind != continuationFrame:
			h.passing = h.frame.length()
			h.handOn()
			return n
		case !h.reserve():
			h.refuse()
			return n
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
	h.frame = nil
	h.stop()
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
	h.stop()
}

// stop has the connection end.
func (h *http2) stop() {
	h.block, h.ended = nil, true
	h.giveBack()
}

func (h *http2) close() {
	h.stop()
	h.streams.idle = func(time.Time) {}
	h.streams.end(func(stream) bool { return true })
}

func (h *http2) take(r *http.Request) *head { return h.streams.take(r) }

func (h *http2) none() { h.streams.none() }

// headSize returns nothing: over HTTP/2 net/http bounds what it takes.
func (h *http2) headSize() int { return 0 }

// firstLine returns nothing: over HTTP/2 net/http refuses in frames.
func (h *http2) firstLine() []byte { return nil }
