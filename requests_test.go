package main

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
)

// naming returns a request with the marker of n, as net/http hands it over.
func naming(n uint64) *http.Request {
	return &http.Request{Header: http.Header{markerKey: {"its own", strconv.FormatUint(firstNumber+n, 10)}}}
}

// A marker is taken out of the request, and names one head once.
func TestMarker(t *testing.T) {
	ss := new(requests)
	if m := string(ss.nextMarker()); m != "\x00\x1a"+marker+"\x131000000000000000001" || marker != strings.ToLower(marker) {
		t.Errorf("%q", m)
	}
	ss = &requests{observer: free{}}
	for range 3 {
		ss.nextMarker()
		ss.begin(1, 0, request2{head: newHead()})
	}
	r := naming(2)
	if ss.take(r).head == nil || len(r.Header[markerKey]) != 1 || r.Header.Get(markerKey) != "its own" {
		t.Errorf("%v", r.Header)
	}
	for _, r := range []*http.Request{naming(2), naming(4), naming(0), r, r} {
		if ss.take(r).head != nil {
			t.Errorf("%v names a head", r.Header)
		}
	}
	if len(r.Header) != 0 {
		t.Errorf("%v", r.Header)
	}
}

// A free is an observer of which all is had for nothing.
type free struct{}

func (free) block(int) bool                  { return true }
func (free) request(_, _ int) (int, verdict) { return 0, taken }
func (free) trailers(_, _ int) (int, bool)   { return 0, true }
func (free) ended(int)                       {}
