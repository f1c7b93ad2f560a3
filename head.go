package main

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"
)

// This file holds a request's head, as it arrived or in net/http's view, and the forms
// in which /hello shows it.

// A head is the request line and the field lines of a request, each ended by \n.
type head []byte

// heads are those not in use.
var heads = sync.Pool{New: func() any { return new(head) }}

func newHead() *head { return heads.Get().(*head) }

// maxPooledHead is the size up to which heads are used again, so that a rare large one
// doesn't stay.
const maxPooledHead = 16 << 10

// free gives h back, or nil.
func (h *head) free() {
	if h != nil && cap(*h) <= maxPooledHead {
		*h = (*h)[:0]
		heads.Put(h)
	}
}

// requestLine returns the request line as in RFC 9112 section 3, for HTTP/2 as
// well.
func requestLine(r *http.Request) string {
	return r.Method + " " + r.RequestURI + " " + r.Proto
}

// isOf reports whether h begins with the request line of r.
func (h *head) isOf(r *http.Request) bool {
	rest := []byte(*h)
	for _, part := range [...]string{r.Method, " ", r.RequestURI, " ", r.Proto, "\n"} {
		var ok bool
		if rest, ok = bytes.CutPrefix(rest, []byte(part)); !ok {
			return false
		}
	}
	return true
}

// orView returns h, or where that is nil the head of r as net/http hands it over: the
// host, and then the fields sorted by name. HTTP/2's names are in lower case (RFC 9113
// section 8.2).
func (h *head) orView(r *http.Request) head {
	if h != nil {
		return *h
	}
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

// json returns the JSON form of r, whose head is h.
func (h head) json(r *http.Request, hostname string) []byte {
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
	}{r.Method, utf8OrLatin1(r.RequestURI), r.Proto, utf8OrLatin1(r.Host), http.Header{}, [][2]string{}, r.RemoteAddr, hostname, nil}
	_, fields, _ := strings.Cut(string(h), "\n")
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

// cutField cuts a field line into name and value. A name may begin with a colon,
// as :authority does.
func cutField(line string) (name, value string) {
	name, value, _ = strings.Cut(line[1:], ":")
	return line[:1] + name, strings.Trim(value, " \t")
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
