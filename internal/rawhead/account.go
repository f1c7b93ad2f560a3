package rawhead

import (
	"fmt"
	"net/http"

	"golang.org/x/sync/semaphore"

	"httpserver/internal/head"
	"httpserver/internal/rawhead/http2"
)

// This file holds what a connection acquires of memory before it is used.

// A head of up to smallHead bytes costs nothing. A larger one is there headCopies times: ours, and
// net/http's while it reads it.
const (
	smallHead  = 4 << 10
	HeadCopies = 4
)

// What requests of HTTP/2 cost beside their heads, in bytes.
const (
	freeRequests  = 2        // of a connection cost nothing
	requestCost   = 32 << 10 // another: net/http's buffers and a goroutine's stack
	connMemory    = 18 << 20 // those of a connection together, but that one head may always come
	announcedCost = 19       // each byte of Trailer counts that many more: net/http makes a map of it
	maxAnnounced  = 64       // bytes of it that a refused request may hold
)

// noMemoryForHead is why a connection ends without even a refusal.
const noMemoryForHead = "no memory for another request"

// costOf returns what a head of size bytes costs.
func costOf(size int) int {
	if size <= smallHead {
		return 0
	}
	return HeadCopies * size
}

// An account is what a connection has acquired. Over HTTP/2 it is the observer of the tracker.
type account struct {
	memory   *semaphore.Weighted // nil: there is always some
	maxHead  int                 // bytes
	maxOpen  int                 // requests at once
	acquired int                 // for the head that comes, or over HTTP/1 is there
	open     int                 // requests of HTTP/2
	cost     int                 // what these have acquired
	tell     func(Refusal)       // of requests, and connections, that net/http or the account refuses
}

// resize has the account hold so much for the head that comes. Where there is no memory it reports
// false, and changes nothing.
func (a *account) resize(want int) bool {
	if more := want - a.acquired; a.memory != nil && more > 0 && !a.memory.TryAcquire(int64(more)) {
		return false
	} else if more < 0 {
		a.release(-more)
	}
	a.acquired = want
	return true
}

func (a *account) release(n int) {
	if a.memory != nil {
		a.memory.Release(int64(n))
	}
}

// fits reports whether the connection may have so much more.
func (a *account) fits(cost int) bool {
	return cost <= requestCost || a.cost+cost <= max(connMemory, requestCost+HeadCopies*2*a.maxHead)
}

// Block acquires what the largest head costs, once one of over smallHead comes.
func (a *account) Block(size int) bool {
	switch {
	case size == 0:
		return a.resize(0)
	case size <= smallHead || a.acquired > 0 || a.resize(HeadCopies*a.maxHead):
		return true
	}
	a.failed(noMemoryForHead, true)
	return false
}

// Request acquires what a request costs. Where there is no memory it is refused, and where there
// isn't even memory for that, the connection ends.
func (a *account) Request(size, announced int) (cost int, as http2.Verdict) {
	most, own := 2*a.maxHead, 0 // past most net/http refuses, and holds as much until the client has the answer
	if a.open >= freeRequests {
		own = requestCost
	}
	all, full := own+costOf(min(size, most)+announcedCost*announced), a.open >= 2*a.maxOpen
	switch {
	case !full && a.fits(all) && a.resize(all):
		as = http2.Taken
	case full:
		a.failed(fmt.Sprintf("over %d requests at once, each to be refused", 2*a.maxOpen), false)
		return 0, http2.Fatal
	case size > most, announced > maxAnnounced, !a.resize(own):
		a.failed(noMemoryForHead, true)
		return 0, http2.Fatal
	default:
		as = http2.NoMemory
	}
	a.open++
	return a.keep(), as
}

// Trailers acquires what trailers cost, which net/http keeps with their request.
func (a *account) Trailers(size, announced int) (cost int, ok bool) {
	if size > a.maxHead {
		a.failed("trailers "+headTooLarge(a.maxHead), false)
		return 0, false
	}
	if all := costOf(size + announcedCost*announced); !a.fits(all) || !a.resize(all) {
		a.failed("no memory for trailers", true)
		return 0, false
	}
	return a.keep(), true
}

// failed tells that the connection ends.
func (a *account) failed(why string, noMemory bool) {
	a.tell(Refusal{Reason: why, NoMemory: noMemory})
}

// Refused tells of what net/http refuses.
func (a *account) Refused(r http2.Refused) {
	told := Refusal{Status: r.Status, Reason: r.Reason}
	if r.Status == http.StatusRequestHeaderFieldsTooLarge {
		told.Reason = "request head " + headTooLarge(a.maxHead)
	}
	if r.Fields != nil {
		one, shown := http.Request{Proto: "HTTP/2.0"}, head.Head{Fields: r.Fields}
		for _, f := range r.Fields {
			switch { // the first of each
			case f.Name == ":method" && one.Method == "":
				one.Method = cut(f.Value)
			case f.Name == ":path" && one.RequestURI == "":
				one.RequestURI = cut(f.Value)
			}
		}
		if one.Method != "" || one.RequestURI != "" { // else it may be trailers with a pseudo-field
			told.Line = []byte(cut(head.RequestLine(&one)))
		}
		told.Head = shown.Lines(&one)
	}
	a.tell(told)
}

// keep has what is acquired belong to a request.
func (a *account) keep() (cost int) {
	cost, a.acquired = a.acquired, 0
	a.cost += cost
	return cost
}

// Ended releases what a request had.
func (a *account) Ended(cost int) {
	a.open--
	a.cost -= cost
	a.release(cost)
}
