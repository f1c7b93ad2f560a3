package main

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"runtime"
	"slices"
	"sort"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/semaphore"
)

// leftOf returns how much of s, of size bytes, is left.
func leftOf(s *semaphore.Weighted, size int) int {
	return sort.Search(size, func(n int) bool {
		more := !s.TryAcquire(int64(n + 1))
		if !more {
			s.Release(int64(n + 1))
		}
		return more
	})
}

// What a budget takes it takes of the memory as well, and gives back there. What it has already
// it swaps, where nothing else is left, too.
func TestBudget(t *testing.T) {
	memory := semaphore.NewWeighted(100)
	b := &budget{of: memory, left: 50}
	for _, test := range []struct {
		what     string
		do       func() bool
		done     bool
		left, of int
	}{
		{"to take more than it has", func() bool { return b.try(51) }, false, 50, 100},
		{"to take what it has", func() bool { return b.try(40) }, true, 10, 60},
		{"to swap for less", func() bool { return b.swap(40, 30) }, true, 20, 70},
		{"to swap for more than there is", func() bool { return b.swap(30, 51) }, false, 20, 70},
		{"to swap for all there is", func() bool { return b.swap(30, 50) }, true, 0, 50},
		{"to exceed", func() bool { return b.exceed(50) }, true, -50, 0},
		{"to exceed the memory", func() bool { return b.exceed(1) }, false, -50, 0},
		{"to swap for less while exceeded", func() bool { return b.swap(50, 40) }, true, -40, 10},
		{"to give back", func() bool { b.giveBack(90); return true }, true, 50, 100},
	} {
		if done := test.do(); done != test.done || b.left != test.left || leftOf(memory, 200) != test.of {
			t.Errorf("%s: %v, and %d and %d bytes are left", test.what, done, b.left, leftOf(memory, 200))
		}
	}
}

// Without memory for it a large head is refused over HTTP/1 and 2, and a small one
// served.
func TestNoMemory(t *testing.T) {
	t.Parallel()
	l := testLimits()
	l.memory = semaphore.NewWeighted(0)
	addr := serveWithin(t, l)
	large := strings.Repeat("a", 2*smallHead)
	for range 2 { // and what is refused leaves nothing taken
		for fields, status := range map[string]int{"": 200, "X: " + large + "\r\n": 503} {
			res, _, _ := roundTrip(t, addr, "GET", asking("/hello", fields))
			if res.StatusCode != status || (res.Header.Get("Retry-After") == "") != (status == 200) {
				t.Errorf("HTTP/1: %s, Retry-After %q, want %d", res.Status, res.Header.Get("Retry-After"), status)
			}
		}
	}
	const refs = 3 * smallHead / 33 // more than what the connection has of its own
	p := newHTTP2Peer(t, "tcp", addr, nil)
	p.send(http2Start+request(1, added("x", "")), cuts["whole"])
	p.await(1) // and so what it took of the connection's own memory is back
	p.send(request(3, slices.Repeat([]coded{indexed(62)}, refs)...), cuts["whole"])
	if got := p.await(3); got[1] != shown4+"x: \n" || !strings.HasPrefix(got[3], "503 ") {
		t.Errorf("HTTP/2: %v", got)
	}
	p = newHTTP2Peer(t, "tcp", addr, nil) // a large block
	p.send(http2Start+cutIntoFrames(1, smallHead, block(literal("x", large))), cuts["whole"])
	if p.await(0, 1); p.answers[1] != "" {
		t.Errorf("a large block gets %v", p.answers)
	}
	if left := leftOf(l.memory, 1<<20); left != 0 {
		t.Errorf("%d bytes are left of none", left)
	}
}

// A head of HTTP/2 takes of the connection's own memory first, then of what is shared,
// and all is given back.
func TestStreamsAreCharged(t *testing.T) {
	const all = 1 << 20
	l := testLimits()
	l.memory = semaphore.NewWeighted(all)
	h, dst := newTestHTTP2(l), make([]byte, 1<<20)
	for i := range 4 {
		h.feed(dst, []byte(request(2*i+1)))
	}
	stream := streamCost + headCopies*h.size
	begun := frameOf(headersFrame, 0, 9, block(asked4...))
	h.feed(dst, []byte(begun+frameOf(continuationFrame, 0, 9))) // small as yet
	if h.reserved > 0 || h.late == nil {
		t.Errorf("half a small block takes %d bytes, and has until %v", h.reserved, h.late)
	}
	h.feed(dst, []byte(frameOf(continuationFrame, 0, 9, block(literal("x", strings.Repeat("a", smallHead))))))
	if h.own.left != ownMemory-2*(stream+handlerCost) || leftOf(l.memory, all) != 1<<20-2*(stream+handlerCost)-headCopies*testHead {
		t.Errorf("%d and %d bytes are left", h.own.left, leftOf(l.memory, all))
	}
	h.feed(dst, []byte(frameOf(continuationFrame, endHeaders, 9)))
	for n := range uint64(5) {
		h.take(marked(n + 1)).free()
	}
	if h.own.left != ownMemory-2*stream || leftOf(l.memory, all) != 1<<20-2*stream-streamCost {
		t.Errorf("while the answers aren't taken, %d and %d bytes are left", h.own.left, leftOf(l.memory, all))
	}
	for n := range 3 { // in single bytes
		for _, b := range []byte(frameOf(headersFrame, endHeaders, 2*n+1, "\x88") + frameOf(dataFrame, endStream, 2*n+1, "a")) {
			h.streams.follow([]byte{b}, time.Now())
		}
	}
	h.streams.follow([]byte(frameOf(resetFrame, 0, 7, "\x00\x00\x00\x00")+frameOf(headersFrame, endHeaders|endStream, 99)), time.Now())
	h.feed(dst, []byte(reset(9)))
	if len(h.streams.open) != 1 {
		t.Errorf("behind a reset %d streams are open", len(h.streams.open))
	}
	h.none()
	if h.late != nil {
		t.Error("a whole block still has a time to end in")
	}
	if h.own.left != ownMemory || leftOf(l.memory, all) != 1<<20 {
		t.Errorf("at the end %d and %d bytes are left", h.own.left, leftOf(l.memory, all))
	}
}

// A stream that its client resets is over when net/http has taken note: when it has no stream,
// or a handler has a later request, and not when the reset comes or the handler is done.
func TestResetStreams(t *testing.T) {
	for _, test := range []struct {
		what string
		do   func(*http2)
		open int
	}{
		{"it is reset", func(h *http2) {}, 1},
		{"a handler is done with it", func(h *http2) { h.take(marked(1)).free() }, 1},
		{"a handler is, and net/http has none", func(h *http2) {
			h.take(marked(1))
			h.none()
		}, 0},
		{"net/http may not have begun it", func(h *http2) { h.none() }, 1},
		{"its context ends before its handler begins, and net/http has had none before", func(h *http2) {
			ctx, cancel := context.WithCancel(t.Context())
			h.none()
			cancel()
			h.take(marked(1).WithContext(ctx))
		}, 0},
		{"net/http has begun one behind it, and has none", func(h *http2) {
			h.feed(make([]byte, 1000), []byte(request(3)))
			h.none()
		}, 1},
		{"a later request is handled", func(h *http2) {
			h.feed(make([]byte, 1000), []byte(request(3)))
			h.take(marked(2))
		}, 1},
		{"one that came before the reset is handled", func(h *http2) {
			h.feed(make([]byte, 1000), []byte(request(3)+reset(3)+reset(1)))
			h.take(marked(2))
		}, 1},
	} {
		h := newTestHTTP2(testLimits())
		h.feed(make([]byte, 1000), []byte(request(1)+reset(1)))
		if test.do(h); len(h.streams.open) != test.open {
			t.Errorf("when %s, %d streams are open, want %d", test.what, len(h.streams.open), test.open)
		}
	}
}

// A request is charged as one whatever stream came before: net/http doesn't count one that is
// malformed.
func TestStreamsBehindTheLast(t *testing.T) {
	h := newTestHTTP2(testLimits())
	for _, id := range []int{1<<31 - 1, 1, 3} {
		h.feed(make([]byte, 1000), []byte(request(id)))
	}
	if len(h.streams.open) != 3 {
		t.Errorf("%d requests are recorded, want 3", len(h.streams.open))
	}
}

// A second request on a stream that is open or refused costs no other stream more than by net/http.
func TestStreamUsedTwice(t *testing.T) {
	t.Parallel()
	upper := frameOf(headersFrame, endHeaders|endStream, 1, block(asked4...), block(literal("X-Upper", "1")))
	open := frameOf(headersFrame, endHeaders, 1, block(asked4...))
	ours, stock := serveHTTP2(t)
	for what, raw := range map[string]string{
		"a second behind a later one":     request(3) + request(1),
		"a second on one that is open":    open + frameOf(headersFrame, endHeaders|endStream, 1, block(asked4...)),
		"a second on one that is refused": upper + request(1, literal("x", "2")),
	} {
		var got [2]map[int]string
		for i, addr := range []string{ours, stock} {
			p := newHTTP2Peer(t, "unix", addr, nil)
			p.send(http2Start+raw+request(101), cuts["whole"])
			got[i] = p.await(1, 101)
		}
		if got[0][101] != "" && got[0][101] != shown4 {
			t.Errorf("%s: the next shows %q", what, got[0][101])
		}
		for _, stream := range []int{0, 1} {
			before, shown, handled := strings.Cut(got[0][stream], "GET ") // which may come behind the next's answer
			stockBefore, _, _ := strings.Cut(got[1][stream], "GET ")
			if before != stockBefore || handled && "GET "+shown != shown4+"x: 2\n" {
				t.Errorf("%s: stream %d gets %q, and of net/http alone %q", what, stream, got[0][stream], got[1][stream])
			}
		}
	}
}

// Nothing is left of second requests of a number, taken or not, once net/http has no stream.
func TestSecondRequestsEnd(t *testing.T) {
	h, dst := newTestHTTP2(testLimits()), make([]byte, 1000)
	for n := 1; n < 50; n++ {
		h.feed(dst, []byte(request(2*n-1)+request(2*n-1)))
		if n%2 == 0 {
			h.take(marked(h.streams.last - 1)).free()
		}
		h.streams.follow([]byte(frameOf(resetFrame, 0, 2*n-1, "\x00\x00\x00\x00")), time.Now())
	}
	if h.none(); len(h.streams.open) > 0 || h.own.left != ownMemory || h.part.left != connMemory {
		t.Errorf("%d streams are open, %d and %d bytes left", len(h.streams.open), h.own.left, h.part.left)
	}
}

// A connection of HTTP/2 takes no more of the shared memory than its part. Past it a stream
// is refused, and one of another connection is not.
func TestConnectionsPart(t *testing.T) {
	const all = 1 << 30
	for size, most := range map[int]int{32 << 10: maxStreams, testHead - 1<<10: connMemory / (headCopies * (testHead - 1<<10))} {
		l := testLimits()
		l.memory = semaphore.NewWeighted(all)
		h, other := newTestHTTP2(l), newTestHTTP2(l)
		take := func(h *http2, n int, fields ...coded) *head {
			h.feed(make([]byte, 1<<20), []byte(request(2*n-1, fields...)))
			return h.take(marked(uint64(n)))
		}
		large := slices.Repeat([]coded{indexed(62)}, size/33)
		heads := []*head{take(h, 1, added("x", "")), take(other, 1, added("x", ""))}
		served := 0
		for n := range maxStreams {
			rec := take(h, n+2, large...)
			if rec.refused == 0 {
				served++
			}
			heads = append(heads, rec)
		}
		if rec := take(other, 2, large...); rec.refused != 0 {
			t.Errorf("heads of %d bytes: that of another connection is refused", size)
		} else {
			heads = append(heads, rec)
		}
		if served > most || served < most*4/5 || h.ended {
			t.Errorf("heads of %d bytes: %d of %d are served, want %d", size, served, maxStreams, most)
		}
		for _, rec := range heads {
			rec.free()
		}
		h.close()
		other.close()
		if part := h.part.left; leftOf(l.memory, all) != all || part != connMemory || h.own.left != ownMemory {
			t.Errorf("heads of %d bytes: at the end %d bytes are left, %d of the connection's part", size, leftOf(l.memory, all), part)
		}
	}
}

// The largest head is taken over HTTP/2, however large that is.
func TestLargestHead(t *testing.T) {
	for _, head := range []int{testHead, 8 << 20} {
		l := testLimits()
		l.head = head
		h, rest := newTestHTTP2(l), head
		for _, f := range []string{":method", "GET", ":path", "/hello", ":scheme", "http", ":authority", "localhost", "x"} {
			rest -= len(f)
		}
		raw := cutIntoFrames(1, 16000, block(indexed(2), literalOf(4, "/hello"), indexed(6), literalOf(1, "localhost"), literal("x", strings.Repeat("a", rest-5*fieldCost))))
		h.feed(make([]byte, 2*head), []byte(raw))
		if rec := h.take(marked(1)); rec == nil || rec.refused != 0 || len(rec.fields) != 5 {
			t.Errorf("with a limit of %d: %+v", head, rec)
		}
	}
}

// What net/http holds of trailers is bounded: those announced are charged, refused or not, and
// those that come are no larger than a head, and charged until their stream is over.
func TestTrailersAreCharged(t *testing.T) {
	h, dst := newTestHTTP2(testLimits()), make([]byte, 1<<20)
	names := literal("trailer", strings.Repeat("a,", 500))
	for n := 1; !h.ended; n++ {
		h.feed(dst, []byte(request(2*n-1, names)))
		if most := connMemory/(1000*announcedCost+streamCost) + 1; n > most {
			t.Fatalf("after %d announcements of at most %d the connection goes on", n, most)
		}
	}
	past := newTestHTTP2(testLimits())
	past.feed(dst, []byte(request(1, append(slices.Repeat([]coded{indexed(16)}, 3*testHead/60), names)...)))
	if taken := connMemory - past.part.left; taken < headCopies*2*testHead+1000*announcedCost {
		t.Errorf("an announcement past twice the limit takes %d bytes", taken)
	}
	for size, ends := range map[int]bool{testHead: false, testHead + 1: true} {
		h := newTestHTTP2(testLimits())
		trailer := block(literal("x", strings.Repeat("a", size-len("x")-fieldCost)))
		h.feed(dst, []byte(frameOf(headersFrame, endHeaders, 1, block(asked4...))+cutIntoFrames(1, 16000, trailer)))
		if taken := connMemory - h.part.left; h.ended != ends || taken != headCopies*size && !ends {
			t.Errorf("after trailers of %d bytes the connection ends: %v, with %d bytes taken", size, h.ended, taken)
		}
		h.streams.follow([]byte(frameOf(resetFrame, 0, 1)), time.Now())
		if h.part.left != connMemory || len(h.streams.open) > 0 {
			t.Errorf("at the end %d bytes are left", h.part.left)
		}
	}
}

// serveWithin serves within l, and returns the address.
func serveWithin(t *testing.T, l *limits) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := newServer(newHandler("none"), l)
	t.Cleanup(func() { srv.Close() })
	go srv.Serve(newListener(ln, nil, l))
	return ln.Addr().String()
}

// Answers that aren't taken are charged, with their handlers done as well.
func TestUnreadAnswers(t *testing.T) {
	t.Parallel()
	l := testLimits()
	l.memory = semaphore.NewWeighted(2*(streamCost+1<<10) + handlerCost)
	addr := serveWithin(t, l)
	p := newHTTP2Peer(t, "tcp", addr, nil)
	p.send(http2NoWindow, cuts["whole"])
	answered := 0 // without content, for want of a window
	for ; answered < maxStreams; answered++ {
		id := 2*answered + 1
		p.send(request(id), cuts["whole"])
		if !p.awaitHead(id) {
			break
		}
	}
	if want := 3 + 2; answered != want { // of the connection's own memory, and of the other
		t.Errorf("%d answers wait for their client, want %d", answered, want)
	}
	p = newHTTP2Peer(t, "tcp", addr, nil)
	p.send(http2Start, cuts["whole"])
	for id := 1; id < 40; id += 2 {
		p.send(request(id), cuts["whole"])
		if got := p.await(id); got[id] != shown4 {
			t.Fatalf("stream %d gets %v", id, got)
		}
	}
}

// Within a GOMEMLIMIT a connection on which a block of several frames came ends.
func TestLastBlock(t *testing.T) {
	t.Parallel()
	for _, bounded := range []bool{false, true} {
		l := testLimits()
		l.bounded = bounded
		p := newHTTP2Peer(t, "tcp", serveWithin(t, l), nil)
		p.send(http2Start+request(1)+cutIntoFrames(3, 16000, block(asked4...)+block(literal("x", strings.Repeat("a", 20000)))), cuts["whole"])
		p.await(1, 3)
		if !bounded {
			p.send(request(5), cuts["whole"])
			p.await(5)
		} else {
			p.await(0)
		}
		if (p.answers[0] != "") != bounded {
			t.Errorf("bounded: %v, the answers are %.200v", bounded, p.answers)
		}
	}
}

// A head of HTTP/1 pays what the largest takes while it comes, and then for itself. What
// is read behind it counts for the next.
func TestHeadPaysForItself(t *testing.T) {
	for _, size := range []int{smallHead + 1, testHead + 2*fieldCost} {
		const begin, end = "GET /hello HTTP/1.1\r\nHost: test\r\nX: ", "\r\n\r\n"
		raw := begin + strings.Repeat("a", size-len(begin+end)-4*fieldCost) + end
		c := newTestConn(newScript(raw+"GET", cuts["whole"]))
		c.limits.memory = semaphore.NewWeighted(1 << 20)
		for p := make([]byte, len(raw)); len(p) > 0; {
			n, err := c.Read(p)
			if err != nil {
				t.Fatal(err)
			}
			p = p[n:]
		}
		if left := leftOf(c.limits.memory, 1<<20); left != 1<<20-headCopies*testHead {
			t.Errorf("%d bytes are left while a head of %d comes", left, size)
		}
		if _, err := c.Read(make([]byte, 1)); err != nil {
			t.Errorf("the next request's first byte: %v", err)
		}
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(raw)))
		if err != nil {
			t.Fatal(err)
		}
		takeHead(r.WithContext(withConn(r.Context(), c)))
		if left := leftOf(c.limits.memory, 1<<20); left != 1<<20-headCopies*min(size, testHead) {
			t.Errorf("%d bytes are left with a head of %d", left, size)
		}
		c.Close()
		if left := leftOf(c.limits.memory, 1<<20); left != 1<<20 {
			t.Errorf("at the end %d bytes are left", left)
		}
	}
}

// Others run while a client sends without a pause, a body in small chunks as well.
func TestReadsYield(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	const head = "POST /hello HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n"
	body := strings.Repeat("1\r\na\r\n", 101*yieldBytes/6)
	c := newTestConn(newScript(head+body, func() int { return 100 }))
	io.ReadFull(c, make([]byte, len(head)))
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(head)))
	if err != nil {
		t.Fatal(err)
	}
	takeHead(r.WithContext(withConn(r.Context(), c)))
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
	l := testLimits()
	l.memory = semaphore.NewWeighted(all)
	h, dst := newTestHTTP2(l), make([]byte, 1<<20)
	h.feed(dst, []byte(frameOf(headersFrame, 0, 1, block(asked4...))))
	h.close()
	if n, _, err := h.feed(dst, []byte(frameOf(continuationFrame, endHeaders, 1, block(literal("x", "1"))))); n > 0 || err != io.EOF {
		t.Errorf("%d bytes are handed on, %v", n, err)
	}
	if len(h.streams.open) > 0 || leftOf(l.memory, all) != 1<<20 {
		t.Errorf("%d heads are kept, %d bytes left", len(h.streams.open), leftOf(l.memory, all))
	}
}
