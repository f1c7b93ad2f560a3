// Package http1 follows what a client sends over HTTP/1 (RFC 9112): where the head and the body of each
// request begin and end. It has no socket, lock, or timer.
package http1

import (
	"bytes"
	"net/http"

	"httpserver/internal/head"
)

// A Tracker keeps the pending head: that of the request which net/http reads next, or is reading. It
// hands on every byte as it came, but never the end of a head or body together with what follows.
//
// After a head it waits for Take, which says how net/http frames the body. Where a body isn't framed
// strictly by the RFC, it may end elsewhere for net/http. Then no head is kept for the rest of the
// connection: the next ones are only counted.
type Tracker struct {
	phase    phase
	empty    []byte     // lines before the head, for FirstLine
	head     *head.Head // in inHead and headRead; nil before its first byte
	ahead    []byte     // in headRead: what net/http has read of what follows, for Take
	count    int        // of the head's size, as HeadSize counts
	left     int64      // in inBody: bytes to its end
	chunks   chunks     // in inChunked
	trailers []byte     // of the request that was taken last, once its body has ended
	blank    bool       // in lost: no byte but CR came since the last LF
	ended    bool       // in lost: a head may have ended with the last byte
	before   int        // in lost: count of that head, which a byte read ahead follows
}

// A phase says what the next byte of a connection belongs to.
type phase int

const (
	inHead    phase = iota
	headRead        // a head is complete, and Take was not called for it yet
	inBody          // of known length
	inChunked       // a chunked body
	lost            // in a head, or before; nothing more is known of the connection
	lostBody        // the same behind that head, until net/http is idle
)

// maxAhead is the most that net/http reads beyond a head before a handler has it: a
// byte, to see a client go, or what comes where HTTP/2's preface has its first line.
const maxAhead = 11

// maxEmpty is how much of empty lines is told, in bytes.
const maxEmpty = 8

// Feed takes received bytes from src, and puts what net/http is to read for them into dst. It returns
// how many bytes it took and put. err is nil.
func (h *Tracker) Feed(dst, src []byte) (nDst, nSrc int, err error) {
	n := h.follow(src[:min(len(dst), len(src))])
	return copy(dst, src[:n]), n, nil
}

// follow takes note of p, received next, and returns how much of it is to be handed
// on now.
func (h *Tracker) follow(p []byte) (n int) {
	if h.phase == headRead {
		if h.ahead = append(h.ahead, p...); len(h.ahead) > maxAhead {
			h.lose(lost)
		}
		return len(p)
	}
	for n < len(p) && h.phase != headRead {
		switch h.phase {
		case inHead:
			n += h.followHead(p[n:])
		case inBody:
			in := min(h.left, int64(len(p)-n))
			n += int(in)
			if h.left -= in; h.left == 0 {
				h.phase = inHead
				return n
			}
		case inChunked:
			in, ended, odd := h.chunks.follow(p[n:])
			n += in
			if ended {
				h.trailers = h.chunks.trailers
				h.phase, h.chunks = inHead, chunks{}
				return n
			} else if odd {
				h.lose(lostBody)
			}
		case lost:
			return n + h.followLost(p[n:])
		case lostBody:
			return len(p)
		}
	}
	return n
}

// lose gives up on the connection's framing. It goes on with lost or lostBody.
func (h *Tracker) lose(next phase) {
	h.head.Free()
	*h = Tracker{phase: next}
}

// followLost counts p as a part of a head, to the end of an empty line. What is behind that may be
// a body: it comes with the next Read, before which a handler has the request if there is one.
func (h *Tracker) followLost(p []byte) (n int) {
	if h.ended {
		h.ended, h.before, h.count = false, h.count, 0
	}
	for n < len(p) && !h.ended {
		switch p[n] {
		case '\n':
			h.blank, h.ended = true, h.blank
		case '\r':
		default:
			h.blank = false
		}
		n++
	}
	h.count += counted(p[:n])
	return n
}

// followHead records p up to the end of the head, which is the first empty line
// after another. Lines end in CRLF or, as net/http takes it, LF. Empty lines before
// the head, which net/http accepts after a POST, are no part of it.
func (h *Tracker) followHead(p []byte) (n int) {
	if h.head == nil {
		for n < len(p) && (p[n] == '\r' || p[n] == '\n') {
			n++
		}
		h.empty = append(h.empty, p[:min(n, maxEmpty-len(h.empty))]...)
		if n == len(p) {
			return n
		}
		h.head = head.New()
	}
	text, start := h.head.Text, n
	for h.phase == inHead {
		end := n + bytes.IndexByte(p[n:], '\n') + 1
		if end == n {
			text = append(text, p[n:]...)
			n = len(p)
			break
		}
		text = append(text, p[n:end]...)
		n = end
		last := len(text) - 1
		if last > 0 && text[last-1] == '\r' {
			last--
			text[last] = '\n'
		}
		if last > 0 && text[last-1] == '\n' {
			h.phase = headRead
			last--
		}
		text = text[:last+1]
	}
	h.head.Text = text
	h.count += counted(p[start:n])
	return n
}

// counted returns the size of p, of a head, each line counted head.FieldCost longer than it is.
func counted(p []byte) int { return len(p) + head.FieldCost*bytes.Count(p, []byte("\n")) }

// HeadSize returns how much has come of the pending head, each line counted head.FieldCost longer than
// it is.
func (h *Tracker) HeadSize() int { return max(h.count, h.before) }

// Take returns the head of r, which net/http has just read, or nil where it isn't
// known. It must be called once for each request, before its body is read.
func (h *Tracker) Take(r *http.Request) *head.Head {
	if h.phase != headRead || !isOf(h.head.Text, r) {
		h.lose(lostBody)
		return nil
	}
	taken := h.head
	h.head, h.empty, h.count, h.trailers = nil, h.empty[:0], 0, nil
	switch {
	case r.ContentLength > 0:
		h.phase, h.left = inBody, r.ContentLength
	case r.ContentLength < 0:
		h.phase = inChunked
	default:
		h.phase = inHead
	}
	ahead := h.ahead
	h.ahead = h.ahead[:0]
	for len(ahead) > 0 && h.phase != headRead {
		ahead = ahead[h.follow(ahead):]
	}
	if len(ahead) > 0 {
		h.lose(lostBody)
	}
	return taken
}

// Trailers returns the field lines behind the body of the request that was taken last, each ended by LF. It
// is nil where there are none, or where they aren't known, or the body has not been handed on whole.
func (h *Tracker) Trailers() []byte { return h.trailers }

// isOf reports whether text, of a head, begins with the request line of r.
func isOf(text []byte, r *http.Request) bool {
	for _, part := range [...]string{r.Method, " ", r.RequestURI, " ", r.Proto, "\n"} {
		var ok bool
		if text, ok = bytes.CutPrefix(text, []byte(part)); !ok {
			return false
		}
	}
	return true
}

// Idle notes that net/http has no request under way: a head may come next.
func (h *Tracker) Idle() {
	h.trailers = nil
	if h.phase == lostBody {
		h.lose(lost)
	}
}

// Pass has all that comes be handed on, and nothing be kept of it: it isn't HTTP any more.
func (h *Tracker) Pass() { h.lose(lostBody) }

// Close is to be called when nothing more is to come.
func (h *Tracker) Close() { h.lose(lost) }

// Pending returns as much as has come of the pending head, its lines ended by LF, or nil. It is the
// tracker's until the next call.
func (h *Tracker) Pending() []byte {
	if h.head == nil {
		return nil
	}
	return h.head.Text
}

// FirstLine returns the first line of what net/http answers by itself, or most bytes of it, with empty
// lines that came before it. It is nil where it isn't known.
func (h *Tracker) FirstLine(most int) []byte {
	if h.head == nil {
		return nil
	}
	line, _, _ := bytes.Cut(h.head.Text, []byte("\n"))
	return append(h.empty[:len(h.empty):len(h.empty)], line[:min(len(line), most)]...)
}
