package http2

// This file holds what a tracker knows of memory, and of who is told.

// An Observer says what there is memory for, and is told of what net/http refuses. Sizes are in bytes, as
// heads are counted; announced are those of fields Trailer.
type Observer interface {
	// Block is told that a header block will have up to size bytes with the frame that has begun,
	// and by 0 that no block is coming any more. Where it reports false the connection ends.
	Block(size int) bool

	// Request is told of a request, and returns what it cost, for Ended. Where it is Fatal the
	// request costs nothing, and Ended isn't told of it.
	Request(size, announced int) (cost int, as Verdict)

	// Trailers is told of the trailers of an open request, and returns what they cost, which is
	// added to what the request cost. Where it reports false the connection ends.
	Trailers(size, announced int) (cost int, ok bool)

	// Ended is told of the end of a request, which cost so much.
	Ended(cost int)

	// Refused is told of what net/http refuses. r is to be used until it returns.
	Refused(r Refused)
}

// A Verdict is what becomes of a request.
type Verdict int

const (
	Taken    Verdict = iota
	TooLarge         // to be answered 431
	NoMemory         // to be answered 503
	Fatal            // the connection ends
)
