// Package clienthello keeps what a TLS client offers in its ClientHello (RFC 8446 section 4.1.2), in the
// order offered, to be shown later.
package clienthello

import (
	"cmp"
	"crypto/tls"
	"fmt"
	"slices"

	"httpserver/internal/head"
)

// A Hello is what a client offers.
type Hello struct {
	suites, extensions, groups, schemes, versions []uint16
	alpn                                          []string
}

// maxKept is how much a Hello takes at most, in bytes. Those of browsers take 200. Each answer in JSON names
// all of it.
const maxKept = 1 << 10

// supportedVersions is the number of the extension that lists versions. Without it crypto/tls makes a list
// of those that it knows, up to the version that the hello says. So TLS 1.3 stands for any later one too.
const supportedVersions = 43

// Keep returns what info says, or nil where that takes more than 1 KiB, or where the hello's version can't be
// told.
func Keep(info *tls.ClientHelloInfo) *Hello {
	versions := info.SupportedVersions
	if !slices.Contains(info.Extensions, supportedVersions) {
		versions = versions[:min(len(versions), 1)]
		if slices.Contains(versions, tls.VersionTLS13) {
			return nil
		}
	}
	count, size := len(info.CipherSuites)+len(info.Extensions)+len(info.SupportedCurves)+len(info.SignatureSchemes)+len(versions), 0
	for _, name := range info.SupportedProtos {
		size += 16 + len(name) // with the string's header
	}
	if size += 2 * count; size > maxKept {
		return nil
	}
	all := make([]uint16, 0, count) // of one piece, which takes less
	return &Hello{
		suites:     keep(&all, info.CipherSuites),
		extensions: keep(&all, info.Extensions),
		groups:     keep(&all, info.SupportedCurves),
		schemes:    keep(&all, info.SignatureSchemes),
		versions:   keep(&all, versions),
		alpn:       slices.Clone(info.SupportedProtos),
	}
}

// keep appends a list to all, and returns it there.
func keep[N ~uint16](all *[]uint16, list []N) []uint16 {
	begin := len(*all)
	for _, n := range list {
		*all = append(*all, uint16(n))
	}
	return (*all)[begin:]
}

// isGREASE reports whether n is one of the values that mean nothing (RFC 8701).
func isGREASE(n uint16) bool { return n&0x0f0f == 0x0a0a && n>>8 == n&0xff }

// isGREASEName reports the same of a protocol, whose two bytes are such a value.
func isGREASEName(protocol string) bool {
	return len(protocol) == 2 && isGREASE(uint16(protocol[0])<<8|uint16(protocol[1]))
}

// WriteJSON writes h, by names where crypto/tls knows them.
func (h *Hello) WriteJSON(j head.JSON) {
	j.Members("{", "ja4", h.JA4())
	for _, list := range []struct {
		name    string
		numbers []uint16
		nameOf  func(uint16) string
	}{
		{"versions", h.versions, tls.VersionName},
		{"cipherSuites", h.suites, func(n uint16) string { return cmp.Or(suiteNames[n], number(n)) }},
		{"extensions", h.extensions, number},
		{"groups", h.groups, func(n uint16) string { return known(n, "CurveID", tls.CurveID(n)) }},
		{"signatureSchemes", h.schemes, func(n uint16) string { return known(n, "SignatureScheme", tls.SignatureScheme(n)) }},
	} {
		writeNames(j, list.name, list.numbers, func(n uint16) string {
			if isGREASE(n) {
				return "GREASE " + number(n)
			}
			return list.nameOf(n)
		})
	}
	writeNames(j, "alpn", h.alpn, func(protocol string) string {
		if isGREASEName(protocol) {
			return fmt.Sprintf("GREASE 0x%X", protocol)
		}
		return protocol
	})
	j.WriteByte('}')
}

// writeNames writes a member that is the array of list's names. It makes one after the other: a client that
// reads slowly is to hold no list of them.
func writeNames[T any](j head.JSON, member string, list []T, nameOf func(T) string) {
	j.WriteString(`,"` + member + `":[`)
	for i, one := range list {
		if i > 0 {
			j.WriteByte(',')
		}
		j.String(nameOf(one))
	}
	j.WriteByte(']')
}

// suiteNames are those of crypto/tls, whose CipherSuiteName makes the list anew for each.
var suiteNames = func() map[uint16]string {
	names := map[uint16]string{}
	for _, suite := range slices.Concat(tls.CipherSuites(), tls.InsecureCipherSuites()) {
		names[suite.ID] = suite.Name
	}
	return names
}()

// number returns n as crypto/tls shows what has no name.
func number(n uint16) string { return fmt.Sprintf("0x%04X", n) }

// known returns the name of n, of a type that shows those without one as kind(n).
func known(n uint16, kind string, named fmt.Stringer) string {
	if name := named.String(); name != fmt.Sprintf("%s(%d)", kind, n) {
		return name
	}
	return number(n)
}
