package head

import (
	"bufio"
	"fmt"
	"io"
	"sync"
	"unicode/utf8"
)

// This file holds what JSON is written with.

// A JSON writes JSON (RFC 8259).
type JSON struct{ *bufio.Writer }

// Members writes members of an object, names and values in turn, after before.
func (j JSON) Members(before string, namesAndValues ...string) {
	for i := 0; i < len(namesAndValues); i += 2 {
		j.WriteString(before)
		j.String(namesAndValues[i])
		j.WriteByte(':')
		j.String(namesAndValues[i+1])
		before = ","
	}
}

// Strings writes an array.
func (j JSON) Strings(values []string) {
	j.WriteByte('[')
	for i, value := range values {
		if i > 0 {
			j.WriteByte(',')
		}
		j.String(value)
	}
	j.WriteByte(']')
}

// Fields writes an array of names and values.
func (j JSON) Fields(fields []Field) {
	j.WriteByte('[')
	for i, f := range fields {
		if i > 0 {
			j.WriteByte(',')
		}
		j.Strings([]string{f.Name, f.Value})
	}
	j.WriteByte(']')
}

// String writes s, read as ISO-8859-1 if it isn't UTF-8.
func (j JSON) String(s string) {
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

// writers are those not in use. They are small, because net/http has larger ones behind
// them, and a reader that doesn't read holds both.
var writers = sync.Pool{New: func() any { return bufio.NewWriterSize(nil, 1<<10) }}

func newWriter(w io.Writer) *bufio.Writer {
	bw := writers.Get().(*bufio.Writer)
	bw.Reset(w)
	return bw
}

// freeWriter writes what bw holds, and gives it back.
func freeWriter(bw *bufio.Writer) {
	bw.Flush()
	bw.Reset(nil)
	writers.Put(bw)
}
