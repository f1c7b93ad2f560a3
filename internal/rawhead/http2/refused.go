package http2

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"httpserver/internal/frame"
	"httpserver/internal/head"
)

// This file holds why net/http refuses a request of HTTP/2, or ends a connection. It says so by a
// number in a frame. The words are ours, by the rules of RFC 9113.

// A Refused is what net/http refused: a request, a stream without one, or all the connection.
type Refused struct {
	Fields []head.Field // of the request; nil where they aren't known
	Status int          // of net/http's own answer; 0 where a frame refused it
	Reason string
}

// errorCodes are the names of RFC 9113 section 7, by number.
var errorCodes = []string{"NO_ERROR", "PROTOCOL_ERROR", "INTERNAL_ERROR", "FLOW_CONTROL_ERROR", "SETTINGS_TIMEOUT", "STREAM_CLOSED",
	"FRAME_SIZE_ERROR", "REFUSED_STREAM", "CANCEL", "COMPRESSION_ERROR", "CONNECT_ERROR", "ENHANCE_YOUR_CALM", "INADEQUATE_SECURITY", "HTTP_1_1_REQUIRED"}

// What an error code of a frame that the server sends means here.
const (
	noError          = 0
	streamClosed     = 5
	compressionError = 9
)

// errorCode returns the error code at the end of f, a RST_STREAM or the beginning of a GOAWAY.
func errorCode(f frame.Frame) int { return int(binary.BigEndian.Uint32(f[len(f)-4:])) }

// nameOf returns the name of an error code.
func nameOf(code int) string {
	if code < len(errorCodes) {
		return errorCodes[code]
	}
	return fmt.Sprintf("error 0x%x", code)
}

// refusal returns what f, which net/http sends, refuses, if it does: one is the request that it ends, which
// no handler has, or nil; open requests there are with it. last is the frame that net/http has read last.
func refusal(f frame.Frame, one *openRequest, open int, last frame.Frame) (r Refused, ok bool) {
	switch kind := f.Kind(); {
	case kind == frame.GoAway && errorCode(f) != noError:
		r.Reason = fmt.Sprintf("connection error %s after %s on stream %d", nameOf(errorCode(f)), last.Name(), last.Stream())
		if errorCode(f) == compressionError {
			r.Reason += ": a malformed header block, or a field over twice as large as a head may be"
		}
		return r, true
	case kind == frame.Reset && (errorCode(f) == noError || errorCode(f) == streamClosed): // a client may get these which still sends
		return r, false
	case kind == frame.Reset && one == nil:
		r.Reason = fmt.Sprintf("stream %d reset with %s", f.Stream(), nameOf(errorCode(f)))
		return r, true
	case one == nil || !f.Ends():
		return r, false
	}
	why := ""
	if one.As == Taken {
		r.Fields = one.Head.Fields
		why = malformed(r.Fields)
	}
	switch {
	case f.Kind() == frame.Reset:
		r.Reason = fmt.Sprintf("stream %d reset with %s", f.Stream(), nameOf(errorCode(f)))
		switch {
		case why != "":
			r.Reason += ": " + why
		case open > 1: // perhaps too many
			r.Reason += fmt.Sprintf("; %d requests are open", open)
		}
		return r, true
	case one.As == TooLarge:
		r.Status = http.StatusRequestHeaderFieldsTooLarge
	default:
		r.Status = http.StatusBadRequest
	}
	r.Reason = cmp.Or(why, http.StatusText(r.Status))
	return r, true
}

// Fields that are about a connection of HTTP/1 (RFC 9113 section 8.2.2).
var ofConnection = []string{"connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"}

// malformed says what is wrong with fields, of a request, by RFC 9113 section 8, or returns "". It says
// no value.
func malformed(fields []head.Field) string {
	seen := map[string]string{}
	for i, f := range fields {
		name, pseudo := strings.CutPrefix(f.Name, ":")
		switch {
		case !pseudo:
			if why := malformedField(f); why != "" {
				return why
			}
			continue
		case !slices.Contains([]string{"method", "path", "scheme", "authority", "protocol"}, name):
			return fmt.Sprintf("pseudo-field %.60q isn't one of a request", f.Name)
		case seen[name] != "":
			return "two pseudo-fields " + f.Name
		case i > 0 && !strings.HasPrefix(fields[i-1].Name, ":"):
			return "pseudo-field " + f.Name + " behind a field"
		case hasControl(f.Value):
			return "pseudo-field " + f.Name + ": its value has an invalid character"
		}
		seen[name] = f.Value
	}
	for _, name := range []string{"method", "path", "scheme"} {
		if seen[name] == "" && seen["method"] != http.MethodConnect {
			return "no pseudo-field :" + name
		}
	}
	if path := seen["path"]; path != "" {
		if _, err := url.ParseRequestURI(path); err != nil {
			return "pseudo-field :path is malformed"
		}
	}
	if scheme := seen["scheme"]; scheme != "" && scheme != "http" && scheme != "https" {
		return "pseudo-field :scheme is neither http nor https"
	}
	return ""
}

// malformedField says what is wrong with f, which is no pseudo-field, or returns "".
func malformedField(f head.Field) string {
	switch {
	case f.Name != strings.ToLower(f.Name):
		return fmt.Sprintf("field name %.60q has a letter in upper case", f.Name)
	case !head.IsToken(f.Name):
		return fmt.Sprintf("field name %.60q has an invalid character", f.Name)
	case hasControl(f.Value):
		return fmt.Sprintf("field %.60q: its value has an invalid character", f.Name)
	case slices.Contains(ofConnection, f.Name):
		return fmt.Sprintf("field %q isn't for HTTP/2", f.Name)
	case f.Name == "te" && f.Value != "trailers" && f.Value != "": // as net/http has it
		return `field "te" may only be "trailers" over HTTP/2`
	}
	return ""
}

// hasControl reports whether value has a control character, other than HTAB.
func hasControl(value string) bool {
	return strings.ContainsFunc(value, func(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f })
}
