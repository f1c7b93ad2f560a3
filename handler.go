package main

import (
	"io"
	"net/http"
	"net/url"
	"os"
	"path"
	"strings"
	"sync/atomic"
	"time"

	"github.com/golang/glog"

	"httpserver/internal/head"
	"httpserver/internal/logging"
	"httpserver/internal/profiling"
	"httpserver/internal/rawhead"
)

// This file holds who answers what.

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
		logging.Later(0, func() { glog.Warningf("Served-By will say localhost: %v", err) })
		hostname = "localhost"
	}
	h := &handler{mux: http.NewServeMux(), hostname: []string{hostname}}
	h.mux.HandleFunc("/", notFound)
	h.mux.HandleFunc("GET /{$}", index)
	h.mux.HandleFunc(helloPath, h.hello)
	h.mux.HandleFunc(healthzPath, h.healthz)
	if access != "none" {
		profiling.Handle(h.mux, access, func(r *http.Request) bool { return headerOf(r) != nil })
	}
	return h
}

// ServeHTTP logs the request, with its head at -v=4, and what was answered.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.inFlight.Add(1)
	defer h.inFlight.Add(-1)
	rec := &recorder{ResponseWriter: w, head: rawhead.Of(r)}
	if h.stopping.Load() {
		w.Header().Set("Connection", "close") // over HTTP/2, net/http makes it a GOAWAY
	}
	defer dropCopies(r, rec.head)
	logHead(r, rec.head)
	if logged(r) {
		defer rec.log(r, time.Now()) // after a panic too
	}
	switch p := r.URL.Path; {
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

// asks says what may be asked for.
const asks = `/hello shows the head of the request as it arrived; every path below it too
  ?status=503       answers with a status, 200 to 599
  ?delay=1.5s       answers after a delay, up to 30s
  ?format=json      answers as JSON; so does "Accept: application/json"
/healthz answers ok, or 503 once the server is told to stop
/debug/pprof/ has the profiles, for those whom -pprof lets ask
`

// index is what people who type the address see, and load balancers that probe it.
func index(w http.ResponseWriter, _ *http.Request) {
	w.Header()["Content-Type"] = textType
	io.WriteString(w, asks+"\nThe log is on stderr, or in the folder that -log_dir names.\n")
}

func notFound(w http.ResponseWriter, _ *http.Request) {
	http.Error(w, "not found; try /hello, which takes ?status=, ?delay= and ?format=json, /healthz or /debug/pprof/", http.StatusNotFound)
}

// largeHead is the size from which on a request keeps no copies of its head, in bytes.
const largeHead = 4 << 10

// dropCopies has r hold no copy of h, if that is large, but what the log says of it: net/http holds
// r until the client has taken the whole answer.
func dropCopies(r *http.Request, h *head.Head) {
	if h == nil || h.Size() <= largeHead {
		return
	}
	agent := r.UserAgent()
	r.Header = http.Header{"User-Agent": {strings.Clone(agent[:min(len(agent), maxLoggedAgent)])}}
	r.URL = new(url.URL)
	for _, f := range h.Fields {
		if f.Name == ":path" {
			r.RequestURI = f.Value
		}
	}
}
