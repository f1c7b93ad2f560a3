package http2

import (
	"net/http"
	"strconv"
	"strings"
	"testing"

	"httpserver/internal/head"
)

// naming returns a request with the marker of n, as net/http hands it over.
func naming(n uint64) *http.Request {
	return &http.Request{Header: http.Header{markerKey: {"its own", strconv.FormatUint(firstNumber+n, 10)}}}
}

// A marker is taken out of the request, and names one head once.
func TestMarker(t *testing.T) {
	ss := new(requests)
	if m := string(ss.nextMarker()); m != "\x00\x1a"+Marker+"\x131000000000000000001" || Marker != strings.ToLower(Marker) {
		t.Errorf("%q", m)
	}
	ss = &requests{observer: free{}}
	for range 3 {
		ss.nextMarker()
		ss.begin(0, false, Request{Head: head.New(), Stream: 1})
	}
	r := naming(2)
	if ss.take(r).Head == nil || len(r.Header[markerKey]) != 1 || r.Header.Get(markerKey) != "its own" {
		t.Errorf("%v", r.Header)
	}
	for _, r := range []*http.Request{naming(2), naming(4), naming(0), r, r} {
		if ss.take(r).Head != nil {
			t.Errorf("%v names a head", r.Header)
		}
	}
	if len(r.Header) != 0 {
		t.Errorf("%v", r.Header)
	}
}

// A free is an observer of which all is had for nothing.
type free struct{}

func (free) Block(int) bool { return true }

func (free) Request(_, _ int) (int, Verdict) { return 0, Taken }

func (free) Trailers(_, _ int) (int, bool) { return 0, true }

func (free) Ended(int) {}

func (free) Refused(Refused) {}
