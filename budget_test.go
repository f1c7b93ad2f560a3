package main

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// Memory that is taken is waited for, until there is enough, or the waiter is gone.
func TestBudget(t *testing.T) {
	b := newBudget(10)
	if !b.try(7) || b.try(4) {
		t.Error("a try")
	}
	got := make(chan bool)
	go func() { got <- b.wait(10, nil) }()
	b.giveBack(1)
	b.giveBack(6)
	if !<-got || b.left != 0 {
		t.Errorf("%d bytes are left", b.left)
	}
	gone := make(chan struct{})
	go func() { got <- b.wait(1, gone) }()
	close(gone)
	if <-got {
		t.Error("there is none to have")
	}
}

// Without memory for it a large head is refused over HTTP/1 and 2, and a small one
// served.
func TestNoMemory(t *testing.T) {
	t.Parallel()
	l := testLimits()
	l.memory = newBudget(0)
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
	l.memory.mu.Lock()
	defer l.memory.mu.Unlock()
	if l.memory.left != 0 {
		t.Errorf("%d bytes are left of none", l.memory.left)
	}
}

// A head of HTTP/2 takes of the connection's own memory first, then of what is shared,
// and all is given back.
func TestStreamsAreCharged(t *testing.T) {
	l := testLimits()
	l.memory = newBudget(1 << 20)
	h, dst := newTestHTTP2(l), make([]byte, 1<<20)
	for i := range 4 {
		h.feed(dst, []byte(request(2*i+1)))
	}
	stream := streamCost + headCopies*h.size
	begun := frameOf(headersFrame, 0, 9, block(asked4...))
	h.feed(dst, []byte(begun+frameOf(continuationFrame, 0, 9))) // small as yet
	if h.taken > 0 || h.late == nil {
		t.Errorf("half a small block takes %d bytes, and has until %v", h.taken, h.late)
	}
	h.feed(dst, []byte(frameOf(continuationFrame, 0, 9, block(literal("x", strings.Repeat("a", smallHead))))))
	if h.own.left != ownMemory-2*(stream+handlerCost) || l.memory.left != 1<<20-2*(stream+handlerCost)-headCopies*testHead {
		t.Errorf("%d and %d bytes are left", h.own.left, l.memory.left)
	}
	h.feed(dst, []byte(frameOf(continuationFrame, endHeaders, 9)))
	for n := range uint64(5) {
		h.take(marked(n + 1)).free()
	}
	if h.own.left != ownMemory-2*stream || l.memory.left != 1<<20-2*stream-streamCost {
		t.Errorf("while the answers aren't taken, %d and %d bytes are left", h.own.left, l.memory.left)
	}
	for n := range 3 { // in single bytes
		for _, b := range []byte(frameOf(headersFrame, endHeaders, 2*n+1, "\x88") + frameOf(dataFrame, endStream, 2*n+1, "a")) {
			h.streams.follow([]byte{b})
		}
	}
	h.streams.follow([]byte(frameOf(resetFrame, 0, 7, "\x00\x00\x00\x00") + frameOf(headersFrame, endHeaders|endStream, 99)))
	h.feed(dst, []byte(reset(9)))
	if len(h.streams.open) != 1 {
		t.Errorf("behind a reset %d streams are open", len(h.streams.open))
	}
	h.none()
	if h.late != nil {
		t.Error("a whole block still has a time to end in")
	}
	if h.own.left != ownMemory || l.memory.left != 1<<20 {
		t.Errorf("at the end %d and %d bytes are left", h.own.left, l.memory.left)
	}
}

// A stream that its client resets is over when net/http has taken note: when it has no stream,
// or a handler has a later request, and not when the reset comes or the handler is done.
func TestResetStreams(t *testing.T) {
	over, cancel := context.WithCancel(t.Context())
	cancel()
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
		{"it was over before its handler began", func(h *http2) { h.take(marked(1).WithContext(over)) }, 0},
		{"no handler will have it", func(h *http2) { h.drop(time.Now()) }, 0},
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
	if len(h.records.waiting) != 3 {
		t.Errorf("%d requests are recorded, want 3", len(h.records.waiting))
	}
}

// Behind a second request on a stream that is open nothing more is taken.
func TestStreamUsedTwice(t *testing.T) {
	for again, ends := range map[string]bool{request(1): true, frameOf(headersFrame, endHeaders|endStream, 1, block(literal("x", "1"))): false} {
		h := newTestHTTP2(testLimits())
		h.feed(make([]byte, 1000), []byte(request(1)+again))
		if h.ended != ends {
			t.Errorf("after %q it ends: %v", again, h.ended)
		}
	}
}

// A connection of HTTP/2 takes no more of the shared memory than its part. Past it a stream
// is refused, and one of another connection is not.
func TestConnectionsPart(t *testing.T) {
	const all = 1 << 30
	for size, most := range map[int]int{32 << 10: maxStreams, testHead - 1<<10: connMemory / (headCopies * (testHead - 1<<10))} {
		l := testLimits()
		l.memory = newBudget(all)
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
		if part := h.shared.left; l.memory.left != all || part != connMemory || h.own.left != ownMemory {
			t.Errorf("heads of %d bytes: at the end %d bytes are left, %d of the connection's part", size, l.memory.left, part)
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
	for size, ends := range map[int]bool{testHead: false, testHead + 1: true} {
		h := newTestHTTP2(testLimits())
		trailer := block(literal("x", strings.Repeat("a", size-len("x")-fieldCost)))
		h.feed(dst, []byte(frameOf(headersFrame, endHeaders, 1, block(asked4...))+cutIntoFrames(1, 16000, trailer)))
		if taken := connMemory - h.shared.left; h.ended != ends || taken != headCopies*size && !ends {
			t.Errorf("after trailers of %d bytes the connection ends: %v, with %d bytes taken", size, h.ended, taken)
		}
		h.streams.follow([]byte(frameOf(resetFrame, 0, 1)))
		if h.shared.left != connMemory || len(h.streams.open) > 0 {
			t.Errorf("at the end %d bytes are left", h.shared.left)
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
	l.memory = newBudget(2*(streamCost+1<<10) + handlerCost)
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
		c.limits.memory = newBudget(1 << 20)
		for p := make([]byte, len(raw)); len(p) > 0; {
			n, err := c.Read(p)
			if err != nil {
				t.Fatal(err)
			}
			p = p[n:]
		}
		if left := c.limits.memory.left; left != 1<<20-headCopies*testHead {
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
		if left := c.limits.memory.left; left != 1<<20-headCopies*min(size, testHead) {
			t.Errorf("%d bytes are left with a head of %d", left, size)
		}
		c.Close()
		if left := c.limits.memory.left; left != 1<<20 {
			t.Errorf("at the end %d bytes are left", left)
		}
	}
}

// Others run before a large head is taken.
func TestLargeHeadsYield(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	yielded := 0
	for range 20 { // the scheduler doesn't prefer others each time
		var ran atomic.Bool
		go ran.Store(true)
		if err := newTestConn(newScript("", nil)).admit(smallHead + 1); err != nil {
			t.Fatal(err)
		}
		if ran.Load() {
			yielded++
		}
	}
	if yielded < 10 {
		t.Errorf("others ran before %d of 20 large heads", yielded)
	}
}

// A connection of HTTP/2 that is closed decodes nothing more.
func TestClosedFeed(t *testing.T) {
	l := testLimits()
	l.memory = newBudget(1 << 20)
	h, dst := newTestHTTP2(l), make([]byte, 1<<20)
	h.feed(dst, []byte(frameOf(headersFrame, 0, 1, block(asked4...))))
	h.close()
	if n, _, err := h.feed(dst, []byte(frameOf(continuationFrame, endHeaders, 1, block(literal("x", "1"))))); n > 0 || err != io.EOF {
		t.Errorf("%d bytes are handed on, %v", n, err)
	}
	if len(h.records.waiting) > 0 || l.memory.left != 1<<20 {
		t.Errorf("%d heads are kept, %d bytes left", len(h.records.waiting), l.memory.left)
	}
}
