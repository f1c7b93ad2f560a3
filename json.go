package main

import (
	"bufio"
	"bytes"
	"cmp"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"
)

// This file holds the JSON form of a request's head.

// writeJSON writes the JSON form of r, whose head is h, to w in pieces.
func (h *head) writeJSON(w io.Writer, r *http.Request, hostname string) {
	j := jsonWriter{newWriter(w)}
	j.members("{", "method", r.Method, "target", r.RequestURI, "proto", r.Proto, "host", r.Host)

	j.WriteString(`,"headers":{`)
	fields := h.all()
	sorted := sortedByName(fields)
	name := ""
	for n, i := range sorted {
		if next := http.CanonicalHeaderKey(fields[i].name); n > 0 && next == name {
			j.WriteByte(',')
		} else {
			if n > 0 {
				j.WriteString("],")
			}
			name = next
			j.string(name)
			j.WriteString(":[")
		}
		j.string(fields[i].value)
	}
	if len(sorted) > 0 {
		j.WriteByte(']')
	}

	j.WriteString(`},"rawHeaders":[`)
	separator := ""
	for _, f := range fields {
		j.WriteString(separator)
		j.strings([]string{f.name, f.value})
		separator = ","
	}
	j.members("],", "remoteAddr", r.RemoteAddr, "hostname", hostname)
	if r.TLS != nil {
		j.WriteString(`,"tls":`)
		j.tls(r.TLS)
	}
	j.WriteString("}\n")
	freeWriter(j.Writer)
}

// sortedByName returns the indexes of fields, without pseudo-fields, by canonical name. It
// keeps no names, which a client that takes its time would have the server hold.
func sortedByName(fields []field) []int32 {
	names := make([]string, len(fields))
	sorted := make([]int32, 0, len(fields))
	for i, f := range fields {
		if f.name[0] != ':' {
			names[i] = http.CanonicalHeaderKey(f.name)
			sorted = append(sorted, int32(i))
		}
	}
	slices.SortFunc(sorted, func(a, b int32) int { return cmp.Or(strings.Compare(names[a], names[b]), int(a-b)) })
	return sorted
}

// A jsonWriter writes strings as RFC 8259 has them.
type jsonWriter struct{ *bufio.Writer }

// members writes members of an object, names and values in turn, after before.
func (j jsonWriter) members(before string, namesAndValues ...string) {
	for i := 0; i < len(namesAndValues); i += 2 {
		j.WriteString(before)
		j.string(namesAndValues[i])
		j.WriteByte(':')
		j.string(namesAndValues[i+1])
		before = ","
	}
}

// strings writes an array.
func (j jsonWriter) strings(values []string) {
	j.WriteByte('[')
	for i, value := range values {
		if i > 0 {
			j.WriteByte(',')
		}
		j.string(value)
	}
	j.WriteByte(']')
}

// string writes s, read as ISO-8859-1 if it isn't UTF-8.
func (j jsonWriter) string(s string) {
	latin1 := !utf8.ValidString(s)
	j.WriteByte('"')
	for s != "" {
		n := 0 // bytes that stay as they are
		for n < len(s) && s[n] >= ' ' && s[n] != '"' && s[n] != '\\' && (s[n] < utf8.RuneSelf || !latin1) {
			n++
		}
		j.WriteString(s[:n])
		s = s[n:]
		part := s[:min(len(s), 64)] // for which the buffer mostly has room
		s = s[len(part):]
		b := j.AvailableBuffer()
		for i := range len(part) {
			switch c := part[i]; {
			case c == '"' || c == '\\':
				b = append(b, '\\', c)
			case c == '\t': // the one control byte that net/http takes in a field
				b = append(b, `\t`...)
			case c < ' ':
				b = fmt.Appendf(b, `\u%04x`, c)
			case latin1 && c >= utf8.RuneSelf:
				b = append(b, 0xc0|c>>6, 0x80|c&0x3f) // in UTF-8
			default:
				b = append(b, c)
			}
		}
		j.Write(b)
	}
	j.WriteByte('"')
}

// all returns the fields of h.
func (h *head) all() []field {
	if len(h.text) == 0 {
		return h.fields
	}
	_, text, _ := strings.Cut(string(h.text), "\n")
	fields := make([]field, 0, strings.Count(text, "\n"))
	for line := range strings.Lines(unfold(text)) {
		name, value, _ := strings.Cut(line, ":")
		fields = append(fields, field{name, strings.Trim(value, " \t\n")})
	}
	return fields
}

// unfold returns field lines with those that go on over several lines (obs-fold,
// RFC 9112 section 5.2) joined by spaces.
func unfold(fields string) string {
	b := make([]byte, 0, len(fields))
	for line := range strings.Lines(fields) {
		if line[0] == ' ' || line[0] == '\t' {
			b = append(bytes.TrimSuffix(b, []byte("\n")), ' ')
		}
		b = append(append(b, strings.Trim(line, " \t\n")...), '\n')
	}
	return string(b)
}
