// Package http2 follows what a client sends over HTTP/2 (RFC 9113), and decodes its header blocks beside
// net/http. It has no socket, lock, or timer, and asks an Observer for memory.
//
// net/http tells a handler no stream's number. So each request gets a field more, the marker, which
// names its head. Take takes it out before anything else sees the request.
package http2

import (
	"io"
	"net/http"

	"golang.org/x/net/http2/hpack"

	"httpserver/internal/frame"
	"httpserver/internal/head"
)

// This file follows the frames. Header blocks are decoded in blocks.go.

// A Tracker decodes header blocks beside net/http, and puts a marker at the end of each request's. All
// else it hands on as it came. What net/http refuses, net/http gets; after a frame that ends the
// connection nothing is kept.
type Tracker struct {
	frame   frame.Frame            // being gathered
	out     frame.Frame            // gathered, to be handed on
	whole   int                    // how many frames, or blocks of several, have been
	passing int                    // bytes of a frame that is not gathered, to be handed on as they come
	last    [frame.HeaderSize]byte // of the frame that has begun to be handed on last

	decoder   *hpack.Decoder
	stream    int           // whose block has begun and not ended, or 0
	endStream bool          // the block's HEADERS ends its stream
	skipped   bool          // the block isn't decoded
	block     []byte        // as much as has come, where it ends in a later frame
	request   bool          // the block has pseudo-fields, as requests do
	fields    *[]head.Field // of the block, unless they are too many
	size      int           // of its fields
	names     int           // bytes of its fields Trailer
	decoded   int           // bytes of fields, since others ran

	maxHead   int  // bytes, each field counted head.FieldCost longer than it is
	lastBlock bool // a request whose block is over maxFrame is its connection's last
	ended     bool // net/http gets no more than what is to be handed on

	announced Announced // by the client
	requests  requests  // that are open
	observer  Observer
}

// TableSize is what the client's header compression may have kept, in bytes.
const TableSize = 4096

// MaxFrame is the largest frame taken, in bytes: what a client may send without being
// asked what is taken (RFC 9113 section 4.2), and a marker.
const MaxFrame = 16<<10 + 128

// New returns a tracker of heads up to maxHead bytes, each field counted head.FieldCost longer than it
// is. With lastBlock a request whose header block is over MaxFrame is the last of its connection.
func New(maxHead int, lastBlock bool, o Observer) *Tracker {
	h := &Tracker{maxHead: maxHead, lastBlock: lastBlock, observer: o}
	h.requests.observer = o
	h.decoder = hpack.NewDecoder(TableSize, h.keep)
	h.decoder.SetMaxStringLength(2*maxHead + MarkerSize) // as net/http
	return h
}

// Feed takes received bytes from src, and puts what net/http is to read for them into dst. It returns
// how many bytes it took and put. err is io.EOF once the connection is to end; it comes after all
// that is to be put.
func (h *Tracker) Feed(dst, src []byte) (nDst, nSrc int, err error) {
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
			h.announced.add(dst[nDst : nDst+n])
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

// gather takes a frame's bytes from p. A frame of a header block is handed on whole, because the marker
// stands in the one that ends the block. Another frame is handed on as soon as its header is whole.
func (h *Tracker) gather(p []byte) (n int) {
	if len(h.frame) < frame.HeaderSize {
		n = min(frame.HeaderSize-len(h.frame), len(p))
		h.frame = append(h.frame, p[:n]...)
		if len(h.frame) < frame.HeaderSize {
			return n
		}
		switch kind := h.frame.Kind(); {
		case h.frame.Length() > MaxFrame, (kind == frame.Continuation) != (h.stream != 0): // net/http ends the connection
			h.lose()
			return n
		case kind != frame.Headers && kind != frame.Continuation:
			h.passing = h.frame.Length()
			h.announced.begin(h.frame, h.HasBegun())
			if kind == frame.Data && h.frame.Has(frame.EndStream) {
				h.requests.endBody(h.frame.Stream())
			}
			h.handOn()
			return n
		case !h.observer.Block(len(h.block) + h.frame.Length()):
			h.end()
			return n
		}
	}
	in := min(frame.HeaderSize+h.frame.Length()-len(h.frame), len(p)-n)
	h.frame = append(h.frame, p[n:n+in]...)
	if len(h.frame) == frame.HeaderSize+h.frame.Length() {
		if !h.decode() {
			h.lose()
		} else if !h.ended {
			h.handOn()
		}
	}
	return n + in
}

// end ends the connection before the frame.
func (h *Tracker) end() {
	h.frame, h.stream = nil, 0
	h.stop()
}

// handOn has the frame handed on. Its memory is used again for the next, unless it is large.
func (h *Tracker) handOn() {
	copy(h.last[:], h.frame)
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

// lose gives up on the connection. net/http gets the frame, and mostly ends the connection itself. Else
// we end it: heads that aren't followed aren't bounded.
func (h *Tracker) lose() {
	h.passing = frame.HeaderSize + h.frame.Length() - len(h.frame)
	h.handOn()
	h.stream = 0
	h.stop()
}

// stop has the connection end.
func (h *Tracker) stop() {
	h.block, h.ended = nil, true
	h.observer.Block(0)
}

// Unfinished returns 0 where no header block, or header of a frame, has begun and not ended, or where
// the tracker has the connection end. Else it returns a number that differs from block to block.
func (h *Tracker) Unfinished() int {
	if h.stream == 0 && len(h.frame) == 0 {
		return 0
	}
	return h.whole + 1
}

// GoneAway reports whether a GOAWAY has been sent that says why the connection ends.
func (h *Tracker) GoneAway() bool { return h.requests.goneAway }

// Passing returns how many bytes of a frame are yet to come, to be handed on as they are.
func (h *Tracker) Passing() int { return h.passing }

// Decoded returns how many bytes of fields were decoded since the last call.
func (h *Tracker) Decoded() (n int) {
	n, h.decoded = h.decoded, 0
	return n
}

// HasBegun reports whether a request has come.
func (h *Tracker) HasBegun() bool { return h.requests.last > 0 }

// Close ends all requests. It is to be called when nothing more is to come.
func (h *Tracker) Close() {
	h.stop()
	h.requests.close()
}

// Take takes the marker out of r, and returns what it names. It is to be called once for each request,
// before anything else is done with it.
func (h *Tracker) Take(r *http.Request) Request { return h.requests.take(r) }

// Done notes that the handler of the request with this head is done. Where the client is gone, no frame
// ends the stream.
func (h *Tracker) Done(one *head.Head, gone bool) { h.requests.done(one, gone) }

// Trailers returns the trailers of the request with this head, or nil.
func (h *Tracker) Trailers(one *head.Head) []head.Field { return h.requests.trailers(one) }

// Announced returns what the client has announced of itself.
func (h *Tracker) Announced() Announced { return h.announced }

// Sent notes p, which is sent to the client next, and returns how many requests are open.
func (h *Tracker) Sent(p []byte) (open int) {
	h.requests.follow(p, h.last[:])
	return len(h.requests.open)
}

// Idle notes that net/http has no request under way.
func (h *Tracker) Idle() { h.requests.none() }
