package main

import (
	"fmt"
	"iter"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/golang/glog"

	"httpserver/internal/head"
	"httpserver/internal/logging"
	"httpserver/internal/overload"
	"httpserver/internal/proxyprotocol"
	"httpserver/internal/rawhead"
)

// This file holds what the log says of requests. glog cuts a line at 15,000 bytes, and
// what a client chose is to be cut first, so that the rest stays: a byte quoted
// takes 4 at most, a rune 10.

// verbose reports whether lines of a level are logged, by -v or by -vmodule=requestlog=N. It isn't inlined:
// glog looks for the file of the compiled function that asks.
//
//go:noinline
func verbose(level glog.Level) bool { return bool(glog.V(level)) }

// logged reports whether r is logged.
func logged(r *http.Request) bool {
	if r.URL.Path == healthzPath {
		return verbose(3)
	}
	return verbose(2)
}

// A recorder is the ResponseWriter of every handler here. It notes what is answered,
// for the log, and holds the request's head.
type recorder struct {
	http.ResponseWriter
	head   *head.Head // as it arrived; nil if that isn't known
	status int        // 0 if there was none, after a panic
	bytes  int64      // of the body
	why    string     // the request is refused, for the log; or ""
}

// Unwrap lets http.ResponseController reach the connection: a profile's write deadline
// is moved through it.
func (rec *recorder) Unwrap() http.ResponseWriter { return rec.ResponseWriter }

// abort ends the handler without an answer, and says why in the log.
func (rec *recorder) abort(why string) {
	rec.why = why
	panic(http.ErrAbortHandler) // or net/http would answer 200
}

func (rec *recorder) WriteHeader(status int) {
	if rec.status == 0 {
		rec.status = status
	}
	rec.ResponseWriter.WriteHeader(status)
}

func (rec *recorder) Write(p []byte) (int, error) {
	if rec.status == 0 {
		rec.status = http.StatusOK
	}
	n, err := rec.ResponseWriter.Write(p)
	rec.bytes += int64(n)
	return n, err
}

// log logs r, begun at start, and what was answered.
func (rec *recorder) log(r *http.Request, start time.Time) {
	if r.Method == http.MethodHead {
		rec.bytes = 0 // net/http takes the body but doesn't send it
	}
	peer, line, agent := peerOf(r.RemoteAddr, headerOf(r)), logging.Quote(logging.MaskQuery(cut(head.RequestLine(r))), maxLoggedLine), logging.Quote(r.UserAgent(), maxLoggedAgent)
	why := ""
	if rec.why != "" {
		why = ": " + rec.why[:min(len(rec.why), maxLoggedReason)]
	}
	status, bytes, took := rec.status, rec.bytes, time.Since(start).Round(time.Microsecond)
	logging.Later(len(line)+len(agent)+len(why), func() { glog.Infof("%s %s %d %d %v %s%s", peer, line, status, bytes, took, agent, why) })
}

// logRefused logs a request that no handler got.
func logRefused(r rawhead.Refusal) {
	if !verbose(2) {
		return
	}
	peer := peerOf(r.Conn.RemoteAddr().String(), proxyprotocol.Of(r.Conn))
	if verbose(4) && r.Head != nil {
		logLines(peer, r.Head)
	}
	line := "(first line unknown)"
	if r.Line != nil {
		line = logging.Quote(logging.MaskFirstLine(string(r.Line)), maxLoggedLine)
	}
	r.Reason = r.Reason[:min(len(r.Reason), maxLoggedReason)] // may quote what the client sent
	if r.Status == http.StatusRequestHeaderFieldsTooLarge {
		r.Reason += "; -maxhead says how large"
	}
	what := "ended"
	if r.Status != 0 {
		what = strconv.Itoa(r.Status) + " refused"
	}
	reason := r.Reason
	logging.Later(len(line)+len(reason), func() { glog.Infof("%s %s %s: %s", peer, line, what, reason) })
}

// logHandshake logs a TLS handshake that failed.
func logHandshake(nc net.Conn, err error) {
	peer, why := peerOf(nc.RemoteAddr().String(), proxyprotocol.Of(nc)), fmt.Sprintf("%.*s", maxLoggedLine, whyEnded(nc, err))
	if strings.HasSuffix(why, "tls: bad record MAC") {
		why += ": the client may not trust the certificate" // its alert isn't encrypted
	}
	logging.Later(len(why), func() { glog.Errorf("TLS handshake with %s: %s", peer, why) })
}

// evicted is why a connection ended that was evicted.
const evicted = "closed to make room"

// whyEnded says why nc ended, whose Read returned err.
func whyEnded(nc net.Conn, err error) string {
	if overload.Evicted(nc) {
		return evicted
	}
	return err.Error()
}

// peerOf returns peer, and for whom a proxy there says that it connects by h, or nil.
func peerOf(peer string, h *proxyprotocol.Header) string {
	if h != nil && h.Source() != "" {
		peer += " (for " + h.Source() + ")"
	}
	return peer
}

// headerOf returns the PROXY protocol header that r's connection began with, or nil.
func headerOf(r *http.Request) *proxyprotocol.Header {
	if *proxyProto == "off" {
		return nil
	}
	return proxyprotocol.Of(connOf(r))
}

// cut returns as much of a request line as is logged, for masking to cost no more than that.
func cut(line string) string { return line[:min(len(line), maxLoggedLine)] }

// How much is logged of what a client sends, in bytes.
const (
	maxLoggedLine  = 1000 // of a request line
	maxLoggedAgent = 400  // of a User-Agent
	maxLoggedField = 1400 // of a line of a head

	maxLoggedReason = 200 // of why a request was refused
)

// logHead logs at -v=4 the head of r, which is h or else net/http's view.
func logHead(r *http.Request, h *head.Head) {
	if verbose(4) {
		logLines(peerOf(r.RemoteAddr, headerOf(r)), h.OrView(r).Lines(r))
	}
}

// logLines logs the lines of a head, each quoted and on a log line of its own, so that nothing in it can
// pass for a line of the log. Credentials are masked.
func logLines(peer string, lines iter.Seq[string]) {
	isFirst, wasMasked := true, false
	for line := range lines {
		line = strings.TrimSuffix(line, "\n")
		switch folded := strings.HasPrefix(line, " ") || strings.HasPrefix(line, "\t"); {
		case isFirst:
			line, isFirst = logging.MaskFirstLine(line), false
		case folded && wasMasked:
			line = " ***"
		case !folded:
			line, wasMasked = logging.MaskField(line)
		}
		line = logging.Quote(line, maxLoggedField)
		logging.Later(len(line), func() { glog.Infof("%s > %s", peer, line) })
	}
}
