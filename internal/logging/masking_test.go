package logging

import "testing"

// The log shows no credential, in whichever way it is sent.
func TestMaskField(t *testing.T) {
	for line, want := range map[string]string{
		"Host: a":                    "Host: a",
		"Authorization: Basic x":     "Authorization: ***",
		"x-API_key:x":                "x-API_key: ***",
		"Authorization : Basic x":    "***",
		"X Authorization: Basic x":   "***",
		"Authorization Bearer x":     "***",
		"Authorization Bearer x: y":  "***",
		":path: /hello?token=x":      ":path: /hello?token=***",
		"Referer: /hello?a=b":        "Referer: /hello?a=b",
		"a line without a colon":     "a line without a colon",
		"X-Id: Authorization Bearer": "X-Id: Authorization Bearer",
	} {
		got, isMasked := MaskField(line)
		if got != want || isMasked != (want[len(want)-1] == '*' && want[0] != ':') {
			t.Errorf("%q is shown as %q, masked: %v, want %q", line, got, isMasked, want)
		}
	}
}

// A first line is shown but for credentials in its query.
func TestMaskFirstLine(t *testing.T) {
	for line, want := range map[string]string{
		"GET /token: HTTP/1.1":                        "GET /token: HTTP/1.1",
		"GET http://token/ HTTP/1.1":                  "GET http://token/ HTTP/1.1",
		"GET /hello?a=b HTTP/1.1":                     "GET /hello?a=b HTTP/1.1",
		"GET /hello?token=x HTTP/1.1":                 "GET /hello?token=*** HTTP/1.1",
		"GET /hello?a=1&Api-Key=x&c HTTP/1.1":         "GET /hello?a=1&Api-Key=***&c HTTP/1.1",
		"GET /hello?session HTTP/1.1":                 "GET /hello?session HTTP/1.1",
		"GET /x?a=b c&token=x HTTP/1.1":               "GET /x?a=b c&token=*** HTTP/1.1",
		"GET /x?a=1;token=x HTTP/1.1":                 "GET /x?a=1;token=*** HTTP/1.1",
		"GET /x?u=/y?token=x#access_token=x HTTP/1.1": "GET /x?u=/y?token=***#access_token=*** HTTP/1.1",
		"GET /x?%74oken=x&b=1 HTTP/1.1":               "GET /x?%74oken=***&b=1 HTTP/1.1",
		"GET /x?token=ab== HTTP/1.1":                  "GET /x?token=*** HTTP/1.1",
		"GET /x?a=token=x HTTP/1.1":                   "GET /x?a=*** HTTP/1.1",
		"GET /x token=x HTTP/1.1":                     "GET /x token=*** HTTP/1.1",
		"GET /hello?jwt=x":                            "GET /hello?jwt=***",
		"Cookie: a=b":                                 "Cookie: ***",
		"Cookie:?a=b":                                 "Cookie: ***",
		"Authorization Bearer x":                      "***",
		":path: /?token=x":                            ":path: /?token=***",
	} {
		if got := MaskFirstLine(line); got != want {
			t.Errorf("%q is shown as %q, want %q", line, got, want)
		}
	}
}
