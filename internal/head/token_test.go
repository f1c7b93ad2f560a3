package head

import "testing"

// A token is of letters, digits and some marks (RFC 9110 section 5.6.2).
func TestIsToken(t *testing.T) {
	for s, want := range map[string]bool{"": false, "a": true, "X-Id": true, "!#$%&'*+-.^_`|~09azAZ": true, "a b": false, "a@": false, "(a": false, "a\\": false, "a\x00": false, "a\x7f": false, "\xe9": false, "a:": false, "{a}": false} {
		if got := IsToken(s); got != want {
			t.Errorf("%q: %v", s, got)
		}
	}
}
