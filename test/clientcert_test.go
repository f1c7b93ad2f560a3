//go:build unix

package test

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"httpserver/internal/wire"
)

// shownTLS is tls of the JSON form, where clientCertificate may be left out.
type shownTLS struct {
	Version           string
	ALPN              string
	Resumed           bool
	KeyExchangeGroup  string
	ClientCertificate map[string]any
}

// asks asks p for the JSON form over TLS and returns what it says of that, and whether
// the client was asked for a certificate.
func asks(t *testing.T, p *process, config *tls.Config, http2 bool, pair *tls.Certificate) (shown shownTLS, asked bool) {
	t.Helper()
	config = config.Clone()
	config.InsecureSkipVerify = true
	config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		asked = true
		return pair, nil
	}
	tr := &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: http2}
	defer tr.CloseIdleConnections()
	req, _ := http.NewRequest("GET", "https://"+p.addr+"/hello", nil)
	req.Header.Set("Accept", "application/json")
	res, err := tr.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var all struct{ TLS shownTLS }
	if err := json.NewDecoder(res.Body).Decode(&all); err != nil {
		t.Error(err)
	}
	return all.TLS, asked
}

// What a client presents is shown, whoever signed it, if it is asked for.
func TestClientCertificate(t *testing.T) {
	t.Parallel()
	p, incurious := startTLS(t, "-v=0", "-clientcert"), startTLS(t, "-v=0")
	ca := wire.NewPair(t, func(c *x509.Certificate) { c.Subject = pkix.Name{CommonName: "Root", Country: []string{"DE"}} })
	intermediate := wire.NewPair(t, func(c *x509.Certificate) {
		c.Subject = pkix.Name{CommonName: "Issuing CA", Organization: []string{"Acme, Inc."}}
	}, ca)
	workload := wire.NewPair(t, func(c *x509.Certificate) {
		c.SerialNumber = big.NewInt(0xa0b0c)
		// Not in the order of pkix.Name.
		c.RawSubject, _ = asn1.Marshal(pkix.Name{ExtraNames: []pkix.AttributeTypeAndValue{
			{Type: asn1.ObjectIdentifier{2, 5, 4, 3}, Value: "a \"client\""}, {Type: asn1.ObjectIdentifier{2, 5, 4, 10}, Value: "Acmé"},
			{Type: asn1.ObjectIdentifier{1, 2, 3}, Value: "x"}}}.ToRDNSequence())
		c.DNSNames, c.IPAddresses, c.EmailAddresses = []string{"a.test", "b.test"}, []net.IP{net.IPv4(192, 0, 2, 1), net.ParseIP("2001:db8::1")}, []string{"a@b.test"}
		c.URIs = []*url.URL{{Scheme: "spiffe", Host: "cluster.local", Path: "/ns/a/sa/b"}}
	}, ca, intermediate)
	expired := wire.NewPair(t, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Hour) })
	bare := wire.NewPair(t, func(c *x509.Certificate) { c.Subject, c.DNSNames, c.SerialNumber = pkix.Name{}, nil, new(big.Int) })
	for _, test := range []struct {
		name            string
		pair            tls.Certificate
		subject, issuer string
		serial          string
		sans            []any
		chain           float64
	}{
		{"none", tls.Certificate{}, "", "", "", nil, 0},
		{"a chain", workload, `1.2.3=#130178,O=Acmé,CN=a \"client\"`, `CN=Issuing CA,O=Acme\, Inc.`, "0A0B0C",
			[]any{"a.test", "b.test", "192.0.2.1", "2001:db8::1", "a@b.test", "spiffe://cluster.local/ns/a/sa/b"}, 3},
		{"self-signed", ca, "CN=Root,C=DE", "CN=Root,C=DE", "0ABCDE", []any{"localhost"}, 1},
		{"expired", expired, "CN=localhost", "CN=localhost", "0ABCDE", []any{"localhost"}, 1},
		{"one of nobody", bare, "", "", "00", []any{}, 1},
	} {
		var want map[string]any
		if test.chain > 0 {
			leaf := test.pair.Leaf
			want = map[string]any{
				"subject": test.subject, "issuer": test.issuer, "serialNumber": test.serial, "sans": test.sans, "chain": test.chain,
				"notBefore": leaf.NotBefore.UTC().Format(time.RFC3339), "notAfter": leaf.NotAfter.UTC().Format(time.RFC3339),
				"sha256": fmt.Sprintf("%x", sha256.Sum256(leaf.Raw)),
			}
		}
		for version, name := range map[uint16]string{tls.VersionTLS12: "TLS 1.2", tls.VersionTLS13: "TLS 1.3"} {
			for _, http2 := range []bool{false, true} {
				alpn := ""
				if http2 {
					alpn = "h2"
				}
				config := &tls.Config{MaxVersion: version, ClientSessionCache: tls.NewLRUClientSessionCache(1)}
				for _, again := range []bool{false, true} {
					shown, _ := asks(t, p, config, http2, &test.pair)
					resumed := again && test.name != "expired" // crypto/tls resumes no such session
					if shown.Version != name || shown.ALPN != alpn || shown.Resumed != resumed || !reflect.DeepEqual(shown.ClientCertificate, want) {
						t.Errorf("%s, %s, HTTP/2 %v, again %v: %v, want %v", test.name, name, http2, again, shown, want)
					}
				}
				if shown, asked := asks(t, incurious, &tls.Config{MaxVersion: version}, http2, &test.pair); asked || shown.ClientCertificate != nil {
					t.Errorf("%s, %s, HTTP/2 %v: without -clientcert: asked %v, %v", test.name, name, http2, asked, shown)
				}
			}
		}
	}
}

// The group is shown where there is one.
func TestKeyExchangeGroup(t *testing.T) {
	p := startTLS(t)
	for _, group := range []tls.CurveID{tls.X25519MLKEM768, tls.X25519, tls.CurveP256} {
		config := &tls.Config{CurvePreferences: []tls.CurveID{group}, ClientSessionCache: tls.NewLRUClientSessionCache(1)}
		for _, again := range []bool{false, true} {
			if shown, _ := asks(t, p, config, true, new(tls.Certificate)); shown.KeyExchangeGroup != group.String() || shown.Resumed != again {
				t.Errorf("%v, again %v: %v", group, again, shown)
			}
		}
	}
}

// A client can't have the server hold more than a little for its certificates.
func TestLargeClientCertificates(t *testing.T) {
	p := startTLS(t, "-clientcert")
	pair := wire.NewPair(t, nil)
	for len(pair.Certificate)*len(pair.Certificate[0]) < 16<<10 {
		pair.Certificate = append(pair.Certificate, pair.Certificate[0])
	}
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		c := p.dial()
		tc := tls.Client(c, &tls.Config{InsecureSkipVerify: true, MaxVersion: version, Certificates: []tls.Certificate{pair}})
		io.WriteString(tc, "GET /hello HTTP/1.1\r\nHost: test\r\n\r\n")
		if b, _ := io.ReadAll(tc); len(b) > 0 {
			t.Errorf("TLS %x: %q", version, b)
		}
		p.waitLog("TLS handshake with " + c.LocalAddr().String() + `: client sent over 16384 bytes\n`)
	}

	// After the handshake any number of bytes may come.
	tc, err := tls.Dial("tcp", p.addr, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer tc.Close()
	const request = "POST /hello HTTP/1.1\r\nHost: test\r\nConnection: close\r\nContent-Length: 100000\r\n\r\n"
	io.WriteString(tc, request+strings.Repeat("a", 100000))
	if b, err := io.ReadAll(tc); err != nil || !strings.HasPrefix(string(b), "HTTP/1.1 200 ") {
		t.Errorf("%q, %v", b, err)
	}
}
