package main

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

func markerValue(n uint64) string { return strconv.FormatUint(firstNumber+n, 10) }

// marked returns a request with the marker of n, as net/http hands it over.
func marked(n uint64) *http.Request {
	return &http.Request{Header: http.Header{markerKey: {"its own", markerValue(n)}}}
}

// What a handler doesn't ask for is bounded, and the newest stays.
func TestRecordsAreBounded(t *testing.T) {
	for _, test := range []struct{ n, size, kept int }{
		{3 * maxRecords, 100, maxRecords},
		{100, maxRecordBytes / 10, 10},
	} {
		rs := records{streams: new(streams)}
		for range test.n {
			rs.nextMarker()
			rs.put(newHead(), test.size)
		}
		for i := range test.n {
			number := uint64(i + 1)
			want := i >= test.n-test.kept
			if got := rs.take(marked(number)) != nil; got != want {
				t.Errorf("%d heads of %d bytes: head %d is kept: %v", test.n, test.size, number, got)
			}
		}
		if len(rs.waiting) > 0 || rs.size != 0 {
			t.Errorf("%d heads of %d bytes are left when all are taken", len(rs.waiting), rs.size)
		}
	}
}

// What no handler has asked for in time is dropped with the next.
func TestOldRecordsAreDropped(t *testing.T) {
	rs := records{streams: new(streams)}
	for range 2 {
		rs.put(newHead(), 100)
		rs.waiting[0].at = time.Now().Add(-2 * unclaimedAfter)
	}
	if rs.put(newHead(), 100); len(rs.waiting) != 1 || rs.size != 100 {
		t.Errorf("%d heads of %d bytes wait", len(rs.waiting), rs.size)
	}
}

// A marker is taken out of the request, and names one head once.
func TestMarker(t *testing.T) {
	rs := records{streams: new(streams)}
	if m := string(rs.nextMarker()); m != "\x00\x1a"+marker+"\x131000000000000000001" || marker != strings.ToLower(marker) {
		t.Errorf("%q", m)
	}
	rs = records{streams: new(streams)}
	for range 3 {
		rs.nextMarker()
		rs.put(newHead(), 1)
	}
	r := marked(2)
	if rs.take(r) == nil || len(r.Header[markerKey]) != 1 || r.Header.Get(markerKey) != "its own" {
		t.Errorf("%v", r.Header)
	}
	for _, r := range []*http.Request{marked(2), marked(4), marked(0), r, r} {
		if rs.take(r) != nil {
			t.Errorf("%v names a head", r.Header)
		}
	}
	if len(r.Header) != 0 {
		t.Errorf("%v", r.Header)
	}
}
