package http1

import (
	"bytes"
	"strconv"
)

// This file follows a chunked body of HTTP/1 to its end.

// A chunks follows a chunked body (RFC 9112 section 7.1), as long as it is strictly
// one.
type chunks struct {
	size uint64    // of the chunk, or what is left of it
	next chunkLine // after the chunk
	line []byte    // as much of it as has come

	trailers []byte // field lines, each ended by LF
}

// A chunkLine is a line of a chunked body.
type chunkLine int

const (
	sizeLine    chunkLine = iota
	dataEnd               // the end of the line after a chunk's data
	trailerLine           // or the empty line that ends the body
)

// maxChunkLine is the longest line that is followed, in bytes with its CRLF, and the most of trailers:
// what net/http's buffer holds.
const maxChunkLine = 4096

// follow returns how much of p is followed, which is all of it, unless the body ended
// in it or is odd.
func (c *chunks) follow(p []byte) (n int, ended, odd bool) {
	for n < len(p) {
		if c.size > 0 {
			data := min(c.size, uint64(len(p)-n))
			c.size -= data
			n += int(data)
			continue
		}
		end := bytes.IndexByte(p[n:], '\n') + 1
		if end == 0 {
			end = len(p) - n
		}
		c.line = append(c.line, p[n:n+end]...)
		n += end
		if len(c.line) > maxChunkLine {
			return n, false, true
		}
		if !bytes.HasSuffix(c.line, []byte("\n")) {
			return n, false, false
		}
		line, crlf := bytes.CutSuffix(c.line, []byte("\r\n"))
		c.line = c.line[:0]
		switch {
		case !crlf || bytes.IndexByte(line, '\r') >= 0 || c.next == dataEnd && len(line) > 0:
			return n, false, true
		case c.next == dataEnd:
			c.next = sizeLine
		case c.next == trailerLine && len(line) == 0:
			return n, true, false
		case c.next == trailerLine:
			if c.trailers = append(append(c.trailers, line...), '\n'); len(c.trailers) > maxChunkLine {
				return n, false, true
			}
		case c.next == sizeLine:
			size, _, _ := bytes.Cut(bytes.TrimRight(line, " \t"), []byte(";"))
			var err error
			if c.size, err = strconv.ParseUint(string(size), 16, 64); err != nil || len(size) > 16 {
				return n, false, true
			}
			c.next = dataEnd
			if c.size == 0 {
				c.next = trailerLine
			}
		}
	}
	return n, false, false
}
