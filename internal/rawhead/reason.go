package rawhead

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"httpserver/internal/head"
)

// This file holds why net/http refuses a request of HTTP/1, where its answer doesn't say.

// What a client sends that doesn't speak HTTP.
var otherProtocols = []struct{ begin, what string }{
	{"\x16\x03", "TLS on the plain port"}, // a handshake record (RFC 8446 section 5.1)
	{"PROXY ", "a PROXY protocol header: see -proxyprotocol"},
	{"\r\n\r\n\x00", "a PROXY protocol header: see -proxyprotocol"},
}

// otherProtocol says what begins with line, a first line with empty ones before it, or returns "" where it
// may be HTTP.
func otherProtocol(line []byte) string {
	for _, other := range otherProtocols {
		if bytes.HasPrefix(line, []byte(other.begin)) {
			return other.what
		}
	}
	return ""
}

// reasonOf says what is wrong with text, as much of a head as has come, or returns "". It asks the
// standard library again, and says nothing that may be a credential.
func reasonOf(text []byte) string {
	r, err := http.ReadRequest(bufio.NewReader(io.MultiReader(bytes.NewReader(text), strings.NewReader("\n\n"))))
	if err == nil {
		for name := range r.Header { // net/http's server is stricter
			if !head.IsToken(name) {
				return fmt.Sprintf("field name %.60q has an invalid character", beginOf(name))
			}
		}
		return ""
	}
	var bad *url.Error
	if errors.As(err, &bad) {
		why, _, _ := strings.Cut(bad.Err.Error(), `"`) // what it quotes may be a password
		return "malformed target: " + strings.TrimSpace(why)
	}
	why := strings.TrimPrefix(err.Error(), "http: ")
	said, quoted, _ := strings.Cut(why, `"`)
	switch {
	case strings.HasPrefix(said, "malformed MIME header"): // quotes the line
		line, err := strconv.Unquote(`"` + quoted)
		name, _, colon := strings.Cut(line, ":")
		switch {
		case err != nil:
			return "malformed field line"
		case !colon:
			return "a field line without a colon"
		case name == "" || strings.TrimSpace(name) != name:
			return fmt.Sprintf("malformed field line: name %.60q", beginOf(name))
		case head.IsToken(name):
			return fmt.Sprintf("field %q: its value has an invalid character", name[:min(len(name), 60)])
		default:
			return fmt.Sprintf("field name %.60q has an invalid character", beginOf(name))
		}
	case strings.HasPrefix(said, "malformed HTTP"), strings.HasPrefix(said, "invalid method"): // quotes the first line, which is told apart
		if said = strings.TrimSpace(said); said == "malformed HTTP version" {
			said += ", or a space in the target"
		}
		return said
	}
	return why
}

// beginOf returns name, which isn't one, up to the first character behind which a value may stand.
func beginOf(name string) string {
	begin := len(name) - len(strings.TrimLeft(name, " \t"))
	if i := strings.IndexAny(name[begin:], " \t=;,\"'"); i >= 0 {
		return name[:begin+i+1]
	}
	return name
}
