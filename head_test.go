package main

import (
	"bufio"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"golang.org/x/sync/semaphore"
)

// Where the head as it arrived isn't known, net/http's view is shown.
func TestHelloView(t *testing.T) {
	h := newHandler("local")
	for raw, want := range map[string]string{
		"GET /hello HTTP/1.1\r\nx-b: 2\r\nHost: test\r\nX-A: \r\nx-B: 1\r\nCookie: a=b\r\n\r\n": "GET /hello HTTP/1.1\nHost: test\nCookie: a=b\nX-A: \nX-B: 2\nX-B: 1\n",
		"GET /hello HTTP/1.0\r\n\r\n": "GET /hello HTTP/1.0\n",
	} {
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(raw)))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Del("Host") // as net/http's server does
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if got := w.Body.String(); got != want {
			t.Errorf("%q shows %q, want %q", raw, got, want)
		}
	}
}

func TestHelloJSON(t *testing.T) {
	hostname, _ := os.Hostname()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := newServer(newHandler("local"), testHead, testLimits())
	go serveOn(srv, ln, &tls.Config{Certificates: []tls.Certificate{newPair(t, nil)}, MaxVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}}, testLimits())
	defer srv.Close()
	c, err := tls.Dial("tcp", ln.Addr().String(), &tls.Config{InsecureSkipVerify: true, ServerName: "example.com",
		NextProtos: []string{"http/1.1"}, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	io.WriteString(c, "PUT /hello?\xe9<& HTTP/1.1\r\nx-b: 2\r\nHost: test\r\nTE: \xe9 \r\n \r\n\t\xe8\r\nX:\r\n a\r\n \r\nx-B:\t\xc3\xa9 \r\nAccept: application/json\r\n\r\n")
	res, body := readResponse(t, bufio.NewReader(c), "PUT")
	want := `{"method":"PUT","target":"/hello?é<&","proto":"HTTP/1.1","host":"test",` +
		`"headers":{"Accept":["application/json"],"Host":["test"],"Te":["é  è"],"X":["a"],"X-B":["2","é"]},` +
		`"rawHeaders":[["x-b","2"],["Host","test"],["TE","é  è"],["X","a"],["x-B","é"],["Accept","application/json"]],` +
		`"remoteAddr":"` + c.LocalAddr().String() + `","hostname":"` + hostname + `",` +
		`"tls":{"version":"TLS 1.2","cipherSuite":"TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256","serverName":"example.com","alpn":"http/1.1","resumed":false,"keyExchangeGroup":"X25519"}}` + "\n"
	if got := res.Header.Get("Content-Type"); got != "application/json" || body != want {
		t.Errorf("%s\n%swant\n%s", got, body, want)
	}
}

// Go's own client.
func TestHelloHTTP2(t *testing.T) {
	addr := testServer(t, newHandler("local"))
	tr := http2Transport(t)
	req, _ := http.NewRequest("POST", "http://"+addr+"/hello?x", io.MultiReader(strings.NewReader("body")))
	req.Header = http.Header{"X-B": {"2", "1"}, "X-_": {""}, "Accept": {"*/*"}, "User-Agent": {"test"}, "Accept-Encoding": {"br"}}
	res, err := tr.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, _ := io.ReadAll(res.Body)
	lines := strings.SplitAfter(string(body), "\n")
	slices.Sort(lines[5:]) // which the client sends in any order
	want := "POST /hello?x HTTP/2.0\n:authority: " + addr + "\n:method: POST\n:path: /hello?x\n:scheme: http\n" +
		"accept-encoding: br\naccept: */*\nuser-agent: test\nx-_: \nx-b: 1\nx-b: 2\n"
	if got := strings.Join(append(lines[:5], lines[6:]...), ""); got != want {
		t.Errorf("body\n%swant\n%s", body, want)
	}
}

// A head that isn't the request's is not shown.
func TestHeadIsOf(t *testing.T) {
	r := httptest.NewRequest("GET", "/hello", nil)
	for text, want := range map[string]bool{
		"GET /hello HTTP/1.1\nx: a\n":  true,
		"GET /hello HTTP/1.0\nx: a\n":  false,
		"GET /hello2 HTTP/1.1\nx: a\n": false,
		"HEAD /hello HTTP/1.1\nx: a\n": false,
	} {
		h := head{text: []byte(text)}
		if got := isOf(h.text, r); got != want {
			t.Errorf("%q as the head of GET /hello HTTP/1.1: %v", text, got)
		}
	}
}

// A request keeps no copies of a large head, but what the log says of it, and those of a small one.
func TestDropCopies(t *testing.T) {
	long := strings.Repeat("a", 2*testHead)
	for _, size := range []int{1, largeHead} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header = http.Header{"X": {"1"}, "User-Agent": {long}}
		r.RequestURI = long
		dropCopies(r, &head{fields: []field{{name: ":path", value: "/"}, {name: "x", value: strings.Repeat("a", size)}}})
		if dropped := len(r.UserAgent()) == maxLoggedAgent && len(r.Header) == 1 && r.RequestURI == "/"; dropped != (size == largeHead) {
			t.Errorf("of %d bytes: %d fields are left, %d bytes of the agent, %d of the target", size, len(r.Header), len(r.UserAgent()), len(r.RequestURI))
		}
	}
}

// What net/http may hold for long of a request that is refused has no part in its head.
func TestRequestIsLetGo(t *testing.T) {
	long := strings.Repeat("a", 2*testHead)
	for name, test := range map[string]struct {
		fields []coded
		status int
	}{
		"refused":   {slices.Repeat([]coded{indexed(16)}, 200), 503},
		"too large": {slices.Repeat([]coded{literal("x", long[:15000])}, 5), 431},
	} {
		c := newTestConn(newScript("", cuts["whole"]))
		if test.status == 503 {
			c.account.memory = semaphore.NewWeighted(0)
		}
		h := newHTTP2(testHead, false, &c.account)
		c.http2 = h
		h.feed(make([]byte, 1<<20), []byte(cutIntoFrames(1, 16000, block(asked4...)+block(test.fields...))))
		r := httptest.NewRequest("GET", "/", nil)
		r.ProtoMajor, r.URL.Path = 2, "/nothing"
		if test.status == 431 {
			r.Method, r.Host, r.RequestURI = long, long, long
		}
		r.Header = http.Header{"X": {"1"}, "User-Agent": {long}, http.CanonicalHeaderKey(marker): {markerValue(1)}}
		r = r.WithContext(c.of.withConn(r.Context(), c))
		w := httptest.NewRecorder()
		c.of.ServeHTTP(w, r)
		h.close()
		if held := len(r.Method) + len(r.Host) + len(r.RequestURI); w.Code != test.status || len(r.Header) != 0 || held > maxLine {
			t.Errorf("a %s head: %d, %d fields and %d bytes are left", name, w.Code, len(r.Header), held)
		}
	}
}

func TestLargeHeadsAreNotKept(t *testing.T) {
	for range 10 {
		for _, large := range []head{{text: make([]byte, 0, 1<<20)}, {fields: make([]field, 0, 1<<20)}} {
			large.free()
			if h := newHead(); cap(h.text)+cap(h.fields) >= 1<<20 {
				t.Fatalf("%d bytes and %d fields were kept", cap(h.text), cap(h.fields))
			}
		}
	}
}

// The JSON form is JSON, whatever a client sends, and says what was sent.
func TestJSON(t *testing.T) {
	var bytes, runes []byte
	for c := range 256 {
		bytes = append(bytes, byte(c))
	}
	for c := range 0x3000 {
		runes = utf8.AppendRune(runes, rune(c))
	}
	h := &head{fields: []field{{":method", "GET"}, {"x", string(runes)}, {"y", string(bytes)}, {"x", ""}}}
	r := httptest.NewRequest("GET", "/\xe9", nil)
	var b strings.Builder
	h.writeJSON(&b, r, func(jsonWriter) {})
	var got struct {
		Target     string
		Headers    map[string][]string
		RawHeaders [][2]string
		TLS        any
	}
	if err := json.Unmarshal([]byte(b.String()), &got); err != nil {
		t.Fatalf("%v in %s", err, b.String())
	}
	var latin1 []rune
	for _, c := range bytes {
		latin1 = append(latin1, rune(c))
	}
	want := [][2]string{{":method", "GET"}, {"x", string(runes)}, {"y", string(latin1)}, {"x", ""}}
	if !slices.Equal(got.RawHeaders, want) || got.Target != "/é" || len(got.Headers) != 2 || len(got.Headers["X"]) != 2 || got.TLS != nil {
		t.Errorf("%s", b.String())
	}
	b.Reset()
	(&head{}).writeJSON(&b, r, func(jsonWriter) {})
	if !strings.Contains(b.String(), `"headers":{},"rawHeaders":[]}`) || !json.Valid([]byte(b.String())) {
		t.Errorf("%s", b.String())
	}
}

// The JSON form has its headers by name, and the values of one name in the order in which
// they came.
func TestJSONOrder(t *testing.T) {
	var fields []field
	var names, values strings.Builder
	for i := range 100 {
		fields = append(fields, field{fmt.Sprintf("x-%02d", 99-i), ""}, field{[]string{"y", "Y"}[i%2], strconv.Itoa(i)})
		fmt.Fprintf(&names, `"X-%02d":[""],`, i)
		fmt.Fprintf(&values, `,"%d"`, i)
	}
	var b strings.Builder
	(&head{fields: fields}).writeJSON(&b, httptest.NewRequest("GET", "/", nil), func(jsonWriter) {})
	if want := `"headers":{` + names.String() + `"Y":[` + values.String()[1:] + "]}"; !strings.Contains(b.String(), want) {
		t.Errorf("%s, want %s", b.String(), want)
	}
}
