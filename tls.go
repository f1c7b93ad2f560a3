package main

import "crypto/tls"

// This file holds what is TLS's: the certificate, and the connection over it.

// loadTLS returns the configuration that -cert and -key ask for, or nil.
func loadTLS() (*tls.Config, error) {
	if *certFile == "" {
		return nil, nil
	}
	cert, err := tls.LoadX509KeyPair(*certFile, *keyFile)
	return &tls.Config{
		Certificates: []tls.Certificate{cert},
		MinVersion:   tls.VersionTLS12,
		NextProtos:   []string{http2ALPN, "http/1.1"},
	}, err
}

// http2ALPN is the name by which TLS clients agree on HTTP/2 (RFC 9113 section 3.2).
const http2ALPN = "h2"

// A tlsConn is a conn over TLS. Through ConnectionState net/http fills in
// Request.TLS, and learns that HTTP/2 is not to be expected in the clear.
type tlsConn struct {
	*conn
	tls *tls.Conn
}

func (c tlsConn) ConnectionState() tls.ConnectionState { return c.tls.ConnectionState() }
