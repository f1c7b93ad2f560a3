//go:build unix

package test

import (
	"io"
	"strings"
	"testing"

	"httpserver/internal/frame"
	"httpserver/internal/wire"
)

// At -v=4 the value of a field whose name says that it is a credential is masked, and no
// other.
func TestMaskedFields(t *testing.T) {
	masked := []string{"Authorization", "proxy-authorization", "X-AUTHORIZATION-2", "Cookie", "Set-Cookie2", "X-Auth-Token", "X-Amz-Security-Token", "X-CSRFToken",
		"Client-Secret", "X-Vault-Password", "X-Api-Key", "apikey", "X-API_KEY", "X-Goog-Credential", "X-Jwt-Assertion", "X-Hub-Signature-256", "X-Session-Id", "sessionid"}
	shown := []string{"X-Id", "Accept", "Authentication-Info", "X-Author", "X-Key", "X-Api", "X-Sign", "Pass-Word", "X-Jw", "Sec-Fetch-Site"}
	p := start(t, "-v=4")
	head, fields := "", wire.Block(wire.Indexed(2), wire.Indexed(6), wire.LiteralOf(4, "/hello?token=1:2"), wire.LiteralOf(1, "test"))
	for _, name := range append(masked, shown...) {
		head += name + ": value of " + name + "\r\n of two lines\r\n"
		fields += wire.Block(wire.Literal(strings.ToLower(name), "value of "+name))
	}
	wire.RoundTrip(t, p.addr, "GET", "GET /hello?token=1:2 HTTP/1.1\r\nHost: test\r\n"+head+"\r\n")
	h2 := wire.NewHTTP2Peer(t, "tcp", p.addr, nil)
	h2.Send(wire.HTTP2Start+wire.FrameOf(frame.Headers, frame.EndHeaders|frame.EndStream, 1, fields), wire.Cuts["whole"])
	h2.Await(1)
	p.waitLog(`"GET /hello\?token=\*\*\* HTTP/1.1" 200`)
	p.waitLog(`"GET /hello\?token=\*\*\* HTTP/2.0" 200`)
	log := p.log()
	for _, line := range []string{"GET /hello?token=*** HTTP/1.1", ":path: /hello?token=***"} {
		if !strings.Contains(log, `> "`+line+`"`) {
			t.Errorf("the log has no line %q", line)
		}
	}
	for _, name := range shown {
		for _, name := range []string{name, strings.ToLower(name)} {
			if !strings.Contains(log, `> "`+name+`: value of `) {
				t.Errorf("%s is masked", name)
			}
		}
	}
	for _, name := range masked {
		if strings.Contains(log, "value of "+name) || !strings.Contains(log, `> "`+name+`: ***"`) || !strings.Contains(log, `> "`+strings.ToLower(name)+`: ***"`) {
			t.Errorf("%s is not masked", name)
		}
	}
	if n := strings.Count(log, `> " of two lines"`); n != len(shown) {
		t.Errorf("%d second lines are shown, want %d", n, len(shown))
	}
}

// What a client sends is cut before glog cuts the line.
func TestLongLogLines(t *testing.T) {
	p := start(t, "-v=4")
	long := strings.Repeat("\xff", 10000)
	wire.RoundTrip(t, p.addr, "GET", "GET /hello?"+long+long+" HTTP/1.1\r\nHost: test\r\nUser-Agent: "+long+"\r\n\r\n")
	p.waitLog(`\n.*> "User-Agent: (\\xff)+"\n`)
	p.waitLog(`\n.*> "GET /hello\?(\\xff)+"\n`)
	p.waitLog(`\n.* "GET /hello\?(\\xff)+" 200 30\d+ \S+ "(\\xff)+"\n`)
	io.WriteString(p.dial(), strings.Repeat("\U000e0001", 10000)+"\r\n\r\n")
	p.waitLog(`\n.* 400 refused: malformed HTTP request\n`)
}
