package main

import (
	"bufio"
	"crypto/tls"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
)

func TestTLS(t *testing.T) {
	p := startTLS(t)
	p.waitLog("listening on https://")
	for alpn, proto := range map[string]string{"http/1.1": "HTTP/1.1", "h2": "HTTP/2.0"} {
		tr := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true, NextProtos: []string{alpn}}, Protocols: new(http.Protocols)}
		tr.Protocols.SetHTTP1(alpn != "h2")
		tr.Protocols.SetHTTP2(alpn == "h2")
		req, _ := http.NewRequest("GET", "https://"+p.addr+"/hello", nil)
		req.Header.Set("Accept", "application/json")
		res, err := tr.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(res.Body)
		res.Body.Close()
		if res.Proto != proto || !strings.Contains(string(body), `"alpn":"`+alpn+`"`) {
			t.Errorf("%s: %s %s", alpn, res.Proto, body)
		}
		if alpn == "h2" && !strings.Contains(string(body), `"rawHeaders":[[":authority","`+p.addr+`"],[":method","GET"],[":path","/hello"],[":scheme","https"],["accept","application/json"]`) {
			t.Errorf("%s", body)
		}
		tr.CloseIdleConnections()
	}

	const head = "GET /hello HTTP/1.1\r\nx-id: 1\r\nhost: test\r\nX-Id: 2\r\n\r\n"
	tc, err := tls.Dial("tcp", p.addr, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer tc.Close()
	io.WriteString(tc, head)
	if _, body := readResponse(t, bufio.NewReader(tc), "GET"); body != text(head) {
		t.Errorf("shown %q", body)
	}

	// What net/http refuses is told over TLS too.
	io.WriteString(tc, "GET /hello HTTP/1.1\r\n\r\n")
	p.waitLog(tc.LocalAddr().String() + ` "GET /hello HTTP/1.1" 400 refused: Bad Request: missing required Host header\n`)

	// A client that speaks plain HTTP.
	c := p.dial()
	io.WriteString(c, "GET /hello HTTP/1.1\r\nHost: test\r\n\r\n")
	if b, _ := io.ReadAll(c); !strings.Contains(string(b), "400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n") {
		t.Errorf("plain HTTP gets %q", b)
	}
	p.waitLog(`E.* TLS handshake with ` + c.LocalAddr().String() + `: client sent an HTTP request to an HTTPS server\n`)

	// One that speaks neither.
	c = p.dial()
	io.WriteString(c, "\x00 nothing known")
	if b, _ := io.ReadAll(c); strings.Contains(string(b), "HTTP") {
		t.Errorf("something gets %q", b)
	}
	p.waitLog(`TLS handshake with ` + c.LocalAddr().String() + `: tls: first record`)

	// TLS 1.1.
	if _, err := tls.Dial("tcp", p.addr, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}); err == nil {
		t.Error("TLS 1.1 is agreed on")
	}
	p.waitLog(`TLS handshake with \S+: tls: client offered only unsupported versions`)
	if n := strings.Count(p.log(), "TLS handshake with"); n != 3 {
		t.Errorf("%d log lines for 3 failed handshakes", n)
	}
}

// A client that doesn't go on with its handshake is let go in time.
func TestStalledHandshake(t *testing.T) {
	t.Parallel()
	p := startTLS(t)
	c := p.dial()
	io.WriteString(c, "\x16\x03\x01\x02\x00\x01")
	if b, err := io.ReadAll(c); err != nil || len(b) > 0 {
		t.Errorf("%q, %v", b, err)
	}
	p.waitLog(`TLS handshake with ` + c.LocalAddr().String() + `: not done within 10s\n`)
}

// TLS clients that agreed on HTTP/2 get it through our connections too.
func TestHTTP2OverTLS(t *testing.T) {
	p := startTLS(t)
	config := &tls.Config{InsecureSkipVerify: true, NextProtos: []string{http2ALPN}}
	raw, want := manyStreams(maxStreams)
	for name, cut := range cuts {
		peer := newHTTP2Peer(t, "tcp", p.addr, config)
		go peer.send(http2Start+raw, cut)
		if got := peer.await(slices.Collect(maps.Keys(want))...); !maps.Equal(got, want) {
			t.Errorf("%s: %q", name, slices.Collect(maps.Values(got)))
		}
	}

	// HTTP/1 is not what was agreed on.
	for _, sent := range []string{"GET /hello HTTP/1.1\r\nHost: test\r\n\r\n", preface[:20] + "GET /hello HTTP/1.1\r\nHost: test\r\n\r\n"} {
		peer := newHTTP2Peer(t, "tcp", p.addr, config)
		io.WriteString(peer.c, sent)
		if b, _ := io.ReadAll(peer.c); strings.Contains(string(b), "HTTP") {
			t.Errorf("%q gets %q", sent, b)
		}
	}

	// A cipher suite that HTTP/2 prohibits.
	config.MaxVersion, config.CipherSuites = tls.VersionTLS12, []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA}
	peer := newHTTP2Peer(t, "tcp", p.addr, config)
	peer.send(http2Start+request(1), cuts["whole"])
	if got := peer.await(1); !strings.HasPrefix(got[0], "GOAWAY 12 ") {
		t.Errorf("over a prohibited cipher suite: %v", got)
	}
}
