package main

// A frame is one of HTTP/2, or its beginning (RFC 9113 section 4.1).
type frame []byte

// Lengths in bytes, and types and flags of frames (RFC 9113 sections 4.1 and 6).
const (
	frameHeader    = 9
	priorityFields = 5

	dataFrame         = 0x0
	headersFrame      = 0x1
	resetFrame        = 0x3
	continuationFrame = 0x9

	endStream  = 0x1
	endHeaders = 0x4
	padded     = 0x8
	priority   = 0x20
)

func (f frame) length() int        { return int(f[0])<<16 | int(f[1])<<8 | int(f[2]) }
func (f frame) kind() byte         { return f[3] }
func (f frame) has(flag byte) bool { return f[4]&flag != 0 }
func (f frame) stream() int        { return int(f[5]&0x7f)<<24 | int(f[6])<<16 | int(f[7])<<8 | int(f[8]) }

// ends reports whether f ends its stream, where the server sends it.
func (f frame) ends() bool {
	kind := f.kind()
	return kind == resetFrame || (kind == headersFrame || kind == dataFrame) && f.has(endStream)
}

func (f frame) setLength(n int) { f[0], f[1], f[2] = byte(n>>16), byte(n>>8), byte(n) }

// continuation returns a CONTINUATION frame that ends a block.
func continuation(stream int, fragment []byte) frame {
	f := frame{0, 0, 0, continuationFrame, endHeaders, byte(stream >> 24), byte(stream >> 16), byte(stream >> 8), byte(stream)}
	f.setLength(len(fragment))
	return append(f, fragment...)
}
