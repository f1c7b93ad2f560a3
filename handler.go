package main

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"net/http/pprof"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/golang/glog"
)

// What a request to /hello may ask for.
const (
	maxBodyBytes = 10 << 20 // of a body; past it the answer is 413
	maxDelay     = 30 * time.Second
)

// A handler answers every request to the server and logs it.
type handler struct {
	mux      *http.ServeMux
	hostname string      // of this machine
	stopping atomic.Bool // set by the first signal to stop, never cleared
	inFlight atomic.Int64
}

// newHandler returns a handler that lets profiles be asked for as access says:
// by "local" clients, by "all", or by "none".
func newHandler(access string) *handler {
	hostname, err := os.Hostname()
	if err != nil {
		glog.Warningf("Served-By will say localhost: %v", err)
		hostname = "localhost"
	}
	h := &handler{mux: http.NewServeMux(), hostname: hostname}
	h.mux.HandleFunc("/", notFound)
	h.mux.HandleFunc("/hello", h.hello)
	h.mux.HandleFunc("/healthz", h.healthz)
	if access == "none" {
		return h
	}
	for name, profile := range map[string]http.HandlerFunc{
		"":        pprof.Index, // and every named profile
		"cmdline": pprof.Cmdline,
		"profile": pprof.Profile,
		"symbol":  pprof.Symbol,
		"trace":   pprof.Trace,
	} {
		h.mux.HandleFunc("/debug/pprof/"+name, func(w http.ResponseWriter, r *http.Request) {
			if access == "local" && !isLocal(r) {
				http.Error(w, "profiles are for clients on this machine; -pprof=all opens them to all", http.StatusForbidden)
				return
			}
			profile(w, r)
		})
	}
	return h
}

// isLocal reports whether r comes from this machine, by three signs that only
// count together. The peer is loopback. The Host is too: a page in a browser here
// may have its own name resolve to this machine (DNS rebinding), but the name
// gives it away. And no proxy passed the request on: one on this machine makes
// everyone's peer loopback. Proxies add a field; nginx, unless told to, doesn't,
// but speaks HTTP/1.0 with a Connection: close that clients leave out.
func isLocal(r *http.Request) bool {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !peer.Addr().IsLoopback() {
		return false
	}
	host := (&url.URL{Host: r.Host}).Hostname()
	addr, err := netip.ParseAddr(host)
	if !strings.EqualFold(strings.TrimSuffix(host, "."), "localhost") && (err != nil || !addr.IsLoopback()) {
		return false
	}
	for name := range r.Header {
		if name == "Forwarded" || name == "Via" || name == "X-Real-Ip" || strings.HasPrefix(name, "X-Forwarded-") {
			return false
		}
	}
	return r.ProtoAtLeast(1, 1) || !strings.Contains(strings.ToLower(r.Header.Get("Connection")), "close")
}

// ServeHTTP logs the request, with its head at -v=4, and what was answered.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.inFlight.Add(1)
	defer h.inFlight.Add(-1)
	if h.stopping.Load() {
		w.Header().Set("Connection", "close") // over HTTP/2, net/http makes it a GOAWAY
	}
	rec := &recorder{ResponseWriter: w, conn: connOf(r)}
	if rec.conn != nil {
		r.TLS = rec.conn.tlsState
		rec.head = rec.conn.takeHead(r.ContentLength)
		defer freeBuffer(rec.head)
	}
	if glog.V(4) {
		logHead(r.RemoteAddr, string(headText(rec.head, r)))
	}
	level := glog.Level(2)
	if r.URL.Path == "/healthz" {
		level = 3
	}
	if glog.V(level) {
		defer rec.log(r, time.Now()) // after a panic too
	}

	if !strings.HasPrefix(r.URL.Path, "/") { // such as *, which ServeMux would answer itself
		notFound(rec, r)
	} else {
		h.mux.ServeHTTP(rec, r)
	}
}

// A recorder is the ResponseWriter of every handler here. It holds the request's
// head, for hello, and notes what is answered, for the log.
type recorder struct {
	http.ResponseWriter
	conn   *conn   // nil if it isn't one that keeps heads
	head   *buffer // as it arrived; nil if that isn't known
	status int     // 0 if there was none, after a panic
	bytes  int64   // of the body
}

// Unwrap lets http.ResponseController reach the connection: net/http/pprof
// moves the write deadline of a profile through it.
func (rec *recorder) Unwrap() http.ResponseWriter { return rec.ResponseWriter }

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
	line := buffers.Get().(*buffer)
	defer freeBuffer(line)
	b := append(*line, r.RemoteAddr...)
	b = appendQuoted(append(b, ' '), requestLine(r), 1000)
	b = strconv.AppendInt(append(b, ' '), int64(rec.status), 10)
	b = strconv.AppendInt(append(b, ' '), rec.bytes, 10)
	b = strconv.AppendInt(append(b, ' '), time.Since(start).Microseconds(), 10)
	*line = appendQuoted(append(b, "µs "...), r.UserAgent(), 400)
	glog.Info(line)
}

// Format has glog print b without a copy of it.
func (b *buffer) Format(s fmt.State, _ rune) { s.Write(*b) }

// appendQuoted appends s to b as a Go string literal, cut after most bytes: glog
// cuts a line at 15,000, and what a client chose is to be cut first, so that the
// rest stays.
func appendQuoted(b []byte, s string, most int) []byte {
	s = s[:min(len(s), most)]
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			return strconv.AppendQuote(b, s)
		}
	}
	return append(append(append(b, '"'), s...), '"') // the same, in a tenth of the time
}

// hello reads the request's body, drops it, and answers with the request's
// head, as text or as JSON, with the status and after the delay that its query
// asks for.
func (h *handler) hello(w http.ResponseWriter, r *http.Request) {
	rec, deadline := w.(*recorder), http.NewResponseController(w)
	var (
		status = http.StatusOK
		delay  time.Duration
		err    error
	)
	// net/http counts the time to take the response from the end of the head. Over
	// HTTP/2 it resets the stream then, even if there is no response yet.
	if r.ContentLength != 0 {
		deadline.SetWriteDeadline(time.Now().Add(requestTimeout + responseTimeout))
		status, err = dropBody(r)
	}
	if err == nil {
		status, delay, err = asked(r.URL.RawQuery)
	}
	if r.ContentLength != 0 || delay > 0 {
		deadline.SetWriteDeadline(time.Now().Add(delay + responseTimeout))
	}
	if delay > 0 {
		select {
		case <-time.After(delay):
		case <-r.Context().Done(): // the client went
			panic(http.ErrAbortHandler) // or net/http would answer 200
		}
	}
	if err != nil {
		h.answer(rec, r, status, textType, []byte(err.Error()+"\n"))
		return
	}
	text := headText(rec.head, r)
	if prefersJSON(r.Header["Accept"]) {
		h.answer(rec, r, status, jsonType, h.headJSON(string(text), r))
	} else {
		h.answer(rec, r, status, textType, text)
	}
}

// asked returns the status and the delay that query asks for, 200 and none if it
// doesn't, or 400 and an error that says what may be asked for.
func asked(query string) (status int, delay time.Duration, err error) {
	status = http.StatusOK
	for part := range strings.SplitSeq(query, "&") {
		switch name, value, _ := strings.Cut(part, "="); name {
		case "status":
			status, err = strconv.Atoi(value)
			if err != nil || status < 200 || status > 599 {
				return http.StatusBadRequest, 0, fmt.Errorf("status=%.40q: want 200 to 599", value)
			}
		case "delay":
			delay, err = time.ParseDuration(value)
			if err != nil || delay < 0 || delay > maxDelay {
				return http.StatusBadRequest, 0, fmt.Errorf("delay=%.40q: want 0s to %v, such as 1.5s or 200ms", value, maxDelay)
			}
		}
	}
	return status, delay, nil
}

// Values of Content-Type, shared because net/http only reads them.
var (
	textType = []string{"text/plain; charset=utf-8"}
	jsonType = []string{"application/json"}
)

// answer answers with body, and with the fields that say who answered and whom.
func (h *handler) answer(rec *recorder, r *http.Request, status int, contentType []string, body []byte) {
	header, c := rec.Header(), rec.conn
	if c == nil || c.fields == "" {
		for _, field := range [][2]string{
			{"Cache-Control", "no-store"},
			{"Remote-Addr", r.RemoteAddr},
			{"Served-By", h.hostname},
			{"X-Content-Type-Options", "nosniff"},
		} {
			if c == nil {
				header.Set(field[0], field[1])
			} else {
				c.fields += field[0] + ": " + field[1] + "\r\n"
			}
		}
	}
	if c != nil {
		c.addFields = true
	}
	header["Content-Type"] = contentType
	switch status {
	case http.StatusNoContent, http.StatusResetContent, http.StatusNotModified: // have no content
		body = nil
	}
	if len(body) > 2048 { // net/http says itself how long one is that fits its buffer
		header.Set("Content-Length", strconv.Itoa(len(body)))
	}
	rec.WriteHeader(status)
	if body != nil {
		rec.Write(body)
	}
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

// headText returns the head of r: the one kept as it arrived, or net/http's view
// where there is none or it can't be r's, because the request line differs.
func headText(kept *buffer, r *http.Request) []byte {
	if kept != nil {
		if line, _, _ := bytes.Cut(*kept, []byte("\n")); string(line) == requestLine(r) {
			return *kept
		}
	}
	return viewHead(r)
}

// viewHead returns the head of r as net/http hands it over, its lines ended by \n:
// the request line, the host, and the fields sorted by name. HTTP/2 field names are
// in lower case (RFC 9113 section 8.2).
func viewHead(r *http.Request) []byte {
	var b bytes.Buffer
	fmt.Fprintln(&b, requestLine(r))
	if r.ProtoMajor == 2 && r.Host != "" {
		fmt.Fprintf(&b, ":authority: %s\n", r.Host)
	} else if r.Host != "" {
		fmt.Fprintf(&b, "Host: %s\n", r.Host)
	}
	names := slices.SortedFunc(maps.Keys(r.Header), func(a, b string) int {
		return strings.Compare(strings.ToLower(a), strings.ToLower(b))
	})
	for _, name := range names {
		shown := name
		if r.ProtoMajor == 2 {
			shown = strings.ToLower(name)
		}
		for _, value := range r.Header[name] {
			fmt.Fprintf(&b, "%s: %s\n", shown, value)
		}
	}
	return b.Bytes()
}

// credentials names the fields whose values are not for the log.
var credentials = []string{"authorization", "proxy-authorization", "cookie", "set-cookie"}

// logHead logs a head, each line quoted and on a log line of its own, so that
// nothing in it can pass for a line of the log. Credentials are masked.
func logHead(peer, head string) {
	masked := false
	for line := range strings.Lines(head) {
		line = strings.TrimSuffix(line, "\n")
		name, _ := cutField(line)
		switch folded := strings.HasPrefix(line, " ") || strings.HasPrefix(line, "\t"); {
		case folded && masked:
			line = " ***"
		case !folded:
			masked = slices.Contains(credentials, strings.ToLower(name))
			if masked {
				line = name + ": ***"
			}
		}
		glog.Infof("%s > %s", peer, appendQuoted(nil, line, 1400))
	}
}

// cutField cuts a field line into name and value. A name may begin with a colon,
// as :authority does.
func cutField(line string) (name, value string) {
	name, value, _ = strings.Cut(line[1:], ":")
	return line[:1] + name, strings.Trim(value, " \t")
}

// prefersJSON reports whether the values of Accept name application/json, or all
// of application, with a quality no less than that of text/plain (RFC 9110
// section 12.5.1).
func prefersJSON(accept []string) bool {
	all := strings.Join(accept, ",")
	if all == "*/*" { // what clients send that don't care
		return false
	}
	qualities := make(map[string]float64)
	for part := range strings.SplitSeq(all, ",") {
		mediaRange, params, err := mime.ParseMediaType(part)
		quality := 1.0
		if q, ok := params["q"]; ok && err == nil {
			quality, err = strconv.ParseFloat(q, 64)
		}
		if err == nil {
			qualities[mediaRange] = quality
		}
	}
	quality := func(ranges ...string) float64 { // the most specific counts
		for _, r := range ranges {
			if q, ok := qualities[r]; ok {
				return q
			}
		}
		return 0
	}
	json := quality("application/json", "application/*")
	return json > 0 && json >= quality("text/plain", "text/*", "*/*")
}

// headJSON returns the JSON form of r, whose head is the text head.
func (h *handler) headJSON(head string, r *http.Request) []byte {
	type tlsInfo struct {
		Version     string `json:"version"`
		CipherSuite string `json:"cipherSuite"`
		ServerName  string `json:"serverName"`
		ALPN        string `json:"alpn"`
	}
	info := struct {
		Method     string      `json:"method"`
		Target     string      `json:"target"`
		Proto      string      `json:"proto"`
		Host       string      `json:"host"`
		Headers    http.Header `json:"headers"`
		RawHeaders [][2]string `json:"rawHeaders"`
		RemoteAddr string      `json:"remoteAddr"`
		Hostname   string      `json:"hostname"`
		TLS        *tlsInfo    `json:"tls,omitempty"`
	}{r.Method, utf8OrLatin1(r.RequestURI), r.Proto, utf8OrLatin1(r.Host), http.Header{}, [][2]string{}, r.RemoteAddr, h.hostname, nil}
	_, fields, _ := strings.Cut(head, "\n")
	for line := range strings.Lines(unfold(fields)) {
		name, value := cutField(strings.TrimSuffix(line, "\n"))
		value = utf8OrLatin1(value)
		info.RawHeaders = append(info.RawHeaders, [2]string{name, value})
		info.Headers.Add(name, value)
	}
	if r.TLS != nil {
		info.TLS = &tlsInfo{tls.VersionName(r.TLS.Version), tls.CipherSuiteName(r.TLS.CipherSuite),
			r.TLS.ServerName, r.TLS.NegotiatedProtocol}
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.Encode(info) // can't fail: b takes all, and there are only strings
	return b.Bytes()
}

// unfold returns field lines with those that go on over several lines (obs-fold,
// RFC 9112 section 5.2) joined by spaces.
func unfold(fields string) string {
	var b []byte
	for line := range strings.Lines(fields) {
		if line[0] == ' ' || line[0] == '\t' {
			b = append(bytes.TrimSuffix(b, []byte("\n")), ' ')
		}
		b = append(append(b, strings.Trim(line, " \t\n")...), '\n')
	}
	return string(b)
}

// utf8OrLatin1 returns s, read as ISO-8859-1 if it isn't UTF-8.
func utf8OrLatin1(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	runes := make([]rune, len(s))
	for i := range len(s) {
		runes[i] = rune(s[i])
	}
	return string(runes)
}
