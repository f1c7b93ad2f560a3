package rawhead

import (
	"bufio"
	"io"
	"net/http"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/sync/semaphore"

	"httpserver/internal/frame"
	"httpserver/internal/head"
	"httpserver/internal/rawhead/http2"
	"httpserver/internal/wire"
)

// A request of HTTP/2 beside others costs memory, and so do a large head and one that comes. All is
// released at the end.
func TestRequestsCost(t *testing.T) {
	const all = 1 << 20
	memory := semaphore.NewWeighted(all)
	h, _ := newTestHTTP2(memory)
	dst := make([]byte, 1<<20)
	acquired := func(what string, want int) {
		t.Helper()
		if got := all - leftOf(memory, all); got != want {
			t.Errorf("%s: %d bytes are acquired, want %d", what, got, want)
		}
	}
	for i := range 4 {
		h.Feed(dst, []byte(wire.Request(2*i+1)))
	}
	acquired("two beside two", 2*requestCost)
	h.Feed(dst, []byte(wire.FrameOf(frame.Headers, 0, 9, wire.Block(wire.Asked4...))+wire.FrameOf(frame.Continuation, 0, 9))) // small as yet
	acquired("and half a small block", 2*requestCost)
	h.Feed(dst, []byte(wire.FrameOf(frame.Continuation, 0, 9, wire.Block(wire.Literal("x", strings.Repeat("a", smallHead))))))
	acquired("and half a large block", 2*requestCost+HeadCopies*wire.TestHead)
	h.Feed(dst, []byte(wire.FrameOf(frame.Continuation, frame.EndHeaders, 9)))
	large := 3*requestCost + HeadCopies*(len("x:method:path:schemehttp:authorityGET/hellotest")+5*head.FieldCost+smallHead)
	acquired("and the rest of it", large)
	for n := range uint64(5) {
		h.Done(h.Take(marked(n+1)).Head, false)
	}
	acquired("while the answers aren't taken", large)
	for _, stream := range []int{1, 3, 5} { // in single bytes
		for _, b := range []byte(wire.FrameOf(frame.Headers, frame.EndHeaders, stream, "\x88") + wire.FrameOf(frame.Data, frame.EndStream, stream, "a")) {
			h.Sent([]byte{b})
		}
	}
	acquired("behind three answers", large-requestCost)
	h.Sent([]byte(wire.FrameOf(frame.Reset, 0, 7, "\x00\x00\x00\x00") + wire.FrameOf(frame.Headers, frame.EndHeaders|frame.EndStream, 99)))
	acquired("behind a reset", large-2*requestCost)
	h.Close()
	acquired("at the end", 0)
}

// A request that its client resets ends with its handler, or where net/http has no stream, which
// may have yet to take the last one.
func TestResetRequests(t *testing.T) {
	for _, test := range []struct {
		what string
		do   func(*http2.Tracker)
		open int
	}{
		{"it is reset", func(h *http2.Tracker) {}, 2},
		{"its handler is done", func(h *http2.Tracker) { h.Done(h.Take(marked(1)).Head, true) }, 1},
		{"the handler of one that isn't reset is done", func(h *http2.Tracker) { h.Done(h.Take(marked(2)).Head, false) }, 2},
		{"net/http has none", func(h *http2.Tracker) { h.Idle() }, 1},
		{"net/http has none, with the last taken", func(h *http2.Tracker) { h.Take(marked(2)); h.Idle() }, 1},
	} {
		h, a := newTestHTTP2(nil)
		h.Feed(make([]byte, 1000), []byte(wire.Request(1)+wire.Reset(1)+wire.Request(3)))
		if test.do(h); a.open != test.open {
			t.Errorf("when %s, %d requests are open, want %d", test.what, a.open, test.open)
		}
	}
}

// A second request on a stream that is open or refused costs no other stream more than by net/http.
func TestStreamUsedTwice(t *testing.T) {
	t.Parallel()
	upper := wire.FrameOf(frame.Headers, frame.EndHeaders|frame.EndStream, 1, wire.Block(wire.Asked4...), wire.Block(wire.Literal("X-Upper", "1")))
	open := wire.FrameOf(frame.Headers, frame.EndHeaders, 1, wire.Block(wire.Asked4...))
	ours, stock := serveHTTP2(t)
	for what, raw := range map[string]string{
		"a second behind a later one":     wire.Request(3) + wire.Request(1),
		"a second on one that is open":    open + wire.FrameOf(frame.Headers, frame.EndHeaders|frame.EndStream, 1, wire.Block(wire.Asked4...)),
		"a second on one that is refused": upper + wire.Request(1, wire.Literal("x", "2")),
	} {
		var got [2]map[int]string
		for i, addr := range []string{ours, stock} {
			p := wire.NewHTTP2Peer(t, "unix", addr, nil)
			p.Send(wire.HTTP2Start+raw+wire.Request(101), wire.Cuts["whole"])
			got[i] = p.Await(1, 101)
		}
		if got[0][101] != "" && got[0][101] != wire.Shown4 {
			t.Errorf("%s: the next shows %q", what, got[0][101])
		}
		for _, stream := range []int{0, 1} {
			before, shown, handled := strings.Cut(got[0][stream], "GET ") // which may come behind the next's answer
			stockBefore, _, _ := strings.Cut(got[1][stream], "GET ")
			if before != stockBefore || handled && "GET "+shown != wire.Shown4+"x: 2\n" {
				t.Errorf("%s: stream %d gets %q, and of net/http alone %q", what, stream, got[0][stream], got[1][stream])
			}
		}
	}
}

// Second requests of a number can't pile up.
func TestSecondRequestsEnd(t *testing.T) {
	h, _ := newTestHTTP2(nil)
	dst, n := make([]byte, 1<<20), 0
	for ; !ended(h) && n < 1000; n++ {
		h.Feed(dst, []byte(wire.Request(1)))
	}
	if n != 2*testStreams+1 {
		t.Errorf("the connection ends after %d", n)
	}
	h.Close()
}

// The large heads of one connection of HTTP/2 cost so much at most. Past it a request is refused,
// and one of another connection is not.
func TestMemoryOfOneConnection(t *testing.T) {
	const all = 1 << 30
	memory := semaphore.NewWeighted(all)
	h, _ := newTestHTTP2(memory)
	other, _ := newTestHTTP2(memory)
	take := func(h *http2.Tracker, n int, fields ...wire.Coded) http2.Verdict {
		h.Feed(make([]byte, 1<<20), []byte(wire.Request(2*n-1, fields...)))
		return h.Take(marked(uint64(n))).As
	}
	large := slices.Repeat([]wire.Coded{wire.Indexed(62)}, (wire.TestHead-1<<10)/33)
	take(h, 1, wire.Added("x", ""))
	take(other, 1, wire.Added("x", ""))
	served := 0
	for n := range testStreams {
		if take(h, n+2, large...) == http2.Taken {
			served++
		}
	}
	if take(other, 2, large...) != http2.Taken {
		t.Error("that of another connection is refused")
	}
	if most := connMemory / (HeadCopies * (wire.TestHead - 1<<10)); served > most || served < most*4/5 || ended(h) {
		t.Errorf("%d of %d are served, want %d", served, testStreams, most)
	}
	h.Close()
	other.Close()
	if left := leftOf(memory, all); left != all {
		t.Errorf("at the end %d bytes are left", left)
	}
}

// The largest head is taken over HTTP/2, however large that is.
func TestLargestHead(t *testing.T) {
	for _, most := range []int{wire.TestHead, 8 << 20} {
		srv := newTestServer(nil)
		srv.maxHead = most
		a := srv.account(new(wire.Script))
		h, rest := http2.New(most, false, &a), most
		for _, f := range []string{":method", "GET", ":path", "/hello", ":scheme", "http", ":authority", "localhost", "x"} {
			rest -= len(f)
		}
		raw := wire.CutIntoFrames(1, 16000, wire.Block(wire.Indexed(2), wire.LiteralOf(4, "/hello"), wire.Indexed(6), wire.LiteralOf(1, "localhost"), wire.Literal("x", strings.Repeat("a", rest-5*head.FieldCost))))
		h.Feed(make([]byte, 2*most), []byte(raw))
		if rec := h.Take(marked(1)); rec.Head == nil || rec.As != http2.Taken || len(rec.Head.Fields) != 5 {
			t.Errorf("with a limit of %d: %+v", most, rec)
		}
	}
}

// What net/http holds of trailers is bounded: those announced cost, refused or not, and those that
// come are no larger than a head, and cost until their stream is over.
func TestTrailersCost(t *testing.T) {
	const all = 1 << 30
	memory := semaphore.NewWeighted(all)
	acquired := func() int { return all - leftOf(memory, all) }
	h, _ := newTestHTTP2(memory)
	dst := make([]byte, 1<<20)
	names := wire.Literal("trailer", strings.Repeat("a,", 500))
	for n := 1; !ended(h); n++ {
		h.Feed(dst, []byte(wire.Request(2*n-1, names)))
		if most := connMemory/(1000*HeadCopies*announcedCost) + 1; n > most {
			t.Fatalf("after %d announcements of at most %d the connection goes on", n, most)
		}
	}
	h.Close()
	h, _ = newTestHTTP2(memory)
	h.Feed(dst, []byte(wire.Request(1, append(slices.Repeat([]wire.Coded{wire.Indexed(16)}, 3*wire.TestHead/60), names)...)))
	if acquired() < HeadCopies*(2*wire.TestHead+1000*announcedCost) {
		t.Errorf("an announcement past twice the limit takes %d bytes", acquired())
	}
	h.Close()
	h, _ = newTestHTTP2(memory)
	for n := 1; !ended(h) && n < testStreams; n++ {
		h.Feed(dst, []byte(wire.FrameOf(frame.Headers, frame.EndHeaders, 2*n-1, wire.Block(wire.Asked4...))+wire.CutIntoFrames(2*n-1, 16000, wire.Block(wire.Literal("x", strings.Repeat("a", wire.TestHead-100))))))
	}
	if !ended(h) || acquired() > connMemory {
		t.Errorf("the trailers of one connection take %d bytes, and it ends: %v", acquired(), ended(h))
	}
	h.Close()
	for size, ends := range map[int]bool{wire.TestHead: false, wire.TestHead + 1: true} {
		h, _ := newTestHTTP2(memory)
		trailer := wire.Block(wire.Literal("x", strings.Repeat("a", size-len("x")-head.FieldCost)))
		h.Feed(dst, []byte(wire.FrameOf(frame.Headers, frame.EndHeaders, 1, wire.Block(wire.Asked4...))+wire.CutIntoFrames(1, 16000, trailer)))
		if ended(h) != ends || acquired() != HeadCopies*size && !ends {
			t.Errorf("after trailers of %d bytes the connection ends: %v, with %d bytes acquired", size, ended(h), acquired())
		}
		h.Sent([]byte(wire.Reset(1)))
		if acquired() != 0 {
			t.Errorf("at the end %d bytes are acquired", acquired())
		}
	}
}

// Others run while a client sends without a pause, a body in small chunks as well.
func TestReadsYield(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	const head = "POST /hello HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n"
	body := strings.Repeat("1\r\na\r\n", 101*yieldBytes/6)
	c := newTestConn(wire.NewScript(head+body, func() int { return 100 }))
	io.ReadFull(c, make([]byte, len(head)))
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(head)))
	if err != nil {
		t.Fatal(err)
	}
	c.take(r)
	yielded := 0
	for range 100 { // the scheduler doesn't prefer others each time
		var ran atomic.Bool
		go ran.Store(true)
		io.ReadFull(c, make([]byte, yieldBytes))
		if ran.Load() {
			yielded++
		}
	}
	if yielded < 50 {
		t.Errorf("others ran before %d of 100 times %d bytes were read", yielded, yieldBytes)
	}
}

// A connection of HTTP/2 that is closed decodes nothing more.
func TestClosedFeed(t *testing.T) {
	const all = 1 << 20
	memory := semaphore.NewWeighted(all)
	h, a := newTestHTTP2(memory)
	dst := make([]byte, 1<<20)
	h.Feed(dst, []byte(wire.FrameOf(frame.Headers, 0, 1, wire.Block(wire.Asked4...))))
	h.Close()
	if n, _, err := h.Feed(dst, []byte(wire.FrameOf(frame.Continuation, frame.EndHeaders, 1, wire.Block(wire.Literal("x", "1"))))); n > 0 || err != io.EOF {
		t.Errorf("%d bytes are handed on, %v", n, err)
	}
	if a.open > 0 || leftOf(memory, all) != 1<<20 {
		t.Errorf("%d requests are open, %d bytes left", a.open, leftOf(memory, all))
	}
}

// ended reports whether h has the connection end.
func ended(h *http2.Tracker) bool {
	_, _, err := h.Feed(make([]byte, 1<<20), nil)
	return err == io.EOF
}

// marked returns a request with the marker of n, as net/http hands it over.
func marked(n uint64) *http.Request {
	return &http.Request{Header: http.Header{http.CanonicalHeaderKey(http2.Marker): {"its own", markerValue(n)}}}
}

func markerValue(n uint64) string { return strconv.FormatUint(1e18+n, 10) }
