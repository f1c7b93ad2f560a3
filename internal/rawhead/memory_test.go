package rawhead

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"slices"
	"sort"
	"strings"
	"testing"

	"golang.org/x/sync/semaphore"

	"httpserver/internal/frame"
	"httpserver/internal/head"
	"httpserver/internal/rawhead/http2"
	"httpserver/internal/wire"
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

// Without memory for it a large head is refused over HTTP/1 and 2, and a small one
// served.
func TestNoMemory(t *testing.T) {
	t.Parallel()
	memory := semaphore.NewWeighted(0)
	addr := serveWithin(t, memory)
	large := strings.Repeat("a", 2*smallHead)
	for range 2 { // and what is refused leaves nothing taken
		for fields, status := range map[string]int{"": 200, "X: " + large + "\r\n": 503} {
			res, _, _ := wire.RoundTrip(t, addr, "GET", wire.Asking("/hello", fields))
			if res.StatusCode != status || (res.Header.Get("Retry-After") == "") != (status == 200) {
				t.Errorf("HTTP/1: %s, Retry-After %q, want %d", res.Status, res.Header.Get("Retry-After"), status)
			}
		}
	}
	const refs = 3 * smallHead / 33 // more than what the connection has of its own
	p := wire.NewHTTP2Peer(t, "tcp", addr, nil)
	p.Send(wire.HTTP2Start+wire.Request(1, wire.Added("x", "")), wire.Cuts["whole"])
	p.Await(1) // and so what it took of the connection's own memory is back
	p.Send(wire.Request(3, slices.Repeat([]wire.Coded{wire.Indexed(62)}, refs)...), wire.Cuts["whole"])
	if got := p.Await(3); got[1] != wire.Shown4+"x: \n" || !strings.HasPrefix(got[3], "503 ") {
		t.Errorf("HTTP/2: %v", got)
	}
	p = wire.NewHTTP2Peer(t, "tcp", addr, nil) // a large block
	p.Send(wire.HTTP2Start+wire.CutIntoFrames(1, smallHead, wire.Block(wire.Literal("x", large))), wire.Cuts["whole"])
	if p.Await(0, 1); p.Answers[1] != "" {
		t.Errorf("a large block gets %v", p.Answers)
	}
	if left := leftOf(memory, 1<<20); left != 0 {
		t.Errorf("%d bytes are left of none", left)
	}
}

// Answers that aren't taken cost, with their handlers done as well.
func TestUnreadAnswers(t *testing.T) {
	t.Parallel()
	addr := serveWithin(t, semaphore.NewWeighted(2*requestCost))
	p := wire.NewHTTP2Peer(t, "tcp", addr, nil)
	p.Send(wire.HTTP2NoWindow, wire.Cuts["whole"])
	answered := 0 // without content, for want of a window
	for ; answered < testStreams; answered++ {
		id := 2*answered + 1
		p.Send(wire.Request(id), wire.Cuts["whole"])
		if !p.AwaitHead(id) {
			break
		}
	}
	if want := freeRequests + 2; answered != want {
		t.Errorf("%d answers wait for their client, want %d", answered, want)
	}
	p = wire.NewHTTP2Peer(t, "tcp", addr, nil)
	p.Send(wire.HTTP2Start, wire.Cuts["whole"])
	for id := 1; id < 40; id += 2 {
		p.Send(wire.Request(id), wire.Cuts["whole"])
		if got := p.Await(id); got[id] != wire.Shown4 {
			t.Fatalf("stream %d gets %v", id, got)
		}
	}
}

// Within a GOMEMLIMIT a connection on which a block of several frames came ends.
func TestLastBlock(t *testing.T) {
	t.Parallel()
	for _, bounded := range []bool{false, true} {
		var memory *semaphore.Weighted
		if bounded {
			memory = semaphore.NewWeighted(1 << 30)
		}
		p := wire.NewHTTP2Peer(t, "tcp", serveWithin(t, memory), nil)
		p.Send(wire.HTTP2Start+wire.Request(1)+wire.CutIntoFrames(3, 16000, wire.Block(wire.Asked4...)+wire.Block(wire.Literal("x", strings.Repeat("a", 20000)))), wire.Cuts["whole"])
		p.Await(1, 3)
		if !bounded {
			p.Send(wire.Request(5), wire.Cuts["whole"])
			p.Await(5)
		} else {
			p.Await(0)
		}
		if (p.Answers[0] != "") != bounded {
			t.Errorf("bounded: %v, the answers are %.200v", bounded, p.Answers)
		}
	}
}

// A head of HTTP/1 pays what the largest takes while it comes, and then for itself. What
// is read behind it counts for the next.
func TestHeadPaysForItself(t *testing.T) {
	for _, size := range []int{smallHead + 1, wire.TestHead + 2*head.FieldCost} {
		const begin, end = "GET /hello HTTP/1.1\r\nHost: test\r\nX: ", "\r\n\r\n"
		raw := begin + strings.Repeat("a", size-len(begin+end)-4*head.FieldCost) + end
		c := newTestConn(wire.NewScript(raw+"GET", wire.Cuts["whole"]))
		memory := semaphore.NewWeighted(1 << 20)
		c.account.memory = memory
		for p := make([]byte, len(raw)); len(p) > 0; {
			n, err := c.Read(p)
			if err != nil {
				t.Fatal(err)
			}
			p = p[n:]
		}
		if left := leftOf(memory, 1<<20); left != 1<<20-HeadCopies*wire.TestHead {
			t.Errorf("%d bytes are left while a head of %d comes", left, size)
		}
		if _, err := c.Read(make([]byte, 1)); err != nil {
			t.Errorf("the next request's first byte: %v", err)
		}
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(raw)))
		if err != nil {
			t.Fatal(err)
		}
		c.take(r)
		if left := leftOf(memory, 1<<20); left != 1<<20-HeadCopies*min(size, wire.TestHead) {
			t.Errorf("%d bytes are left with a head of %d", left, size)
		}
		c.Close()
		if left := leftOf(memory, 1<<20); left != 1<<20 {
			t.Errorf("at the end %d bytes are left", left)
		}
	}
}

// A request whose client is gone ends with its handler.
func TestHandlerEndsRequest(t *testing.T) {
	for gone, open := range map[bool]int{true: 1, false: 2} {
		c := newTestConn(wire.NewScript("", wire.Cuts["whole"]))
		c.http2 = http2.New(wire.TestHead, false, &c.account)
		c.http2.Feed(make([]byte, 1000), []byte(wire.Request(1)+wire.Request(3)))
		ctx, cancel := context.WithCancel(t.Context())
		if gone {
			cancel()
		}
		r := marked(1).WithContext(c.of.withConn(ctx, c))
		r.Body = http.NoBody
		c.of.ServeHTTP(wire.NewResponseWriter(), r)
		if c.account.open != open {
			t.Errorf("gone: %v, %d requests are open, want %d", gone, c.account.open, open)
		}
		cancel()
		c.Close()
	}
}

// A connection of HTTP/2 that ends for what it may not hold is told of.
func TestFailedConnection(t *testing.T) {
	type telling struct {
		why      string
		noMemory bool
	}
	var told []telling
	srv := newTestServer(semaphore.NewWeighted(0))
	srv.options.Refused = func(r Refusal) { told = append(told, telling{r.Reason, r.NoMemory}) }
	a := srv.account(new(wire.Script))
	if a.Block(smallHead + 1) {
		t.Error("a large block is taken")
	}
	a.Trailers(smallHead+1, 0)
	a.Trailers(wire.TestHead+1, 0)
	for range freeRequests + 1 {
		a.Request(1, 0)
	}
	a.memory = nil
	for range 2*testStreams + 1 - freeRequests {
		a.Request(1, 0)
	}
	want := []telling{{noMemoryForHead, true}, {"no memory for trailers", true},
		{"trailers over 65536 bytes, counting 32 more for each field", false}, {noMemoryForHead, true},
		{"over 200 requests at once, each to be refused", false}}
	if !slices.Equal(told, want) {
		t.Errorf("%v is told, want %v", told, want)
	}
}

// A block in progress keeps what it has acquired while net/http goes idle.
func TestIdleWithinABlock(t *testing.T) {
	memory := semaphore.NewWeighted(1 << 20)
	c := newConn(wire.NewScript(wire.HTTP2Start+wire.Request(1)+wire.FrameOf(frame.Headers, 0, 3, wire.Block(wire.Literal("x", strings.Repeat("a", smallHead)))), wire.Cuts["whole"]), newTestServer(memory))
	io.ReadFull(c, make([]byte, len(frame.Preface)))
	for range 20 {
		c.Read(make([]byte, 1<<10))
	}
	before := leftOf(memory, 1<<20)
	c.of.noteState(c, http.StateIdle)
	if left := leftOf(memory, 1<<20); before != 1<<20-HeadCopies*wire.TestHead || left != before {
		t.Errorf("%d bytes are left before, %d after", before, left)
	}
	c.Close()
}
