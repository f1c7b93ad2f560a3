package rawhead

import (
	"fmt"
	"strings"

	"httpserver/internal/wire"
)

// corpus holds requests to /hello that leave their connection open, and whose bodies
// are framed by the book.
var corpus = []struct{ name, head, body string }{
	{"curl", "GET /hello HTTP/1.1\r\nHost: localhost:8000\r\nUser-Agent: curl/8.5.0\r\nAccept: */*\r\n\r\n", ""},
	{"spelling, order, repeats", "GET /hello HTTP/1.1\r\nx-id: 1\r\nhOST: test\r\nX-Id: 2\r\nX-ID: 1\r\na: b\r\nX-Id: 2\r\n\r\n", ""},
	{"values", "GET /hello?a=%20&b=\xc3\xa9 HTTP/1.1\r\nHost: test\r\nUtf8: h\xc3\xa9llo \xf0\x9f\x90\xb9\r\nLatin1: h\xe9llo\r\n" +
		"Tabs:\ta\tb\t\r\nSpaces:   a  b  \r\nEmpty:\r\nEmpty2: \r\nColons:a:b::c\r\nQuoted: \"a, b\", c\r\n\r\n", ""},
	{"folded", "GET /hello HTTP/1.1\r\nHost: test\r\nFold: a\r\n b\r\n\tc\r\n \r\nX: y\r\n\r\n", ""},
	{"hop by hop", "GET /hello HTTP/1.1\r\nHost: test\r\nConnection: keep-alive, X-Id\r\nKeep-Alive: timeout=5\r\nProxy-Connection: x\r\n" +
		"TE: trailers, gzip;q=0.5\r\nUpgrade: websocket\r\nTrailer: X\r\nX-Id: 1\r\n\r\n", ""},
	{"no-cache", "GET /hello HTTP/1.1\r\nHost: test\r\nPragma: no-cache\r\n\r\n", ""},
	{"absolute target", "GET http://other:80/hello HTTP/1.1\r\nHost: test\r\n\r\n", ""},
	{"odd method", "M-SEARCH /hello HTTP/1.1\r\nHost: test\r\n\r\n", ""},
	{"no Host value", "GET /hello HTTP/1.1\r\nHost:\r\n\r\n", ""},
	{"HTTP/1.0", "GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", ""},
	{"HTTP/1.0 with a body", "POST /hello HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 3\r\n\r\n", "abc"},
	{"HTTP/1.0 can't be chunked", "POST /hello HTTP/1.0\r\nConnection: keep-alive\r\n" + wire.Chunked + "\r\n", ""},
	{"HTTP/1.7", "GET /hello HTTP/1.7\r\nHost: test\r\n\r\n", ""},
	{"bare LF", "GET /hello HTTP/1.1\nHost: test\nX: y\n\n", ""},
	{"LF and CRLF", "GET /hello HTTP/1.1\nHost: test\r\nX: y\n\r\n", ""},
	{"long", "GET /hello HTTP/1.1\r\nHost: test\r\nX: " + strings.Repeat("0123456789", 2000) + "\r\n\r\n", ""},
	{"body", "POST /hello HTTP/1.1\r\nHost: test\r\nContent-Length: 4\r\n\r\n", "\r\n\r\n"},
	{"body of a GET", "GET /hello HTTP/1.1\r\nHost: test\r\nContent-Length: 4\r\nContent-Length: 4\r\n\r\n", "body"},
	{"body with a request", fmt.Sprintf("POST /hello HTTP/1.1\r\nHost: test\r\nContent-Length: %d\r\n\r\n", len(wire.Forged)), wire.Forged},
	{"long body", "POST /hello HTTP/1.1\r\nHost: test\r\nContent-Length: 20000\r\n\r\n", strings.Repeat("a\n\r\n\n", 4000)},
	{"expected body", "PUT /hello HTTP/1.1\r\nHost: test\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n", "body"},
	{"chunked", "POST /hello HTTP/1.1\r\nHost: test\r\n" + wire.Chunked + "\r\n", "3\r\nabc\r\n00B\r\nhello world\r\n0\r\n\r\n"},
	{"chunked, empty", "POST /hello HTTP/1.1\r\nHost: test\r\n" + wire.Chunked + "\r\n", "0\r\n\r\n"},
	{"chunked, expected", "PUT /hello HTTP/1.1\r\nHost: test\r\n" + wire.Chunked + "Expect: 100-continue\r\n\r\n", "2\r\nab\r\n0\r\n\r\n"},
	{"chunked with a length", "POST /hello HTTP/1.1\r\nHost: test\r\nContent-Length: 3\r\n" + wire.Chunked + "\r\n", "1\r\n0\r\n0\r\n\r\n"},
	{"chunk extensions", "POST /hello HTTP/1.1\r\nHost: test\r\ntransfer-encoding:  Chunked\r\n\r\n", "3;a=\"b;c\";d \t\r\nabc\r\n0 \r\n\r\n"},
	{"trailers", "POST /hello HTTP/1.1\r\nHost: test\r\nTrailer: X\r\n" + wire.Chunked + "\r\n", "3\r\nabc\r\n0\r\nX: y\r\nZ: 1\r\n\r\n"},
	{"folded trailers", "POST /hello HTTP/1.1\r\nHost: test\r\n" + wire.Chunked + "\r\n", "0\r\nX: y\r\n z\r\n \r\n\r\n"},
	{"chunked, with a request", "POST /hello HTTP/1.1\r\nHost: test\r\n" + wire.Chunked + "\r\n",
		fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(wire.Forged), wire.Forged)},
	{"chunked, with chunks", "POST /hello HTTP/1.1\r\nHost: test\r\n" + wire.Chunked + "\r\n", "5\r\n0\r\n\r\n\r\n5\r\n0\r\n\r\n\r\n0\r\n\r\n"},
	{"long chunks", "POST /hello HTTP/1.1\r\nHost: test\r\n" + wire.Chunked + "\r\n",
		strings.Repeat(fmt.Sprintf("2710\r\n%s\r\n", strings.Repeat("0\r\n\r\n", 2000)), 2) + "0\r\n\r\n"},
}

// following holds requests to follow another, with bodies that begin like empty lines.
var following = []struct{ head, body string }{
	{"POST /hello?1 HTTP/1.1\r\nhost: test\r\ncontent-length: 4\r\n\r\n", "\r\n\r\n"},
	{"PROPFIND /hello?2 HTTP/1.1\r\nhost: test\r\ncontent-length: 2\r\n\r\n", "\n\r"},
	{"GET /hello?3 HTTP/1.1\r\nhost: test\r\n\r\n", ""},
}

// withFollowing returns in and what follows it, and the heads of what follows.
func withFollowing(in string) (all string, heads []string) {
	for _, f := range following {
		in += f.head + f.body
		heads = append(heads, f.head)
	}
	return in, heads
}

// smuggled holds bodies and ends of bodies made to be taken for heads.
var smuggled = []string{
	"POST /hello HTTP/1.1\r\nHost: a\r\n" + wire.Chunked + "\r\n0\r\nA: b\n\n" + wire.Forged,
	"POST /hello HTTP/1.1\r\nHost: a\r\n" + wire.Chunked + "\r\n0\r\n\n" + wire.Forged,
	"POST /hello HTTP/1.1\r\nHost: a\r\n" + wire.Chunked + "\r\n0\r\nA: b\n\nGET /hello HTTP/1.1\nHost: b\n\n" + wire.Forged,
	"POST /hello HTTP/1.1\r\nHost: a\r\n" + wire.Chunked + "\r\n0;" + strings.Repeat("x", 4094) + "\r\n\r\n" + wire.Forged,
	"POST /hello HTTP/1.1\r\nHost: a\r\n" + wire.Chunked + "\r\n0\n\n" + wire.Forged,
	"POST /hello HTTP/1.1\r\nHost: a\r\n" + wire.Chunked + "\r\nffffffffffffffff\r\n" + wire.Forged,
	"POST /hello HTTP/1.1\r\nHost: a\r\n" + wire.Chunked + wire.Chunked + "\r\n0\r\n\r\n" + wire.Forged,
	"POST /hello HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\nContent-Length: 2\r\n\r\n0\r\n\r\n" + wire.Forged,
	"POST /hello HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc" + wire.Forged,
	"POST /nowhere HTTP/1.1\r\nHost: a\r\nContent-Length: 300000\r\n\r\n" + strings.Repeat(wire.Forged, 6000),
	"PRI * HTTP/2.0\r\n\r\nGET /hello HTTP/1.1\r\nHost: b\r\n\r\n" + wire.Forged,
	"PRI * HTTP/2.0\r\n\r\nSN\r\n\r\n" + wire.Forged,
	"PRI * HTTP/2.0\n\nSM\r\n\r\n" + wire.Forged,
	"PRI * HTTP/2.0\na:\n\n\n\n\n\n" + wire.Forged,
	"GET /hello HTTP/1.1\r\nHost: a\r\n \r\n\r\n\r\n" + wire.Forged,
	"GET /hello HTTP/1.1\r\nHost: a\r\r\n\r\n" + wire.Forged,
	"\r\n\r\n\r\nGET /hello HTTP/1.1\r\nHost: a\r\n\r\n" + wire.Forged,
	"POST /hello HTTP/1.1\r\nHost: a\r\n\r\n\r\n\r\n\r\n\r\n" + wire.Forged,
	"GET /hello HTTP/1.1\r\nHost: a\r\n\r\n\r\n" + wire.Forged,
}
