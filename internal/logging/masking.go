package logging

import (
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

// credentials are the words that, in a field's name, say that its value is not for the
// log.
var credentials = []string{"authorization", "cookie", "token", "secret", "password", "api-key", "api_key", "apikey", "credential", "jwt", "signature", "session"}

// Mask returns line, of a head, without its value if that is a credential. What has a
// space before its colon is a request line.
func Mask(line string) (shown string, isMasked bool) {
	name, _, _ := strings.Cut(line, ":")
	lower := strings.ToLower(strings.TrimSpace(name))
	if !strings.Contains(lower, " ") && slices.ContainsFunc(credentials, func(word string) bool { return strings.Contains(lower, word) }) {
		return name + ": ***", true
	}
	return line, false
}
