package main

import (
	"io"
	"net/http"

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
	whole   int   // how many frames, or blocks of several, have been
	passing int   // bytes of a frame that is not gathered, to be handed on as they come

	decoder   *hpack.Decoder
	stream    int      // whose block has begun and not ended, or 0
	skipped   bool     // the block isn't decoded
	block     []byte   // as much as has come, where it ends in a later frame
	request   bool     // the block has pseudo-fields, as requests do
	fields    *[]field // of the block, unless they are too many
	size      int      // of its fields
	announced int      // bytes of its fields Trailer
	decoded   int      // bytes of fields, since others ran
	acquired  int      // bytes of memory, for the block

	maxHead    int // bytes, each field counted fieldCost longer than it is
	maxStreams int
	lastBlock  bool   // a request whose block is over maxFrame is its connection's last
	refused    func() // is told of each request for which there is no memory
	ended      bool   // net/http gets no more than what is to be handed on

	requests requests // that are open
}

// What requests cost of memory, in bytes.
const (
	freeRequests  = 2        // cost nothing while they are small: a slot stands for them
	requestCost   = 32 << 10 // one beside them: net/http's buffers and a goroutine's stack
	connMemory    = 18 << 20 // those of a connection together, but that one head may always come
	announcedCost = 19       // each byte of Trailer counts that many more: net/http makes a map of it
	maxAnnounced  = 64       // bytes of it that a refused request may hold
)

// tableSize is what the client's header compression may have kept, in bytes.
const tableSize = 4096

// maxFrame is the largest frame taken, in bytes: what a client may send without being
// asked what is taken (RFC 9113 section 4.2), and a marker.
const maxFrame = 16<<10 + 128

// newHTTP2 returns a feed within l.
func newHTTP2(l *limits) *http2 {
	h := &http2{maxHead: l.head, maxStreams: l.streams, lastBlock: l.bounded, refused: func() { l.refused.add(1) }}
	h.requests.memory = l.memory
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
		switch kind := h.frame.kind(); {
		case h.frame.length() > maxFrame, (kind == continuationFrame) != (h.stream != 0): // net/http ends the connection
			h.lose()
			return n
		case kind != headersFrame && kind != continuationFrame:
			h.passing = h.frame.length()
			h.handOn()
			return n
		case !h.grow():
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
	h.refused()
	h.frame = nil
	h.stop()
}

// handOn has the frame handed on, which may end a block. Its memory is used for the next, unless it's large.
func (h *http2) handOn() {
	if h.stream == 0 {
		h.whole++
	}
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
	resize(h.requests.memory, &h.acquired, 0)
}

// inBlock reports whether a header block has begun, or the header of a frame, and not ended.
func (h *http2) inBlock() bool { return h.stream != 0 || len(h.frame) > 0 }

// hasBegun reports whether a request has come.
func (h *http2) hasBegun() bool { return h.requests.last > 0 }

func (h *http2) close() {
	h.stop()
	h.requests.close()
}

func (h *http2) take(r *http.Request) *head { return h.requests.take(r) }

func (h *http2) none() { h.requests.none() }

// headSize returns nothing: over HTTP/2 net/http bounds what it takes.
func (h *http2) headSize() int { return 0 }

// firstLine returns nothing: over HTTP/2 net/http refuses in frames.
func (h *http2) firstLine() []byte { return nil }
