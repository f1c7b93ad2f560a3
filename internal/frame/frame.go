// Package frame reads and makes the headers of HTTP/2's frames (RFC 9113 section 4.1).
package frame

import "fmt"

// Preface is what a client begins HTTP/2 with (RFC 9113 section 3.4). net/http goes
// over to HTTP/2 where the first bytes are these, and nowhere else.
const Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// A Frame is one of HTTP/2, or its beginning (RFC 9113 section 4.1).
type Frame []byte

// Lengths in bytes, and types and flags of frames (RFC 9113 sections 4.1 and 6).
const (
	HeaderSize   = 9
	PrioritySize = 5

	Data         = 0x0
	Headers      = 0x1
	Reset        = 0x3
	Settings     = 0x4
	GoAway       = 0x7
	WindowUpdate = 0x8
	Continuation = 0x9

	EndStream  = 0x1
	Ack        = 0x1 // of SETTINGS
	EndHeaders = 0x4
	Padded     = 0x8
	Priority   = 0x20
)

// names are those of the types of frames, by number (RFC 9113 section 6).
var names = []string{"DATA", "HEADERS", "PRIORITY", "RST_STREAM", "SETTINGS", "PUSH_PROMISE", "PING", "GOAWAY", "WINDOW_UPDATE", "CONTINUATION"}

// Name returns what f is called.
func (f Frame) Name() string {
	if int(f.Kind()) < len(names) {
		return names[f.Kind()]
	}
	return fmt.Sprintf("a frame of type 0x%02x", f.Kind())
}

func (f Frame) Length() int { return int(f[0])<<16 | int(f[1])<<8 | int(f[2]) }

func (f Frame) Kind() byte { return f[3] }

func (f Frame) Has(flag byte) bool { return f[4]&flag != 0 }

func (f Frame) Stream() int { return int(f[5]&0x7f)<<24 | int(f[6])<<16 | int(f[7])<<8 | int(f[8]) }

// Ends reports whether f ends its stream, where the server sends it.
func (f Frame) Ends() bool {
	kind := f.Kind()
	return kind == Reset || (kind == Headers || kind == Data) && f.Has(EndStream)
}

func (f Frame) SetLength(n int) { f[0], f[1], f[2] = byte(n>>16), byte(n>>8), byte(n) }

// ContinuationOf returns a CONTINUATION frame that ends a block.
func ContinuationOf(stream int, fragment []byte) Frame {
	f := Frame{0, 0, 0, Continuation, EndHeaders, byte(stream >> 24), byte(stream >> 16), byte(stream >> 8), byte(stream)}
	f.SetLength(len(fragment))
	return append(f, fragment...)
}
