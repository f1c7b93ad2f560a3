package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
)

// This file holds the clients of the tests.

// roundTrip writes raw to a new connection to addr and returns the response to
// method, its body, and the address it was asked from.
func roundTrip(t *testing.T, addr, method, raw string) (res *http.Response, body, peer string) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	go io.WriteString(c, raw) // on its own, because the server may answer before it ends
	res, body = readResponse(t, bufio.NewReader(c), method)
	return res, body, c.LocalAddr().String()
}

func readResponse(t *testing.T, r *bufio.Reader, method string) (*http.Response, string) {
	t.Helper()
	res, err := http.ReadResponse(r, &http.Request{Method: method})
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(body)
}

// http2Transport returns a client's side of HTTP/2 in the clear, by prior knowledge.
func http2Transport(t *testing.T) *http.Transport {
	tr := &http.Transport{Protocols: new(http.Protocols)}
	tr.Protocols.SetUnencryptedHTTP2(true)
	t.Cleanup(tr.CloseIdleConnections)
	return tr
}

// testCert returns a certificate for localhost that nobody trusts.
func testCert() tls.Certificate {
	ts := httptest.NewTLSServer(nil)
	defer ts.Close()
	return ts.TLS.Certificates[0]
}

// benchRequest has ten fields, as a proxy sends them.
const benchRequest = "GET /hello HTTP/1.1\r\nHost: localhost:8000\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\n" +
	"Accept: */*\r\nAccept-Encoding: gzip, br\r\nAccept-Language: en-GB,en;q=0.5\r\nX-Request-Id: 4f6b3c1a-8f4e-4b0e-9a43\r\n" +
	"X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: example.com\r\nCookie: session=0123456789abcdef\r\n\r\n"

// A client sends the same request over and over on its connections.
type client struct {
	request string
	conns   []net.Conn
	buf     []byte // as long as a response
}

func newClient(tb testing.TB, addr, request string, conns int) *client {
	tb.Helper()
	c := &client{request: request}
	for range conns {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			tb.Fatal(err)
		}
		c.conns = append(c.conns, conn)
	}
	io.WriteString(c.conns[0], request)
	var raw bytes.Buffer
	res, err := http.ReadResponse(bufio.NewReader(io.TeeReader(c.conns[0], &raw)), nil)
	if err != nil {
		tb.Fatal(err)
	}
	io.Copy(io.Discard, res.Body)
	if res.StatusCode != 200 {
		tb.Fatal(res.Status)
	}
	c.buf = make([]byte, raw.Len())
	return c
}

func (c *client) close() {
	for _, conn := range c.conns {
		conn.Close()
	}
}

// round sends a request on each connection, then reads the responses, which is
// less work than taking the connections one by one.
func (c *client) round(tb testing.TB) {
	for _, conn := range c.conns {
		io.WriteString(conn, c.request)
	}
	for _, conn := range c.conns {
		if _, err := io.ReadFull(conn, c.buf); err != nil || !bytes.HasPrefix(c.buf, []byte("HTTP/1.1 200 ")) {
			tb.Errorf("response %q, %v", c.buf, err)
			runtime.Goexit()
		}
	}
}

// load puts request on addr on some connections until stop is called, which
// returns how many were answered.
func load(tb testing.TB, addr, request string, conns int) (stop func() (requests int64)) {
	tb.Helper()
	var stopping atomic.Bool
	var requests atomic.Int64
	var senders sync.WaitGroup
	for range 2 {
		c := newClient(tb, addr, request, conns/2)
		senders.Go(func() {
			defer c.close()
			for !stopping.Load() {
				c.round(tb)
				requests.Add(int64(len(c.conns)))
			}
		})
	}
	return func() int64 {
		stopping.Store(true)
		senders.Wait()
		return requests.Load()
	}
}
