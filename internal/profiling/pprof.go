// Package profiling serves /debug/pprof/ to those who may ask, and takes profiles of the whole run.
package profiling

import (
	"fmt"
	"net/http"
	"net/http/pprof"
	"strconv"
	"time"
)

// This file holds /debug/pprof/: net/http/pprof's handlers, for those who may ask.

// maxSeconds is the longest profile. That its client went is not seen where that has sent
// something after the request.
const maxSeconds = 3600

// Handle has mux answer those whom access lets ask: "local" clients, or "all". A request for which
// isProxied isn't of a local client.
func Handle(mux *http.ServeMux, access string, isProxied func(*http.Request) bool) {
	for name, profile := range map[string]http.HandlerFunc{
		"":        pprof.Index, // and every named profile
		"cmdline": pprof.Cmdline,
		"profile": pprof.Profile,
		"symbol":  pprof.Symbol,
		"trace":   pprof.Trace,
	} {
		mux.HandleFunc("/debug/pprof/"+name, func(w http.ResponseWriter, r *http.Request) {
			if access == "local" {
				if why := denial(r, isProxied(r)); why != "" {
					http.Error(w, "profiles are for clients on this machine: "+why+"; -pprof=all opens them to all", http.StatusForbidden)
					return
				}
			}
			if text := r.URL.Query().Get("seconds"); text != "" {
				if seconds, err := strconv.ParseFloat(text, 64); err != nil || !(seconds > 0 && seconds <= maxSeconds) {
					http.Error(w, fmt.Sprintf("seconds=%.40q: want a number of seconds, up to %d", text, maxSeconds), http.StatusBadRequest)
					return
				}
			}
			timeout := r.Context().Value(http.ServerContextKey).(*http.Server).WriteTimeout
			pw := &profileWriter{w, timeout}
			pw.setDeadline(time.Time{})
			profile(pw, r)
			pw.setDeadline(time.Now().Add(timeout)) // for what net/http still has to write
		})
	}
}

// A profileWriter lets each Write take timeout, however long the profile lasts. One that
// fails ends the request's context, and so the profile. net/http/pprof would allow all the
// seconds asked for, too, and a trace that nobody reads grow until then.
type profileWriter struct {
	http.ResponseWriter
	timeout time.Duration
}

func (w *profileWriter) Write(p []byte) (int, error) {
	w.setDeadline(time.Now().Add(w.timeout))
	defer w.setDeadline(time.Time{}) // HTTP/2 ends a stream at it even while nothing is written
	return w.ResponseWriter.Write(p)
}

func (w *profileWriter) setDeadline(t time.Time) {
	http.NewResponseController(w.ResponseWriter).SetWriteDeadline(t)
}
