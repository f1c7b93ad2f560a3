package http2

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"httpserver/internal/frame"
	"httpserver/internal/head"
)

// A listening observer keeps what it is told.
type listening struct {
	free
	told *[]Refused
}

func (l listening) Refused(r Refused) { *l.told = append(*l.told, r) }

// frameOf returns a frame with payload.
func frameOf(kind, flags byte, stream int, payload string) string {
	f := frame.ContinuationOf(stream, []byte(payload))
	f[3], f[4] = kind, flags
	return string(f)
}

// What net/http sends to a client that is merely late, or to all at the stop, refuses nothing.
func TestWhatIsNoRefusal(t *testing.T) {
	for what, test := range map[string]struct {
		sent string
		told int
	}{
		"an error, and then a reset":   {frameOf(frame.GoAway, 0, 0, "\x00\x00\x00\x01\x00\x00\x00\x01") + frameOf(frame.Reset, 0, 7, "\x00\x00\x00\x01"), 2},
		"a stop":                       {frameOf(frame.GoAway, 0, 0, "\x00\x00\x00\x01\x00\x00\x00\x00"), 0},
		"an error":                     {frameOf(frame.GoAway, 0, 0, "\x00\x00\x00\x01\x00\x00\x00\x01more"), 1},
		"a frame for a stream closed":  {frameOf(frame.Reset, 0, 7, "\x00\x00\x00\x05"), 0},
		"a stream that isn't wanted":   {frameOf(frame.Reset, 0, 7, "\x00\x00\x00\x00"), 0},
		"a stream that is malformed":   {frameOf(frame.Reset, 0, 7, "\x00\x00\x00\x01"), 1},
		"an answer":                    {frameOf(frame.Headers, frame.EndStream, 7, "\x88"), 0},
		"two errors":                   {strings.Repeat(frameOf(frame.Reset, 0, 7, "\x00\x00\x00\x01"), 2), 2},
		"a reset behind an odd length": {frameOf(frame.Data, 0, 7, "abc") + frameOf(frame.Reset, 0, 7, "\x00\x00\x00\x09"), 1},
	} {
		for _, size := range []int{1, 1000} {
			var told []Refused
			h := New(1000, false, listening{told: &told})
			for p := []byte(test.sent); len(p) > 0; p = p[min(size, len(p)):] {
				h.Sent(p[:min(size, len(p))])
			}
			if len(told) != test.told {
				t.Errorf("%s, %d bytes at a time: %+v is told", what, size, told)
			}
			if got := h.GoneAway(); got != strings.HasPrefix(what, "an error") {
				t.Errorf("%s: gone away: %v", what, got)
			}
		}
	}
}

// A reset of a request that no handler has yet says no more of it than is known: a handler may get it still.
func TestResetBeforeHandler(t *testing.T) {
	for _, test := range []struct {
		code byte
		open int
		want string
	}{
		{1, 1, "stream 1 reset with PROTOCOL_ERROR"},
		{1, 2, "stream 1 reset with PROTOCOL_ERROR; 2 requests are open"},
		{5, 1, ""},
		{5, 2, ""},
		{7, 1, "stream 1 reset with REFUSED_STREAM"},
		{7, 2, "stream 1 reset with REFUSED_STREAM; 2 requests are open"},
	} {
		told := []Refused{{}}
		h := New(1000, false, listening{told: &told})
		for i := range test.open {
			h.Feed(make([]byte, 1000), []byte(frameOf(frame.Headers, frame.EndHeaders|frame.EndStream, 2*i+1, "\x82\x86\x84\x41\x01a")))
		}
		h.Sent([]byte(frameOf(frame.Reset, 0, 1, "\x00\x00\x00"+string(test.code))))
		if got := told[len(told)-1].Reason; got != test.want {
			t.Errorf("with code %d, and %d requests, %q is told, want %q", test.code, test.open, got, test.want)
		}
	}
}

// A block that ended the connection isn't unfinished any more.
func TestLostIsNotUnfinished(t *testing.T) {
	h := New(1000, false, free{})
	h.Feed(make([]byte, 1000), []byte(frameOf(frame.Headers, 0, 1, "\x82")+frameOf(frame.Data, 0, 1, "a")))
	if n := h.Unfinished(); n != 0 {
		t.Errorf("it is %d", n)
	}
}

// Only trailers that net/http takes are kept: those that end their stream, once.
func TestTrailersTaken(t *testing.T) {
	const asked, x, y = "\x82\x86\x84\x41\x01a", "\x00\x01x\x011", "\x00\x01y\x012"
	block := func(flags byte, payload string) string {
		return frameOf(frame.Headers, flags|frame.EndHeaders, 1, payload)
	}
	open, trailers := block(0, asked), block(frame.EndStream, x)
	for what, test := range map[string]struct{ sent, want string }{
		"behind a request":            {open + trailers, "[{x 1}]"},
		"behind a body":               {open + frameOf(frame.Data, 0, 1, "a") + trailers, "[{x 1}]"},
		"behind PRIORITY":             {open + frameOf(2, frame.EndStream, 1, "\x00\x00\x00\x00\x01") + trailers, "[{x 1}]"},
		"in two frames":               {open + frameOf(frame.Headers, frame.EndStream, 1, x[:2]) + frameOf(frame.Continuation, frame.EndHeaders, 1, x[2:]), "[{x 1}]"},
		"behind the end of a request": {block(frame.EndStream, asked) + trailers, "[]"},
		"behind the end of a body":    {open + frameOf(frame.Data, frame.EndStream, 1, "a") + trailers, "[]"},
		"without an end":              {open + block(0, x), "[]"},
		"behind some without an end":  {open + block(0, x) + trailers, "[]"},
		"behind none":                 {open + block(frame.EndStream, "") + trailers, "[]"},
		"and others":                  {open + trailers + block(frame.EndStream, y), "[{x 1}]"},
	} {
		h := New(1000, false, free{})
		h.Feed(make([]byte, 1000), []byte(test.sent))
		one := h.Take(naming(1))
		if got := fmt.Sprint(h.Trailers(one.Head)); got != test.want || h.Trailers(head.New()) != nil {
			t.Errorf("%s: %s, want %s", what, got, test.want)
		}
	}
}

// Only a window of the connection counts, without the reserved bit, and only before the first request.
func TestAnnouncedWindow(t *testing.T) {
	request := frameOf(frame.Headers, frame.EndHeaders|frame.EndStream, 1, "\x82\x86\x84\x41\x01a")
	ofStream, window := frameOf(frame.WindowUpdate, 0, 1, "\x00\x00\x00\x07"), frameOf(frame.WindowUpdate, 0, 0, "\x80\x00\x00\x05")
	for sent, want := range map[string]string{
		ofStream + window + request: `{"windowUpdate":5,"streamId":3}`,
		request + window:            `{"streamId":3}`,
	} {
		h := New(1000, false, free{})
		h.Feed(make([]byte, 1000), []byte(sent))
		var out bytes.Buffer
		new(head.Head).WriteJSON(&out, naming(1), func(j head.JSON) { a := h.Announced(); a.WriteJSON(j, 3) })
		if !strings.Contains(out.String(), want) {
			t.Errorf("%s, want %s", out.String(), want)
		}
	}
}
