package rawhead

import (
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sync/semaphore"

	"httpserver/internal/rawhead/http2"
	"httpserver/internal/wire"
)

// A map of announced trailers, which takes 80 times what announces it, isn't held.
func TestAnnouncedTrailers(t *testing.T) {
	r, err := http.NewRequest("GET", "/hello", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	r.Trailer = http.Header{"A": nil}
	c := newTestConn(peer{})
	r = r.WithContext(c.of.withConn(r.Context(), c))
	c.of.ServeHTTP(wire.NewResponseWriter(), r)
	if r.Trailer != nil {
		t.Error("it is")
	}
}

// What net/http may hold for long of a request that is refused has no part in its head.
func TestRequestIsLetGo(t *testing.T) {
	long := strings.Repeat("a", 2*wire.TestHead)
	for name, test := range map[string]struct {
		fields []wire.Coded
		status int
	}{
		"refused":   {slices.Repeat([]wire.Coded{wire.Indexed(16)}, 200), 503},
		"too large": {slices.Repeat([]wire.Coded{wire.Literal("x", long[:15000])}, 5), 431},
	} {
		c := newTestConn(wire.NewScript("", wire.Cuts["whole"]))
		if test.status == 503 {
			c.account.memory = semaphore.NewWeighted(0)
		}
		h := http2.New(wire.TestHead, false, &c.account)
		c.http2 = h
		h.Feed(make([]byte, 1<<20), []byte(wire.CutIntoFrames(1, 16000, wire.Block(wire.Asked4...)+wire.Block(test.fields...))))
		r := httptest.NewRequest("GET", "/", nil)
		r.ProtoMajor, r.URL.Path = 2, "/nothing"
		if test.status == 431 {
			r.Method, r.Host, r.RequestURI = long, long, long
		}
		r.Header = http.Header{"X": {"1"}, "User-Agent": {long}, http.CanonicalHeaderKey(http2.Marker): {markerValue(1)}}
		r = r.WithContext(c.of.withConn(r.Context(), c))
		w := httptest.NewRecorder()
		c.of.ServeHTTP(w, r)
		h.Close()
		if held := len(r.Method) + len(r.Host) + len(r.RequestURI); w.Code != test.status || len(r.Header) != 0 || held > maxLine {
			t.Errorf("a %s head: %d, %d fields and %d bytes are left", name, w.Code, len(r.Header), held)
		}
	}
}

// What net/http may hold for long of a request whose handler has returned has no part in its head.
func TestHeadIsLetGo(t *testing.T) {
	c := newTestConn(wire.NewScript(wire.BenchRequest, wire.Cuts["whole"]))
	c.Read(make([]byte, 4096))
	r := benchRequestOf(t)
	shown := false
	c.of.handler = http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { shown = Of(r) != nil })
	r = r.WithContext(c.of.withConn(r.Context(), c))
	c.of.ServeHTTP(wire.NewResponseWriter(), r)
	if !shown || Of(r) != nil {
		t.Errorf("shown to the handler: %v; after it: %v", shown, Of(r) != nil)
	}
}

// A head that is refused within a line is told of once, and net/http reads no more.
func TestRefusedWithinALine(t *testing.T) {
	for _, size := range []int{1000, 4096} { // of what arrives at once
		synctest.Test(t, func(t *testing.T) {
			time.Sleep(time.Until(longAgo))
			client, server := net.Pipe()
			var told []int
			conns := make(wire.Stage, 1)
			defer close(conns)
			conns <- wire.HalfClosingPipe{Conn: server}
			o := Options{Refused: func(r Refusal) { told = append(told, r.Status) }}
			go Serve(newEcho(), conns, o)
			send(client, "GET / HTTP/1.1\r\nHost: a\r\n")
			raw := "X: " + strings.Repeat("a", 2*wire.TestHead)
			for raw != "" {
				n := min(size, len(raw))
				go client.Write([]byte(raw[:n]))
				synctest.Wait()
				raw = raw[n:]
			}
			client.Close()
			synctest.Wait()
			if len(told) != 1 || told[0] != http.StatusRequestHeaderFieldsTooLarge {
				t.Errorf("%d bytes at once: %v, want one answer of %d", size, told, http.StatusRequestHeaderFieldsTooLarge)
			}
		})
	}
}
