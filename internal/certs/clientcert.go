package certs

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"httpserver/internal/head"
)

// This file holds what JSON says of TLS, and of the client's certificate.

// WriteTLS writes what state says of the connection, and of the client's certificate. The members that more
// writes come last, each after a comma.
func WriteTLS(j head.JSON, state *tls.ConnectionState, more func()) {
	j.Members("{", "version", tls.VersionName(state.Version), "cipherSuite", tls.CipherSuiteName(state.CipherSuite),
		"serverName", state.ServerName, "alpn", state.NegotiatedProtocol)
	j.WriteString(`,"resumed":` + strconv.FormatBool(state.DidResume))
	if state.CurveID != 0 {
		j.Members(",", "keyExchangeGroup", state.CurveID.String())
	}
	if len(state.PeerCertificates) > 0 {
		j.WriteString(`,"clientCertificate":`)
		writeClientCertificate(j, state.PeerCertificates)
	}
	more()
	j.WriteByte('}')
}

// writeClientCertificate writes the first certificate of chain, and how many there are.
func writeClientCertificate(j head.JSON, chain []*x509.Certificate) {
	cert := chain[0]
	j.Members("{", "subject", rfc2253(cert.RawSubject), "issuer", rfc2253(cert.RawIssuer),
		"serialNumber", fmt.Sprintf("%02X", cert.SerialNumber.Bytes()),
		"notBefore", cert.NotBefore.UTC().Format(time.RFC3339), "notAfter", cert.NotAfter.UTC().Format(time.RFC3339))
	j.WriteString(`,"sans":`)
	j.Strings(namesOf(cert))
	j.Members(",", "sha256", fmt.Sprintf("%x", sha256.Sum256(cert.Raw)))
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
