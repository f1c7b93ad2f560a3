package main

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"
)

// This file holds what is TLS's but our certificate: the connection over it, and the
// client's certificate.

// newTLSConfig returns the configuration that presents c, and asks for the client's
// certificate if askClient is set.
func newTLSConfig(c *certificate, askClient bool) *tls.Config {
	config := &tls.Config{
		GetCertificate: c.get,
		MinVersion:     tls.VersionTLS12,
		NextProtos:     []string{http2ALPN, "http/1.1"},
	}
	if askClient {
		config.ClientAuth = tls.RequestClientCert
	}
	return config
}

// http2ALPN is the name by which TLS clients agree on HTTP/2 (RFC 9113 section 3.2).
const http2ALPN = "h2"

// overTLS returns the conn over tc, whose handshake is done. net/http takes HTTP/2 from
// it as it does in the clear, and refuses it by itself over what HTTP/2 prohibits.
func overTLS(tc *tls.Conn, s *slot, l *limits) net.Conn {
	state := tc.ConnectionState()
	if prohibited(state) {
		return tc
	}
	c := newConn(tc, s, l, logRefused)
	if state.NegotiatedProtocol != http2ALPN {
		return tlsConn{c, tc}
	}
	c.tls = &state
	return c
}

// prohibited reports whether state is of HTTP/2 over what it prohibits: all of TLS 1.2
// but those with ephemeral keys and AEAD (RFC 9113 section 9.2.2).
func prohibited(state tls.ConnectionState) bool {
	suite := tls.CipherSuiteName(state.CipherSuite)
	return state.NegotiatedProtocol == http2ALPN && state.Version == tls.VersionTLS12 &&
		!(strings.HasPrefix(suite, "TLS_ECDHE_") && (strings.Contains(suite, "_GCM_") || strings.Contains(suite, "_POLY1305_")))
}

// A tlsConn is a conn of HTTP/1 over TLS. Through ConnectionState net/http fills in
// Request.TLS, and learns that HTTP/2 is not to be expected.
type tlsConn struct {
	*conn
	tls *tls.Conn
}

func (c tlsConn) ConnectionState() tls.ConnectionState { return c.tls.ConnectionState() }

// tls writes state.
func (j jsonWriter) tls(state *tls.ConnectionState) {
	j.members("{", "version", tls.VersionName(state.Version), "cipherSuite", tls.CipherSuiteName(state.CipherSuite),
		"serverName", state.ServerName, "alpn", state.NegotiatedProtocol)
	j.WriteString(`,"resumed":` + strconv.FormatBool(state.DidResume))
	if state.CurveID != 0 {
		j.members(",", "keyExchangeGroup", state.CurveID.String())
	}
	if len(state.PeerCertificates) > 0 {
		j.WriteString(`,"clientCertificate":`)
		j.clientCertificate(state.PeerCertificates)
	}
	j.WriteByte('}')
}

// clientCertificate writes the first certificate of chain, and how many there are.
func (j jsonWriter) clientCertificate(chain []*x509.Certificate) {
	cert := chain[0]
	j.members("{", "subject", rfc2253(cert.RawSubject), "issuer", rfc2253(cert.RawIssuer),
		"serialNumber", fmt.Sprintf("%02X", cert.SerialNumber.Bytes()),
		"notBefore", cert.NotBefore.UTC().Format(time.RFC3339), "notAfter", cert.NotAfter.UTC().Format(time.RFC3339))
	j.WriteString(`,"sans":`)
	j.strings(namesOf(cert))
	j.members(",", "sha256", fmt.Sprintf("%x", sha256.Sum256(cert.Raw)))
	fmt.Fprintf(j, `,"chain":%d}`, len(chain))
}

// rfc2253 returns the name raw in its own order, which a pkix.Name has lost.
func rfc2253(raw []byte) string {
	var name []attributeSET
	if _, err := asn1.Unmarshal(raw, &name); err != nil {
		return ""
	}
	slices.Reverse(name)
	parts := make([]string, len(name))
	for i, set := range name {
		var attributes []string
		for _, a := range set {
			attributes = append(attributes, a.String())
		}
		parts[i] = strings.Join(attributes, "+")
	}
	return strings.Join(parts, ",")
}

// An attributeSET is a part of a name. By its suffix encoding/asn1 knows that it is a SET.
type attributeSET []attribute

type attribute struct {
	Type  asn1.ObjectIdentifier
	Value asn1.RawValue
}

// String returns a as pkix has it. Where its type has no short name, or its value is no string,
// the value is shown as it is encoded (RFC 2253 section 2.4): what pkix makes of that depends on
// the release of Go.
func (a attribute) String() string {
	var value string
	_, err := asn1.Unmarshal(a.Value.FullBytes, &value)
	s := pkix.RDNSequence{{{Type: a.Type, Value: value}}}.String()
	name, _, _ := strings.Cut(s, "=")
	if err == nil && name != a.Type.String() {
		return s
	}
	return fmt.Sprintf("%s=#%x", name, a.Value.FullBytes)
}
