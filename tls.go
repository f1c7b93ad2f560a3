package main

import (
	"crypto/tls"
	"net"
	"strings"
)

// This file holds what is TLS's but our certificate: the connection over it.

// newTLSConfig returns the configuration that presents c.
func newTLSConfig(c *certificate) *tls.Config {
	return &tls.Config{
		GetCertificate: c.get,
		MinVersion:     tls.VersionTLS12,
		NextProtos:     []string{http2ALPN, "http/1.1"},
	}
}

// http2ALPN is the name by which TLS clients agree on HTTP/2 (RFC 9113 section 3.2).
const http2ALPN = "h2"

// overTLS returns the conn over tc, whose handshake is done. net/http takes HTTP/2 from
// it as it does in the clear, and refuses it by itself over what HTTP/2 prohibits.
func overTLS(tc *tls.Conn, p *place, l *limits) net.Conn {
	state := tc.ConnectionState()
	if prohibited(state) {
		return tc
	}
	c := newConn(tc, p, l, logRefused)
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
