package head

import (
	"bytes"
	"cmp"
	"io"
	"net/http"
	"slices"
	"strings"
)

// This file holds the JSON form of a request's head.

// WriteJSON writes the JSON form of r, whose head is h, to w in pieces. The members that more writes
// come last, each after a comma.
func (h *Head) WriteJSON(w io.Writer, r *http.Request, more func(j JSON)) {
	j := JSON{newWriter(w)}
	j.Members("{", "method", r.Method, "target", r.RequestURI, "proto", r.Proto, "host", r.Host)

	j.WriteString(`,"headers":{`)
	raw := h.all()
	fields := withHost(raw)
	sorted := sortedByName(fields)
	name := ""
	for n, i := range sorted {
		if next := http.CanonicalHeaderKey(fields[i].Name); n > 0 && next == name {
			j.WriteByte(',')
		} else {
			if n > 0 {
				j.WriteString("],")
			}
			name = next
			j.String(name)
			j.WriteString(":[")
		}
		j.String(fields[i].Value)
	}
	if len(sorted) > 0 {
		j.WriteByte(']')
	}

	j.WriteString(`},"rawHeaders":`)
	j.Fields(raw)
	more(j)
	j.WriteString("}\n")
	freeWriter(j.Writer)
}

// withHost returns fields, and where they are HTTP/2's without a Host, one with what :authority says.
func withHost(fields []Field) []Field {
	authority := slices.IndexFunc(fields, func(f Field) bool { return f.Name == ":authority" })
	if authority < 0 || slices.ContainsFunc(fields, func(f Field) bool { return f.Name == "host" }) {
		return fields
	}
	return append(fields[:len(fields):len(fields)], Field{Name: "Host", Value: fields[authority].Value})
}

// sortedByName returns the indexes of fields, without pseudo-fields, by canonical name. It
// keeps no names, which a client that takes its time would have the server hold.
func sortedByName(fields []Field) []int32 {
	names := make([]string, len(fields))
	sorted := make([]int32, 0, len(fields))
	for i, f := range fields {
		if f.Name[0] != ':' {
			names[i] = http.CanonicalHeaderKey(f.Name)
			sorted = append(sorted, int32(i))
		}
	}
	slices.SortFunc(sorted, func(a, b int32) int { return cmp.Or(strings.Compare(names[a], names[b]), int(a-b)) })
	return sorted
}

// all returns the fields of h.
func (h *Head) all() []Field {
	if len(h.Text) == 0 {
		return h.Fields
	}
	_, text, _ := strings.Cut(string(h.Text), "\n")
	return FieldsOf(text)
}

// FieldsOf returns the fields of text: field lines, each ended by LF.
func FieldsOf(text string) []Field {
	fields := make([]Field, 0, strings.Count(text, "\n"))
	for line := range strings.Lines(unfold(text)) {
		name, value, _ := strings.Cut(line, ":")
		fields = append(fields, Field{name, strings.Trim(value, " \t\n")})
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
