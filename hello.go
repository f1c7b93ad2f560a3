package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"httpserver/internal/head"
	"httpserver/internal/overload"
	"httpserver/internal/rawhead"
)

// This file holds /hello.

// What a request to /hello may ask for.
const (
	maxBodyBytes = 10 << 20 // of a body; past it the answer is 413
	maxDelay     = 30 * time.Second
)

// hello reads the request's body, drops it, and answers with the request's
// head, as text or as JSON, with the status and after the delay that its query
// asks for.
func (h *handler) hello(w http.ResponseWriter, r *http.Request) {
	rec, control := w.(*recorder), http.NewResponseController(w)
	ask := asked{status: http.StatusOK, json: prefersJSON(r.Header["Accept"])}
	status, query, err := http.StatusOK, r.URL.RawQuery, error(nil)
	hasBody := r.ContentLength != 0 || r.ProtoMajor == 2 && r.Header["Content-Length"] != nil // behind 0 bytes there may be trailers
	dropCopies(r, rec.head)
	// net/http counts the time to take the response from the end of the head. Over
	// HTTP/2 it resets the stream then, even if there is no response yet.
	if hasBody {
		control.SetWriteDeadline(time.Now().Add(requestTimeout + responseTimeout))
		status, err = dropBody(r)
		r.Trailer = nil // net/http's map takes 80 times its size
		if overload.Evicted(connOf(r)) {
			rec.abort(evicted)
		}
	}
	if err == nil {
		if err = ask.parse(query); err != nil {
			status = http.StatusBadRequest
		} else {
			status = ask.status
		}
	}
	if hasBody || ask.delay > 0 {
		control.SetWriteDeadline(time.Now().Add(ask.delay + responseTimeout))
	}
	if ask.delay > 0 && err == nil && !wait(r, ask.delay) {
		rec.abort(whyEnded(connOf(r), errors.New("ended before the answer")))
	}
	header := w.Header()
	header["Cache-Control"] = noStore
	header["Remote-Addr"] = []string{r.RemoteAddr}
	header["Served-By"] = h.hostname
	header["X-Content-Type-Options"] = noSniff
	proxied := headerOf(r)
	if proxied != nil {
		header["Proxy-Protocol"] = []string{proxied.V1()}
	}
	switch shown := rec.head.OrView(r); {
	case err != nil:
		rec.why = err.Error()
		rec.begin(status, textType, 0)
		fmt.Fprintln(rec, err)
	case ask.json:
		if rec.begin(status, jsonType, 0) {
			shown.WriteJSON(rec, r, func(j head.JSON) { h.writeMembers(j, r, proxied) })
		}
	default:
		trailers := trailerText(r)
		if rec.begin(status, textType, shown.TextLen(r)+len(trailers)) {
			shown.WriteText(rec, r)
			if trailers != nil {
				rec.Write(trailers)
			}
		}
	}
}

// trailerText returns the trailers of r behind an empty line, or nil where there are none.
func trailerText(r *http.Request) []byte {
	lines, fields := rawhead.Trailers(r)
	if lines == nil && fields == nil {
		return nil
	}
	text := append([]byte("\n"), lines...)
	for _, f := range fields {
		text = f.AppendTo(text)
	}
	return text
}

// Values of response fields, shared because net/http only reads them.
var (
	noStore  = []string{"no-store"}
	noSniff  = []string{"nosniff"}
	textType = []string{"text/plain; charset=utf-8"}
	jsonType = []string{"application/json"}
)

// wait waits for d. It reports false where the client goes, or its connection is evicted.
func wait(r *http.Request, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-r.Context().Done():
		return false
	case <-overload.Closed(connOf(r)): // r's context isn't done with that while the next request waits to be read
		return false
	}
}

// maxCounted is the longest body whose Content-Length net/http sets itself.
const maxCounted = 2048

// begin begins an answer with content, of length bytes where that isn't 0, and reports
// whether the content is to follow.
func (rec *recorder) begin(status int, contentType []string, length int) bool {
	rec.Header()["Content-Type"] = contentType
	hasContent := true
	switch status {
	case http.StatusNoContent, http.StatusResetContent, http.StatusNotModified:
		hasContent = false
	}
	if length > maxCounted && hasContent {
		rec.Header().Set("Content-Length", strconv.Itoa(length))
	}
	rec.WriteHeader(status)
	return hasContent
}

// What is looked at of a query, for its parsing to cost less than its reading.
const (
	maxParts    = 64 // between &; what comes after them asks for nothing
	maxDuration = 24 // bytes of the value of delay
)

// An asked is what a request to /hello asks for.
type asked struct {
	status int
	delay  time.Duration
	json   bool
}

// parse takes up what query asks for, or returns an error that says what may be asked for.
func (a *asked) parse(query string) (err error) {
	for n := 0; query != "" && n < maxParts; n++ {
		var part string
		part, query, _ = strings.Cut(query, "&")
		switch name, value, _ := strings.Cut(part, "="); name {
		case "status":
			a.status, err = strconv.Atoi(value)
			if err != nil || a.status < 200 || a.status > 599 {
				return fmt.Errorf("status=%.40q: want 200 to 599", value)
			}
		case "delay":
			a.delay, err = time.ParseDuration(value[:min(len(value), maxDuration)])
			if err != nil || a.delay < 0 || a.delay > maxDelay || len(value) > maxDuration {
				return fmt.Errorf("delay=%.40q: want 0s to %v, such as 1.5s or 200ms", value, maxDelay)
			}
		case "format":
			if value != "json" && value != "text" {
				return fmt.Errorf("format=%.40q: want json or text", value)
			}
			a.json = value == "json"
		}
	}
	return nil
}

// dropBody reads the body of r to its end, and returns the status to answer with.
func dropBody(r *http.Request) (status int, err error) {
	tooLarge := fmt.Errorf("request body over %d bytes", maxBodyBytes)
	if r.ContentLength > maxBodyBytes {
		return http.StatusRequestEntityTooLarge, tooLarge
	}
	_, err = io.Copy(io.Discard, http.MaxBytesReader(nil, r.Body, maxBodyBytes))
	switch {
	case err == nil:
		return http.StatusOK, nil
	case errors.As(err, new(*http.MaxBytesError)):
		return http.StatusRequestEntityTooLarge, tooLarge
	case errors.Is(err, os.ErrDeadlineExceeded):
		return http.StatusRequestTimeout, fmt.Errorf("request not sent within %v", requestTimeout)
	case strings.HasSuffix(err.Error(), cutTrailers):
		err = errors.New("trailers of over 4096 bytes, or not whole")
	}
	return http.StatusBadRequest, fmt.Errorf("request body: %w", err)
}

// cutTrailers is what net/http says of trailers over HTTP/1 that it doesn't get to the end of.
const cutTrailers = "suspiciously long trailer after chunked body"

// maxAccept is how long the values of Accept may be for them to be looked at, in bytes:
// over HTTP/2 a client sends as much as a head holds by a byte for every 4 KB.
const maxAccept = 1 << 10

// prefersJSON reports whether application/json is wanted by the values of Accept
// (RFC 9110 section 12.5.1), and named before any text. Clients that name both put
// first what they prefer.
func prefersJSON(accept []string) bool {
	all := strings.Join(accept, ",")
	if all == "*/*" || len(all) > maxAccept { // the first of most clients
		return false
	}
	for mediaRange := range strings.SplitSeq(all, ",") {
		if len(mediaRange) < len("text/*") { // there may be a thousand
			continue
		}
		name, params, _ := strings.Cut(strings.TrimSpace(mediaRange), ";")
		kind, subtype, _ := strings.Cut(strings.TrimSpace(name), "/")
		json := strings.EqualFold(kind, "application") && (subtype == "*" || strings.EqualFold(subtype, "json"))
		text := strings.EqualFold(kind, "text") && head.IsToken(subtype)
		if (json || text) && wanted(params) {
			return json
		}
	}
	return false
}

// wanted reports whether params, of a media range, are well formed, and give no quality of 0.
func wanted(params string) bool {
	for params != "" {
		var param string
		param, params, _ = strings.Cut(params, ";") // of quotes too, as is done at a comma
		name, value, _ := strings.Cut(param, "=")
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		if len(value) > 1 && value[0] == '"' && value[len(value)-1] == '"' {
			value = value[1 : len(value)-1]
		} else if !head.IsToken(value) {
			return false
		}
		if strings.EqualFold(name, "q") {
			if quality, err := strconv.ParseFloat(value, 64); err != nil || !(quality > 0) { // or NaN
				return false
			}
		} else if !head.IsToken(name) {
			return false
		}
	}
	return true
}
