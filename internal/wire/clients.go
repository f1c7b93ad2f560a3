package wire

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"testing"
	"time"
)

// AcceptJSON asks for the JSON form.
const AcceptJSON = "Accept: application/json\r\n"

// Asking returns a request of HTTP/1 with fields.
func Asking(path, fields string) string {
	return "GET " + path + " HTTP/1.1\r\nHost: localhost\r\n" + fields + "\r\n"
}

// A responseWriter drops what it is given.
type responseWriter struct{ header http.Header }

func NewResponseWriter() *responseWriter { return &responseWriter{make(http.Header)} }

func (w *responseWriter) Header() http.Header { return w.header }

func (w *responseWriter) WriteHeader(int) {}

func (w *responseWriter) Write(p []byte) (int, error) { return len(p), nil }

// NewPair returns a certificate for localhost as edit makes it, unless that is nil, and
// signed by the last of issuers, or by itself if there are none. It begins a chain of all.
func NewPair(t *testing.T, edit func(*x509.Certificate), issuers ...tls.Certificate) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(0xabcde),
		Subject:               pkix.Name{CommonName: "localhost"},
		DNSNames:              []string{"localhost"},
		NotBefore:             time.Now().Add(-30 * 24 * time.Hour),
		NotAfter:              time.Now().Add(30 * 24 * time.Hour),
		IsCA:                  true,
		BasicConstraintsValid: true,
	}
	if edit != nil {
		edit(template)
	}
	pair := tls.Certificate{PrivateKey: key, Certificate: [][]byte{nil}}
	parent, signer := template, any(key)
	for _, issuer := range issuers {
		pair.Certificate = append([][]byte{nil, issuer.Certificate[0]}, pair.Certificate[1:]...)
		parent, signer = issuer.Leaf, issuer.PrivateKey
	}
	if pair.Certificate[0], err = x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer); err != nil {
		t.Fatal(err)
	}
	if pair.Leaf, err = x509.ParseCertificate(pair.Certificate[0]); err != nil {
		t.Fatal(err)
	}
	return pair
}

// Pems returns what the files of pair hold.
func Pems(t *testing.T, pair tls.Certificate) (cert, key []byte) {
	t.Helper()
	for _, der := range pair.Certificate {
		cert = append(cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	der, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	return cert, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// Replace puts content into the file name by a rename, as ACME clients do.
func Replace(t *testing.T, name string, content []byte) {
	t.Helper()
	err := os.WriteFile(name+".new", content, 0o600)
	if err == nil {
		err = os.Rename(name+".new", name)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// WritePair writes pair to tls.crt and tls.key in dir.
func WritePair(t *testing.T, dir string, pair tls.Certificate) {
	t.Helper()
	cert, key := Pems(t, pair)
	Replace(t, filepath.Join(dir, "tls.crt"), cert)
	Replace(t, filepath.Join(dir, "tls.key"), key)
}

// This file holds the clients of the tests.

// RoundTrip writes raw to a new connection to addr and returns the response to
// method, its body, and the address it was asked from.
func RoundTrip(t *testing.T, addr, method, raw string) (res *http.Response, body, peer string) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	go io.WriteString(c, raw) // on its own, because the server may answer before it ends
	res, body = ReadResponse(t, bufio.NewReader(c), method)
	return res, body, c.LocalAddr().String()
}

func ReadResponse(t *testing.T, r *bufio.Reader, method string) (*http.Response, string) {
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

// HTTP2Transport returns a client's side of HTTP/2 in the clear, by prior knowledge.
func HTTP2Transport(t *testing.T) *http.Transport {
	tr := &http.Transport{Protocols: new(http.Protocols)}
	tr.Protocols.SetUnencryptedHTTP2(true)
	t.Cleanup(tr.CloseIdleConnections)
	return tr
}

// TestHead is the largest head that is taken in tests, in bytes: the default.
const TestHead = 64 << 10

// bothEnds returns the client's and the server's end of a new connection to ln, which are closed at the end.
func BothEnds(tb testing.TB, ln net.Listener) (client, server net.Conn) {
	tb.Helper()
	client, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { client.Close() })
	server, err = ln.Accept()
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { server.Close() })
	return client, server
}

// heapBytes returns the size of the live heap, pools emptied.
func HeapBytes() int {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

const (
	Forged  = "GET /hello HTTP/1.1\r\nHost: forged\r\nX-Forged: yes\r\n\r\n"
	Chunked = "Transfer-Encoding: chunked\r\n"
)

// RaceDetector reports whether the test binary is built with the race detector.
func RaceDetector() bool {
	info, _ := debug.ReadBuildInfo()
	return slices.ContainsFunc(info.Settings, func(s debug.BuildSetting) bool { return s.Key == "-race" && s.Value == "true" })
}
