package logging

import "testing"

// The log shows no credential, in whichever way it is sent.
func TestMask(t *testing.T) {
	for line, want := range map[string]string{
		"Host: a":                             "Host: a",
		"Authorization: Basic x":              "Authorization: ***",
		"x-API_key:x":                         "x-API_key: ***",
		"GET /token: HTTP/1.1":                "GET /token: HTTP/1.1",
		"GET /hello?a=b HTTP/1.1":             "GET /hello?a=b HTTP/1.1",
		"GET /hello?token=x HTTP/1.1":         "GET /hello?token=*** HTTP/1.1",
		"GET /hello?a=1&Api-Key=x&c HTTP/1.1": "GET /hello?a=1&Api-Key=***&c HTTP/1.1",
		"GET /hello?session HTTP/1.1":         "GET /hello?session HTTP/1.1",
		":path: /hello?token=x":               ":path: /hello?token=***",
		"GET /hello?jwt=x":                    "GET /hello?jwt=***",
	} {
		if got, _ := Mask(line); got != want {
			t.Errorf("%q is shown as %q, want %q", line, got, want)
		}
	}
}
