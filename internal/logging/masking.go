package logging

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// This file holds how the log shows what a client sent.

// Quote returns s as a Go string literal, cut after most bytes.
func Quote(s string, most int) string {
	s = s[:min(len(s), most)]
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			return strconv.Quote(s)
		}
	}
	return `"` + s + `"` // the same, in a tenth of the time
}

// credentials are the words that, in the name of a field or of a part of a query, say that its value
// is not for the log.
var credentials = []string{"authorization", "cookie", "token", "secret", "password", "api-key", "api_key", "apikey", "credential", "jwt", "signature", "session"}

func isCredential(name string) bool {
	name = strings.ToLower(name)
	return slices.ContainsFunc(credentials, func(word string) bool { return strings.Contains(name, word) })
}

// MaskField returns line, a field line, without its value if that is a credential. Where what is before
// the colon isn't a name it may be a part of the value, and goes too.
func MaskField(line string) (shown string, isMasked bool) {
	name, _, _ := strings.Cut(line, ":")
	switch {
	case strings.HasPrefix(line, ":path:"): // of HTTP/2
		return MaskQuery(line), false
	case !isCredential(name):
		return line, false
	case strings.ContainsAny(name, " \t") || len(name) == len(line):
		return "***", true
	}
	return name + ": ***", true
}

// MaskFirstLine returns line, which came first and may be no request line, without credentials. Where it
// begins like a field line it is shown as one.
func MaskFirstLine(line string) string {
	if word, _, _ := strings.Cut(line, " "); strings.Contains(word, ":") || isCredential(word) {
		shown, _ := MaskField(line)
		return shown
	}
	return MaskQuery(line)
}

// MaskQuery returns line, a request line, without what stands behind = where a credential's name stands before
// it. It looks at each part between the characters by which a query, or what is taken for one, may be divided.
func MaskQuery(line string) string {
	if !strings.Contains(line, "=") {
		return line
	}
	var shown strings.Builder
	for line != "" {
		end := strings.IndexAny(line[1:], "&;?# ") + 1 // a part begins with its divider
		if end == 0 {
			end = len(line)
		}
		part := line[:end]
		if last := strings.LastIndex(part, "="); last >= 0 {
			name := part[:last]
			if plain, err := url.QueryUnescape(name); err == nil {
				name = plain
			}
			if isCredential(name) {
				part = part[:strings.Index(part, "=")] + "=***"
			}
		}
		shown.WriteString(part)
		line = line[end:]
	}
	return shown.String()
}
