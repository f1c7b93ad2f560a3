package overload

import (
	"context"
	"crypto/tls"
	"net"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// A hanging is a connection of which a test tells when it is closed.
type hanging struct {
	net.Conn
	closed bool
}

func (h *hanging) Read(p []byte) (int, error) { return 1, nil }

func (h *hanging) Close() error { h.closed = true; return nil }

// take gives nc a slot.
func take(ss *slots, nc net.Conn) *slot {
	s, err := ss.acquire(context.Background(), nc)
	if err != nil {
		panic(err)
	}
	return s
}

// A listener that is closed doesn't wait for a slot.
func TestCloseWithoutSlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ss, nc := newSlots(1), new(hanging)
		take(ss, new(hanging))
		take(ss, new(hanging)) // and so one is evicted, and not let go of
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := ss.acquire(ctx, nc); err != net.ErrClosed || !nc.closed {
			t.Errorf("%v, closed: %v", err, nc.closed)
		}
	})
}

// Who is cheapest to lose makes room, after a stay.
func TestSlots(t *testing.T) {
	answer := func(s *slot) { s.note(Served, time.Now()); s.note(Idle, time.Now()) }
	for _, test := range []struct {
		what string
		do   []func(*slot) // what the connections do, in turn
		gone []int         // which make room, in turn
	}{
		{"idle ones, by how long they are", []func(*slot){answer, answer, func(s *slot) {}}, []int{0, 1, 2}},
		{"silent ones before others, but for idle ones", []func(*slot){
			func(s *slot) { s.note(Served, time.Now()) }, func(s *slot) { s.Read(nil) }, func(s *slot) {}, answer}, []int{3, 2, 1, 0}},
		{"those that have sent a part, by how long ago", []func(*slot){
			func(s *slot) { s.Read(nil); time.Sleep(3 * stay); s.Read(nil) }, func(s *slot) { s.Read(nil) }}, []int{0, 1}},
		{"those that are served, by how long they are", []func(*slot){
			func(s *slot) { s.note(Served, time.Now()) }, func(s *slot) { s.note(Served, time.Now()) }}, []int{0, 1}},
	} {
		synctest.Test(t, func(t *testing.T) {
			ss := newSlots(len(test.do))
			var all []*slot
			for range test.do {
				all = append(all, take(ss, new(hanging)))
			}
			for i, do := range test.do {
				go func() {
					time.Sleep(time.Duration(i))
					do(all[i])
				}()
			}
			time.Sleep(time.Hour)
			var gone []int
			for range test.gone {
				s := take(ss, new(hanging))
				s.note(Served, time.Now()) // after all
				for i := range all {
					if all[i].Conn.(*hanging).closed && !slices.Contains(gone, i) {
						gone = append(gone, i)
						all[i].Close()
					}
				}
			}
			if !slices.Equal(gone, test.gone) {
				t.Errorf("%s: %v make room, want %v", test.what, gone, test.gone)
			}
		})
	}
}

// A connection that is closed is told apart from one that is evicted.
func TestClosed(t *testing.T) {
	for what, test := range map[string]struct {
		end     func(s *slot)
		evicted bool
	}{
		"closed":            {func(s *slot) { s.Close() }, false},
		"evicted":           {func(s *slot) { s.of.evict(s) }, true},
		"evicted, and then": {func(s *slot) { s.of.evict(s); s.Close(); s.Close() }, true},
	} {
		s := take(newSlots(1), new(hanging))
		select {
		case <-Closed(s):
			t.Errorf("%s: it is closed before", what)
		default:
		}
		if Evicted(s) {
			t.Errorf("%s: it is evicted before", what)
		}
		test.end(s)
		select {
		case <-Closed(s):
		default:
			t.Errorf("%s: it isn't closed", what)
		}
		if Evicted(s) != test.evicted {
			t.Errorf("%s: evicted: %v", what, Evicted(s))
		}
	}
}

// A connection that wants a slot waits until the cheapest has had its stay, or one is let go of.
func TestSlotsAreWaitedFor(t *testing.T) {
	for what, test := range map[string]struct {
		free func(*slot)
		want time.Duration
	}{
		"nothing happens":   {func(*slot) {}, stay},
		"one is let go of":  {func(s *slot) { s.Close() }, stay / 2},
		"it sends a part":   {func(s *slot) { s.Read(nil) }, stay * 3 / 2},
		"it has its answer": {func(s *slot) { s.note(Served, time.Now()); s.note(Idle, time.Now()) }, stay * 3 / 2},
	} {
		synctest.Test(t, func(t *testing.T) {
			ss, begin := newSlots(1), time.Now()
			first := take(ss, new(hanging))
			time.AfterFunc(stay/2, func() { test.free(first) })
			if take(ss, new(hanging)); time.Since(begin) != test.want {
				t.Errorf("when %s it waits for %v, want %v", what, time.Since(begin), test.want)
			}
		})
	}
}

// While most have sent nothing, they make room and not those that are served, or have begun.
func TestMostAreSilent(t *testing.T) {
	for _, state := range []State{Begun, Served} {
		synctest.Test(t, func(t *testing.T) {
			ss := newSlots(10)
			for range 4 {
				take(ss, new(hanging)).note(state, time.Now())
			}
			time.Sleep(time.Hour)
			for range 50 {
				take(ss, new(hanging)).of.mu.Lock() // lets go of those that are evicted
				ss.closing = 0
				ss.mu.Unlock()
			}
			kept := 0
			for _, s := range ss.held {
				if s.doing() == state {
					kept++
				}
			}
			if kept != 4 {
				t.Errorf("%d of 4 in state %d are kept", kept, state)
			}
		})
	}
}

// Those that are evicted and not let go of are an eighth of the others at most.
func TestEvictedCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ss := newSlots(16)
		var first *slot
		for range 16 + 16/8 + 1 {
			s := take(ss, new(hanging))
			if first == nil {
				first = s
			}
		}
		got := false
		go func() { take(ss, new(hanging)); got = true }()
		time.Sleep(time.Hour / 2)
		if got || ss.count() != 16+16/8+1 {
			t.Errorf("one more has a slot: %v, of %d", got, ss.count())
		}
		first.Close()
		if synctest.Wait(); !got {
			t.Error("it has none when one is let go of")
		}
		first.Close() // again
		if ss.closing != 16/8+1 || ss.count() != 16+16/8+1 {
			t.Errorf("%d are evicted, of %d", ss.closing, ss.count())
		}
	})
}

// What is noted of a connection is noted of the slot behind it. A silent one begins with what it sends.
func TestNoteState(t *testing.T) {
	s := take(newSlots(1), new(hanging))
	c := tls.Server(s, nil)
	for _, step := range []struct {
		do   func()
		want State
	}{
		{func() { Note(c, Begun) }, silent},
		{func() { s.Read(nil) }, Begun},
		{func() { Note(c, Served) }, Served},
		{func() { Note(c, Begun) }, Begun},
		{func() { Note(c, Idle) }, Idle},
	} {
		if step.do(); s.doing() != step.want {
			t.Errorf("state %d, want %d", s.doing(), step.want)
		}
	}
}

// The valve evicts as many as hold the excess, with those that are evicted already.
func TestEvictSome(t *testing.T) {
	ss := newSlots(100)
	for range 10 {
		take(ss, new(hanging)).note(Served, time.Now().Add(-stay))
	}
	take(ss, new(hanging)).note(Begun, time.Now().Add(time.Hour)) // has its stay
	for _, test := range []struct{ n, want int }{{0, 0}, {3, 3}, {3, 0}, {5, 2}, {100, 5}} {
		if got := ss.evictSome(test.n); got != test.want {
			t.Errorf("%d of %d are evicted, want %d", got, test.n, test.want)
		}
	}
}
