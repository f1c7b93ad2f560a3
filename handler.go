package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/pprof"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/golang/glog"
)

// maxBodyBytes is what /hello reads of a request's body before it answers 413.
const maxBodyBytes = 10 << 20

// A handler answers every request to the server and logs it.
type handler struct {
	mux      *http.ServeMux
	hostname string      // for Served-By
	stopping atomic.Bool // set by the first signal to stop, never cleared
}

func newHandler() *handler {
	hostname, err := os.Hostname()
	if err != nil {
		glog.Warningf("Served-By will say localhost: %v", err)
		hostname = "localhost"
	}
	h := &handler{mux: http.NewServeMux(), hostname: hostname}
	h.mux.HandleFunc("/hello", h.hello)
	h.mux.HandleFunc("/healthz", h.healthz)
	h.mux.HandleFunc("/debug/pprof/", pprof.Index)
	h.mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	h.mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	h.mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	h.mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	h.mux.HandleFunc("/", notFound)
	return h
}

// ServeHTTP logs the request, with its head at -v=4, and what was answered.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	if glog.V(4) {
		logHead(r)
	}
	if r.ContentLength < 0 || 0 < r.ContentLength && r.ContentLength <= maxBodyBytes {
		// Here and not in hello, because it takes net/http's own ResponseWriter
		// to let a client that sent too much read its 413.
		r.Body = http.MaxBytesReader(w, r.Body, maxBodyBytes)
	}
	rec := &recorder{ResponseWriter: w}
	defer func() { // after a panic too
		level := glog.Level(2)
		if r.URL.Path == "/healthz" {
			level = 3
		}
		if r.Method == http.MethodHead {
			rec.bytes = 0 // net/http takes the body but doesn't send it
		}
		if glog.V(level) {
			// glog cuts a line at 15,000 bytes; what a client chose is cut
			// first, so that the rest of the line stays.
			glog.Infof("%s %.1000q %d %d %v %.400q", r.RemoteAddr, requestLine(r),
				rec.status, rec.bytes, time.Since(start).Round(time.Microsecond), r.UserAgent())
		}
	}()
	if !strings.HasPrefix(r.URL.Path, "/") { // such as *, which ServeMux would answer itself
		notFound(rec, r)
	} else {
		h.mux.ServeHTTP(rec, r)
	}
	if rec.status == 0 {
		rec.status = http.StatusOK // net/http's word for a handler that wrote nothing
	}
}

// A recorder notes what is answered, for the request log.
type recorder struct {
	http.ResponseWriter
	status int   // 0 if there was none, after a panic
	bytes  int64 // of the body
}

// Unwrap lets http.ResponseController reach the connection: net/http/pprof
// moves the write deadline of a profile through it.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

func (r *recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(p []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	n, err := r.ResponseWriter.Write(p)
	r.bytes += int64(n)
	return n, err
}

// hello reads the request's body, drops it, and answers with the request's
// head.
func (h *handler) hello(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Served-By", h.hostname)
	w.Header().Set("Remote-Addr", r.RemoteAddr)
	if r.ContentLength != 0 {
		status, err := dropBody(r)
		// net/http began to count at the end of the head.
		http.NewResponseController(w).SetWriteDeadline(time.Now().Add(responseTimeout))
		if err != nil {
			http.Error(w, err.Error(), status)
			return
		}
	}
	b := appendHead(nil, r)
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Content-Length", strconv.Itoa(len(b)))
	w.Write(b)
}

// dropBody reads the body of r to its end. Where that fails it returns the
// status to answer with.
func dropBody(r *http.Request) (status int, err error) {
	tooLarge := fmt.Errorf("request body over %d bytes", maxBodyBytes)
	if r.ContentLength > maxBodyBytes {
		return http.StatusRequestEntityTooLarge, tooLarge
	}
	_, err = io.Copy(io.Discard, r.Body)
	switch {
	case err == nil:
		return 0, nil
	case errors.As(err, new(*http.MaxBytesError)):
		return http.StatusRequestEntityTooLarge, tooLarge
	case errors.Is(err, os.ErrDeadlineExceeded):
		return http.StatusRequestTimeout, fmt.Errorf("request not sent within %v", requestTimeout)
	default:
		return http.StatusBadRequest, fmt.Errorf("request body: %w", err)
	}
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

// requestLine returns the request line as in RFC 9112 section 3, for HTTP/2 as
// well.
func requestLine(r *http.Request) string {
	return r.Method + " " + r.RequestURI + " " + r.Proto
}

// appendHead appends the head of r as net/http hands it over, its lines ended
// by \n: the request line, the host, and the fields sorted by name. HTTP/2 field
// names are in lower case (RFC 9113 section 8.2).
func appendHead(b []byte, r *http.Request) []byte {
	appendLine := func(name, value string) {
		b = append(b, name...)
		b = append(b, ": "...)
		b = append(b, value...)
		b = append(b, '\n')
	}
	b = append(b, requestLine(r)...)
	b = append(b, '\n')
	if r.ProtoMajor == 2 {
		appendLine(":authority", r.Host)
	} else if r.Host != "" {
		appendLine("Host", r.Host)
	}
	for _, name := range slices.Sorted(maps.Keys(r.Header)) {
		values := r.Header[name]
		if r.ProtoMajor == 2 {
			name = strings.ToLower(name)
		}
		for _, value := range values {
			appendLine(name, value)
		}
	}
	return b
}

// logHead logs the head of r, each line quoted and on a log line of its own, so
// that nothing in it can pass for a line of the log. Credentials are masked.
func logHead(r *http.Request) {
	for line := range strings.Lines(string(appendHead(nil, r))) {
		line = strings.TrimSuffix(line, "\n")
		name, _, _ := strings.Cut(line, ":")
		switch strings.ToLower(name) {
		case "authorization", "proxy-authorization", "cookie", "set-cookie":
			line = name + ": ***"
		}
		glog.Infof("%s > %.3500q", r.RemoteAddr, line)
	}
}
