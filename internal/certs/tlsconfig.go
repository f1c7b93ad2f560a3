package certs

import (
	"crypto/tls"
)

// NewConfig returns the configuration that presents c, and asks for the client's
// certificate if askClient is set.
func NewConfig(c *Certificate, askClient bool) *tls.Config {
	config := &tls.Config{
		GetCertificate: c.get,
		MinVersion:     tls.VersionTLS12,
		NextProtos:     []string{"h2", "http/1.1"}, // RFC 9113 section 3.2
	}
	if askClient {
		config.ClientAuth = tls.RequestClientCert
	}
	return config
}
