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
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/golang/glog"
)

// maxBodyBytes is what /hello reads of a request's body before it answers 413.
const maxBodyBytes = 10 << 20

// A handler answers every request to the server and logs it.
type handler struct {
	mux      *http.ServeMux
	servedBy []string    // the name of this host
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
	h := &handler{mux: http.NewServeMux(), servedBy: []string{hostname}}
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
	rec := &recorder{ResponseWriter: w}
	if c := connOf(r); c != nil {
		r.TLS = c.tlsState
		head := c.takeHead(r.ContentLength)
		defer freeHead(head)
		rec.head = headText(head, r)
	}
	if rec.head == nil {
		rec.head = viewHead(r)
	}
	if glog.V(4) {
		logHead(r.RemoteAddr, string(rec.head))
	}
	defer rec.log(r, time.Now()) // after a panic too

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
	head   []byte // lines ended by \n, without the empty one at its end
	status int    // 0 if there was none, after a panic
	bytes  int64  // of the body
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
	level := glog.Level(2)
	if r.URL.Path == "/healthz" {
		level = 3
	}
	if !glog.V(level) {
		return
	}
	if r.Method == http.MethodHead {
		rec.bytes = 0 // net/http takes the body but doesn't send it
	}
	// glog cuts a line at 15,000 bytes; what a client chose is cut first, so that
	// the rest of the line stays.
	glog.Infof("%s %.1000q %d %d %v %.400q", r.RemoteAddr, requestLine(r),
		rec.status, rec.bytes, time.Since(start).Round(time.Microsecond), r.UserAgent())
}

// Values of response fields, shared because net/http only reads them. They are set
// under canonical names, which spares Header.Set's canonicalizing each.
var (
	noStore  = []string{"no-store"}
	nosniff  = []string{"nosniff"}
	textType = []string{"text/plain; charset=utf-8"}
	jsonType = []string{"application/json"}
)

// hello reads the request's body, drops it, and answers with the request's
// head, as text or as JSON.
func (h *handler) hello(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header["Cache-Control"] = noStore
	header["Served-By"] = h.servedBy
	header["Remote-Addr"] = []string{r.RemoteAddr}
	if r.ContentLength != 0 {
		status, err := dropBody(r)
		// net/http began to count at the end of the head.
		http.NewResponseController(w).SetWriteDeadline(time.Now().Add(responseTimeout))
		if err != nil {
			http.Error(w, err.Error(), status)
			return
		}
	}
	b, contentType := w.(*recorder).head, textType
	if prefersJSON(r.Header["Accept"]) {
		b, contentType = h.headJSON(string(b), r), jsonType
	}
	header["Content-Type"] = contentType
	header["X-Content-Type-Options"] = nosniff
	header["Content-Length"] = []string{strconv.Itoa(len(b))}
	w.Write(b)
}

// dropBody reads the body of r to its end. Where that fails it returns the
// status to answer with.
func dropBody(r *http.Request) (status int, err error) {
	tooLarge := fmt.Errorf("request body over %d bytes", maxBodyBytes)
	if r.ContentLength > maxBodyBytes {
		return http.StatusRequestEntityTooLarge, tooLarge
	}
	_, err = io.Copy(io.Discard, http.MaxBytesReader(nil, r.Body, maxBodyBytes))
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

// headText turns the head that a connection kept of r into text, in place: its
// lines end in \n and the empty line at its end goes. It returns nil for a head
// that isn't known, or that can't be r's because the request line differs.
func headText(head *bytes.Buffer, r *http.Request) []byte {
	if head == nil {
		return nil
	}
	text := head.Bytes()
	n := 0
	for rest := text; len(rest) > 0; {
		end := bytes.IndexByte(rest, '\n') + 1
		line := rest[:end]
		if end > 1 && line[end-2] == '\r' {
			line = line[:end-1]
			line[end-2] = '\n'
		}
		n += copy(text[n:], line)
		rest = rest[end:]
	}
	text = text[:n-1]
	if end := bytes.IndexByte(text, '\n'); string(text[:end]) != requestLine(r) {
		return nil
	}
	return text
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
		glog.Infof("%s > %.1400q", peer, line)
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

// folds are the line ends after which a field's value goes on (obs-fold, RFC 9112
// section 5.2).
var folds = regexp.MustCompile(`[ \t]*\n[ \t]+`)

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
	}{r.Method, utf8OrLatin1(r.RequestURI), r.Proto, utf8OrLatin1(r.Host), http.Header{}, [][2]string{}, r.RemoteAddr, h.servedBy[0], nil}
	_, fields, _ := strings.Cut(head, "\n")
	for line := range strings.Lines(folds.ReplaceAllString(fields, " ")) {
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
