package main

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os"
	"regexp"
	"strings"
	"testing"

	"httpserver/internal/frame"
	"httpserver/internal/wire"
)

func TestHelloJSON(t *testing.T) {
	hostname, _ := os.Hostname()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := newServer(newHandler("local"), wire.TestHead, testLimits())
	go serveOn(srv, ln, &tls.Config{Certificates: []tls.Certificate{wire.NewPair(t, nil)}, MaxVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}}, testLimits())
	defer srv.Close()
	c, err := tls.Dial("tcp", ln.Addr().String(), &tls.Config{InsecureSkipVerify: true, ServerName: "example.com",
		NextProtos: []string{"http/1.1"}, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	io.WriteString(c, "PUT /hello?\xe9<& HTTP/1.1\r\nx-b: 2\r\nHost: test\r\nTE: \xe9 \r\n \r\n\t\xe8\r\nX:\r\n a\r\n \r\nx-B:\t\xc3\xa9 \r\nAccept: application/json\r\n\r\n")
	res, body := wire.ReadResponse(t, bufio.NewReader(c), "PUT")
	want := `{"method":"PUT","target":"/hello?é<&","proto":"HTTP/1.1","host":"test",` +
		`"headers":{"Accept":["application/json"],"Host":["test"],"Te":["é  è"],"X":["a"],"X-B":["2","é"]},` +
		`"rawHeaders":[["x-b","2"],["Host","test"],["TE","é  è"],["X","a"],["x-B","é"],["Accept","application/json"]],` +
		`"remoteAddr":"` + c.LocalAddr().String() + `","hostname":"` + hostname + `",` +
		`"tls":{"version":"TLS 1.2","cipherSuite":"TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256","serverName":"example.com","alpn":"http/1.1","resumed":false,"keyExchangeGroup":"X25519"}}` + "\n"
	hello := regexp.MustCompile(`,"clientHello":{"ja4":"t13d0412h1_[^{}]*,"alpn":\["http/1.1"\]}`)
	if got := res.Header.Get("Content-Type"); got != "application/json" || hello.ReplaceAllString(body, "") != want || !hello.MatchString(body) {
		t.Errorf("%s\n%swant\n%s", got, body, want)
	}
}

// Trailers come behind an empty line, or in JSON, and what a client of HTTP/2 announces in JSON.
func TestHelloBeyondTheHead(t *testing.T) {
	addr := testServer(t, newHandler("local"))
	const head, behind = "PUT /hello?format=%s HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\n", "x-B: 1\nX-b:2\n"
	for format, want := range map[string]string{
		"text": fmt.Sprintf(head, "text") + "\n" + behind,
		"json": `,"trailers":[["x-B","1"],["X-b","2"]]}` + "\n",
	} {
		res, body, _ := wire.RoundTrip(t, addr, "PUT", strings.ReplaceAll(fmt.Sprintf(head, format)+"\n0\n"+behind+"\n", "\n", "\r\n"))
		if !strings.HasSuffix(body, want) || format == "text" && body != want || res.StatusCode != 200 {
			t.Errorf("%s, want %s", body, want)
		}
	}
	long := strings.Repeat("a", maxCounted)
	res, body, _ := wire.RoundTrip(t, addr, "PUT", "PUT /hello HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nx: "+long+"\r\n\r\n")
	if !strings.HasSuffix(body, "\n\nx: "+long+"\n") || res.ContentLength != int64(len(body)) {
		t.Errorf("long trailers: Content-Length %d of %d bytes", res.ContentLength, len(body))
	}
	p := wire.NewHTTP2Peer(t, "tcp", addr, nil)
	p.Send(wire.HTTP2Start+wire.Request(1, wire.Literal("accept", "application/json")), wire.Cuts["whole"])
	const announced = `,"http2":{"settings":[["INITIAL_WINDOW_SIZE",2147483647]],"windowUpdate":2130706432,"streamId":%d%s}` + "\n"
	if got, want := p.Await(1)[1], fmt.Sprintf(announced, 1, "}"); !strings.HasSuffix(got, want) {
		t.Errorf("%s, want %s", got, want)
	}
	asked := append(wire.Asked4[:len(wire.Asked4):len(wire.Asked4)], wire.Literal("accept", "application/json"), wire.Literal("content-length", "0"))
	p.Send(wire.FrameOf(frame.Headers, frame.EndHeaders, 3, wire.Block(asked...))+wire.Request(5), wire.Cuts["whole"])
	p.Await(5)
	p.Send(wire.FrameOf(frame.Headers, frame.EndHeaders|frame.EndStream, 3, wire.Block(wire.Literal("x", " 1 "), wire.Literal("y", "\t"))), wire.Cuts["whole"])
	if got, want := p.Await(3)[3], fmt.Sprintf(announced, 3, `},"trailers":[["x"," 1 "],["y","\t"]]`); !strings.HasSuffix(got, want) {
		t.Errorf("%s, want %s", got, want)
	}
}
