package certs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/asn1"
	"math/big"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"httpserver/internal/wire"
)

// A certificate that is not all there, or that no client takes, is not taken up.
func TestUnusableCertificates(t *testing.T) {
	issuer := wire.NewPair(t, nil)
	whole := wire.NewPair(t, nil, issuer)
	chain, key := wire.Pems(t, whole)
	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, p224.Public(), p224)
	if err != nil {
		t.Fatal(err)
	}
	oddChain, oddKey := wire.Pems(t, tls.Certificate{Certificate: [][]byte{der}, PrivateKey: p224})
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "cert"), filepath.Join(dir, "key")
	for _, test := range []struct {
		chain, key []byte
		want       string
	}{
		{chain, key, ""},
		{chain[:len(chain)-100], key, "2 certificates begin, and 1 are whole"},
		{chain, []byte("-----BEGIN ENCRYPTED PRIVATE KEY-----\nYQ==\n-----END ENCRYPTED PRIVATE KEY-----\n"), "the key is encrypted"},
		{oddChain, oddKey, "unsupported certificate curve (P-224)"},
	} {
		wire.Replace(t, certFile, test.chain)
		wire.Replace(t, keyFile, test.key)
		_, err := Load(certFile, keyFile)
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%v, want %q", err, test.want)
		}
	}
}

// It is warned of again the next day, and its successor at once.
func TestCertificateEndsDaily(t *testing.T) {
	dir := t.TempDir()
	wire.WritePair(t, dir, wire.NewPair(t, func(c *x509.Certificate) { c.NotAfter = time.Now() }))
	c, err := Load(filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key"))
	if err != nil {
		t.Fatal(err)
	}
	look := func(ago time.Duration, warns bool) {
		t.Helper()
		c.warned, c.looked = time.Now().Add(-ago), time.Time{}
		c.get(nil)
		if warned := time.Since(c.warned) < time.Hour; warned != warns {
			t.Errorf("warned again %v after: %v", ago, warned)
		}
	}
	look(23*time.Hour, false)
	look(24*time.Hour, true)
	wire.WritePair(t, dir, wire.NewPair(t, func(c *x509.Certificate) { c.NotAfter = time.Now() }))
	look(2*time.Hour, true)
}

// A name is shown as RFC 2253 has it, on all releases of Go, whatever a client puts in.
func TestRFC2253(t *testing.T) {
	attr := func(oid asn1.ObjectIdentifier, tag int, value string) attribute {
		return attribute{oid, asn1.RawValue{Tag: tag, Bytes: []byte(value)}}
	}
	cn, o, country, unknown := asn1.ObjectIdentifier{2, 5, 4, 3}, asn1.ObjectIdentifier{2, 5, 4, 10}, asn1.ObjectIdentifier{2, 5, 4, 6}, asn1.ObjectIdentifier{1, 2, 3}
	const (
		null, integer                           = asn1.TagNull, asn1.TagInteger
		printable, utf8, t61, bmp, ia5, numeric = asn1.TagPrintableString, asn1.TagUTF8String, asn1.TagT61String, asn1.TagBMPString, asn1.TagIA5String, asn1.TagNumericString
		visible                                 = 26 // which Go doesn't know
	)
	for want, name := range map[string][]attributeSET{
		"":                            {},
		"CN=a,O=b,C=DE":               {{attr(country, printable, "DE")}, {attr(o, printable, "b")}, {attr(cn, printable, "a")}},
		"1.2.3=#13017a+CN=x+O=y,C=DE": {{attr(country, printable, "DE")}, {attr(cn, printable, "x"), attr(o, printable, "y"), attr(unknown, printable, "z")}},
		`CN=\#\,\+\"\\\<\>\; #=é`:     {{attr(cn, utf8, `#,+"\<>; #=é`)}},
		`CN=\  a \ `:                  {{attr(cn, utf8, "  a  ")}},
		"CN=\x00\r\n\x7f":             {{attr(cn, ia5, "\x00\r\n\x7f")}},
		"CN=":                         {{attr(cn, utf8, "")}},
		"CN=éÿ":                       {{attr(cn, t61, "\xe9\xff")}},
		"CN=é":                        {{attr(cn, bmp, "\x00\xe9")}},
		"CN=12":                       {{attr(cn, numeric, "12")}},
		"1.2.3=#0c02c3a9":             {{attr(unknown, utf8, "é")}},
		"1.2.3=#1401e9":               {{attr(unknown, t61, "\xe9")}},
		"1.2.3=#1a0178":               {{attr(unknown, visible, "x")}},
		"1.2.3=#0500":                 {{attr(unknown, null, "")}},
		"CN=#1a0178":                  {{attr(cn, visible, "x")}},
		"CN=#130100":                  {{attr(cn, printable, "\x00")}},
		"CN=#0c01ff":                  {{attr(cn, utf8, "\xff")}},
		"CN=#020105":                  {{attr(cn, integer, "\x05")}},
		"CN=#0500":                    {{attr(cn, null, "")}},
	} {
		raw, err := asn1.Marshal(name)
		if err != nil {
			t.Fatal(err)
		}
		if got := rfc2253(raw); got != want {
			t.Errorf("%x is shown as %q, want %q", raw, got, want)
		}
	}
}
