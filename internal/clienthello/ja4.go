package clienthello

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
)

// This file holds JA4, a fingerprint of TLS clients, as https://github.com/FoxIO-LLC/ja4 has it.

// versionCodes are what JA4 calls versions.
var versionCodes = map[uint16]string{0x0304: "13", 0x0303: "12", 0x0302: "11", 0x0301: "10", 0x0300: "s3", 0x0002: "s2",
	0xfeff: "d1", 0xfefd: "d2", 0xfefc: "d3"}

// The extensions that JA4 counts but doesn't hash: what they say is of the server asked, not of the client.
const (
	serverName = 0
	alpn       = 16
)

// JA4 returns the JA4 of a client over TCP. GREASE counts nowhere.
func (h *Hello) JA4() string {
	version := "00"
	if versions := withoutGREASE(h.versions); len(versions) > 0 {
		if code, ok := versionCodes[slices.Max(versions)]; ok {
			version = code
		}
	}
	to := "i" // an address
	if slices.Contains(h.extensions, serverName) {
		to = "d" // a domain
	}
	suites, extensions := withoutGREASE(h.suites), withoutGREASE(h.extensions)
	begin := fmt.Sprintf("t%s%s%02d%02d%s", version, to, min(len(suites), 99), min(len(extensions), 99), h.ja4ALPN())

	slices.Sort(suites)
	hashed := slices.DeleteFunc(extensions, func(n uint16) bool { return n == serverName || n == alpn })
	slices.Sort(hashed)
	offered := list(hashed)
	if schemes := withoutGREASE(h.schemes); len(schemes) > 0 {
		offered += "_" + list(schemes)
	}
	return begin + "_" + hash(list(suites)) + "_" + hash(offered)
}

// ja4ALPN returns the first and the last character of the first protocol that isn't GREASE. Where one of them
// is neither a letter nor a digit, they are those of its hexadecimal form.
func (h *Hello) ja4ALPN() string {
	i := slices.IndexFunc(h.alpn, func(protocol string) bool { return !isGREASEName(protocol) })
	if i < 0 || h.alpn[i] == "" {
		return "00"
	}
	first := h.alpn[i]
	if !isAlphanumeric(first[0]) || !isAlphanumeric(first[len(first)-1]) {
		first = fmt.Sprintf("%x", first)
	}
	return first[:1] + first[len(first)-1:]
}

func isAlphanumeric(c byte) bool {
	return '0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z'
}

// withoutGREASE returns a copy of numbers.
func withoutGREASE(numbers []uint16) []uint16 {
	return slices.DeleteFunc(slices.Clone(numbers), isGREASE)
}

// list returns numbers as JA4 hashes them.
func list(numbers []uint16) string {
	var b strings.Builder
	for i, n := range numbers {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "%04x", n)
	}
	return b.String()
}

// hash returns what JA4 has for a list.
func hash(list string) string {
	if list == "" {
		return "000000000000"
	}
	return fmt.Sprintf("%x", sha256.Sum256([]byte(list)))[:12]
}
