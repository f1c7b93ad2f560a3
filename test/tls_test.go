//go:build unix

package test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"httpserver/internal/frame"
	"httpserver/internal/wire"
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
	if _, body := wire.ReadResponse(t, bufio.NewReader(tc), "GET"); body != wire.Text(head) {
		t.Errorf("shown %q", body)
	}

	// What net/http refuses is told over TLS too.
	io.WriteString(tc, "GET /hello HTTP/1.1\r\n\r\n")
	p.waitLog(tc.LocalAddr().String() + ` "GET /hello HTTP/1.1" 400 refused: missing required Host header\n`)
}

// helloOf returns the first record of a client of TLS with config.
func helloOf(config *tls.Config) string {
	client, server := net.Pipe()
	defer client.Close()
	config.InsecureSkipVerify = true
	go tls.Client(client, config).Handshake()
	b := make([]byte, 16<<10)
	n, _ := server.Read(b)
	server.Close()
	return string(b[:n])
}

// recordOf returns a record of TLS with part of a handshake.
func recordOf(part string) string {
	return "\x16\x03\x01" + string(byte(len(part)>>8)) + string(byte(len(part))) + part
}

// What is no handshake gets its answer or alert, and a line of the log, and leaves
// nothing behind.
func TestBadHandshakes(t *testing.T) {
	p := startTLS(t)
	insecure := &tls.Config{InsecureSkipVerify: true}
	tr := &http.Transport{TLSClientConfig: insecure, DisableKeepAlives: true}
	holds := func() (goroutines, files int) {
		t.Helper()
		req, _ := http.NewRequest("GET", "https://"+p.addr+"/debug/pprof/goroutine?debug=1", nil)
		res, err := tr.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		fmt.Fscanf(res.Body, "goroutine profile: total %d", &goroutines)
		open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.cmd.Process.Pid))
		if err != nil {
			t.Fatal(err)
		}
		return goroutines, len(open)
	}
	goroutines, files := holds()

	alert := func(number byte) string {
		return "^\x15\x03.\x00\x02\x02" + regexp.QuoteMeta(string(rune(number))) + "$"
	}
	const plainHTTP = "^HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n$"
	hello := helloOf(insecure)
	large := strings.Repeat("a", 10000)
	for _, test := range []struct{ name, sent, gets, logs string }{
		{"plain HTTP", "GET /hello HTTP/1.1\r\nHost: test\r\n\r\n", plainHTTP, "client sent an HTTP request to an HTTPS server"},
		{"much of it", "GET /hello HTTP/1.1\r\nHost: test\r\nX: " + large, plainHTTP, "client sent an HTTP request to an HTTPS server"},
		{"something else", "\x00 nothing known", "^$", "tls: first record does not look like a TLS handshake"},
		{"TLS 1.1", helloOf(&tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}), alert(70), "tls: client offered only unsupported versions: .*"},
		{"another protocol", helloOf(&tls.Config{NextProtos: []string{"x\nE forged"}}), alert(120), `tls: client requested unsupported application protocols \(\["x\\nE forged"\]\)`},
		{"half a hello", hello[:100], "^$", "EOF|unexpected EOF"},
		{"a hello of nothing", recordOf("\x01\x00\x00\x04none"), alert(50), "local error: tls: error decoding message"},
		{"a hello too large", recordOf("\x01\x00\x40\x00"+large) + recordOf(large), "^$", "client sent over 16384 bytes"},
		{"a hello far too large", recordOf("\x01\x02\x00\x00" + large), alert(80), "tls: handshake message of length 131072 bytes exceeds maximum of 65536 bytes"},
		{"a byte", "\x16", "^$", "unexpected EOF"},
	} {
		c := p.dial()
		io.WriteString(c, test.sent)
		if test.gets == "^$" {
			c.(*net.TCPConn).CloseWrite()
		}
		if b, err := io.ReadAll(c); err != nil || !regexp.MustCompile(test.gets).Match(b) {
			t.Errorf("%s gets %q, %v", test.name, b, err)
		}
		p.waitLog(`\nE.* TLS handshake with ` + c.LocalAddr().String() + `: (` + test.logs + `)\n`)
		c.Close()
	}
	if n := strings.Count(p.log(), "\nE"); n != 10 {
		t.Errorf("%d lines of the log for 10 bad handshakes", n)
	}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		g, f := holds()
		if g <= goroutines && f <= files {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines and %d files, before %d and %d", g, f, goroutines, files)
		}
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
	config := &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}}
	raw, want := wire.ManyStreams(100)
	for name, cut := range wire.Cuts {
		peer := wire.NewHTTP2Peer(t, "tcp", p.addr, config)
		go peer.Send(wire.HTTP2Start+raw, cut)
		if got := peer.Await(slices.Collect(maps.Keys(want))...); !maps.Equal(got, want) {
			t.Errorf("%s: %q", name, slices.Collect(maps.Values(got)))
		}
	}

	// HTTP/1 is not what was agreed on.
	for _, sent := range []string{"GET /hello HTTP/1.1\r\nHost: test\r\n\r\n", frame.Preface[:20] + "GET /hello HTTP/1.1\r\nHost: test\r\n\r\n"} {
		peer := wire.NewHTTP2Peer(t, "tcp", p.addr, config)
		io.WriteString(peer.Conn, sent)
		if b, _ := io.ReadAll(peer.Conn); strings.Contains(string(b), "HTTP") {
			t.Errorf("%q gets %q", sent, b)
		}
	}

	// A cipher suite that HTTP/2 prohibits.
	config.MaxVersion, config.CipherSuites = tls.VersionTLS12, []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA}
	peer := wire.NewHTTP2Peer(t, "tcp", p.addr, config)
	peer.Send(wire.HTTP2Start+wire.Request(1), wire.Cuts["whole"])
	if got := peer.Await(1); !strings.HasPrefix(got[0], "GOAWAY 12 ") {
		t.Errorf("over a prohibited cipher suite: %v", got)
	}
	p.waitLog(`ended: HTTP/2 over TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA, which it prohibits\n`)
}

// A client that doesn't trust the certificate is told of as that.
func TestUntrustedCertificate(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip(err)
	}
	t.Parallel()
	p := startTLS(t)
	if err := exec.Command("curl", "-q", "-s", "--noproxy", "*", "https://"+p.addr+"/").Run(); err == nil {
		t.Error("curl trusts it")
	}
	p.waitLog(`TLS handshake with 127\.0\.0\.1:\d+: .*(bad record MAC: the client may not trust the certificate|unknown certificate.*)\n`)
}
