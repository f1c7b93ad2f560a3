package main

import (
	"io"
	"log"
	"net/http"
	"os"
	"path"
	"strings"
	"sync/atomic"
	"time"

	"github.com/golang/glog"
)

// This file holds the http.Server with its limits, and who answers what.

// What a client may take of the server's time and memory.
const (
	headTimeout     = 10 * time.Second  // to send the head, or to agree on TLS
	requestTimeout  = 30 * time.Second  // to send the whole request
	responseTimeout = 30 * time.Second  // to take the response
	idleTimeout     = 120 * time.Second // between requests
)

// http2Slack is what net/http takes over HTTP/2 beyond MaxHeaderBytes.
const http2Slack = 10 * fieldCost

// How much net/http takes of the bodies on a connection of HTTP/2 before a handler reads them,
// which may be never, in bytes.
const (
	bodyWindow        = 512 << 10
	boundedBodyWindow = 64 << 10 // within a GOMEMLIMIT: the least that net/http knows
)

// newServer returns a server of h within the limits above and l, for HTTP/1 and HTTP/2,
// the latter by prior knowledge too. It is to serve a newListener.
func newServer(h *handler, l *limits) *http.Server {
	window := bodyWindow
	if l.bounded {
		window = boundedBodyWindow
	}
	srv := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: headTimeout,
		WriteTimeout:      responseTimeout,
		MaxHeaderBytes:    2*l.head + markerSize - http2Slack, // for the handler to refuse over HTTP/2; over HTTP/1 the conn does
		ErrorLog:          log.New(logWriter{}, "", 0),
		Protocols:         new(http.Protocols),
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams:      l.streams,
			MaxReadFrameSize:          maxFrame,
			MaxDecoderHeaderTableSize: tableSize,

			MaxReceiveBufferPerConnection: window,
			MaxReceiveBufferPerStream:     window,
		},

		ConnContext: withConn,
		ConnState:   noteState,

		// OPTIONS * is for our handler as well, so that it gets into the log.
		DisableGeneralOptionsHandler: true,
	}
	boundFields(srv)
	srv.Protocols.SetHTTP1(true)
	srv.Protocols.SetHTTP2(true)
	srv.Protocols.SetUnencryptedHTTP2(true)
	withoutIdleTimer(srv)
	srv.ReadTimeout, srv.IdleTimeout = requestTimeout, idleTimeout
	return srv
}

const (
	helloPath   = "/hello"
	healthzPath = "/healthz" // asked every few seconds by whoever watches the server
)

// A handler answers every request to the server and logs it.
type handler struct {
	mux      *http.ServeMux
	hostname []string    // of this machine, as the value of Served-By
	stopping atomic.Bool // set by the first signal to stop, never cleared
	inFlight atomic.Int64
}

// newHandler returns a handler that lets profiles be asked for as access says:
// by "local" clients, by "all", or by "none".
func newHandler(access string) *handler {
	hostname, err := os.Hostname()
	if err != nil {
		later(0, func() { glog.Warningf("Served-By will say localhost: %v", err) })
		hostname = "localhost"
	}
	h := &handler{mux: http.NewServeMux(), hostname: []string{hostname}}
	h.mux.HandleFunc("/", notFound)
	h.mux.HandleFunc(helloPath, h.hello)
	h.mux.HandleFunc(healthzPath, h.healthz)
	if access != "none" {
		handleProfiles(h.mux, access)
	}
	return h
}

// ServeHTTP logs the request, with its head at -v=4, and what was answered.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.inFlight.Add(1)
	defer h.inFlight.Add(-1)
	rec := &recorder{ResponseWriter: w, head: takeHead(r)}
	if h.stopping.Load() || rec.head != nil && rec.head.last {
		w.Header().Set("Connection", "close") // over HTTP/2, net/http makes it a GOAWAY
	}
	r.Trailer = nil // what is announced, in 80 times its size
	defer func() {
		rec.head.replaceIn(r)
		freeHead(r, rec.head)
	}()
	if glog.V(4) {
		logHead(r, rec.head.orView(r))
	}
	if glog.V(logLevel(r)) {
		defer rec.log(r, time.Now()) // after a panic too
	}
	switch p := r.URL.Path; {
	case rec.head != nil && rec.head.refused != 0:
		if rec.head.refused == http.StatusServiceUnavailable {
			w.Header().Set("Retry-After", "1")
		}
		http.Error(rec, rec.head.why, rec.head.refused)
	case !strings.HasPrefix(p, "/"): // such as *, which ServeMux would answer itself
		notFound(rec, r)
	case isHello(p) || isHello(path.Clean(p)): // ServeMux would redirect from some, and hide what arrived
		r.URL.Path = helloPath
		fallthrough
	default:
		h.mux.ServeHTTP(rec, r)
	}
}

// isHello reports whether p is helloPath or below it, with any number of slashes before
// it: a proxy that puts one too many is what a user looks for.
func isHello(p string) bool {
	for strings.HasPrefix(p, "//") {
		p = p[1:]
	}
	return p == helloPath || strings.HasPrefix(p, helloPath+"/")
}

func (h *handler) healthz(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "method not allowed; use GET or HEAD", http.StatusMethodNotAllowed)
	case h.stopping.Load():
		http.Error(w, "shutting down", http.StatusServiceUnavailable)
	default:
		io.WriteString(w, "ok\n")
	}
}

func notFound(w http.ResponseWriter, _ *http.Request) {
	http.Error(w, "not found; try /hello, /healthz or /debug/pprof/", http.StatusNotFound)
}
