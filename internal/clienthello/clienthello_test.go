package clienthello

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"httpserver/internal/head"
)

// infoOf returns what crypto/tls makes of a ClientHello in its record.
func infoOf(t testing.TB, record []byte) *tls.ClientHelloInfo {
	t.Helper()
	client, server := net.Pipe()
	defer client.Close()
	defer server.Close()
	go client.Write(record)
	var got *tls.ClientHelloInfo
	stop := errors.New("stop")
	err := tls.Server(discarding{server}, &tls.Config{GetConfigForClient: func(info *tls.ClientHelloInfo) (*tls.Config, error) {
		got = info
		return nil, stop
	}}).Handshake()
	if got == nil {
		t.Fatal(err)
	}
	return got
}

// A discarding connection takes what is written, and drops it.
type discarding struct{ net.Conn }

func (discarding) Write(p []byte) (int, error) { return len(p), nil }

// jsonOf returns the JSON form of h.
func jsonOf(h *Hello) string {
	var out bytes.Buffer
	j := head.JSON{Writer: bufio.NewWriter(&out)}
	h.WriteJSON(j)
	j.Flush()
	return out.String()
}

// JA4's own captures have the JA4 that JA4 says.
func TestVectors(t *testing.T) {
	text, err := os.ReadFile("testdata/ja4.txt")
	if err != nil {
		t.Fatal(err)
	}
	count := 0
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if fields[0] == "#" {
			continue
		}
		record, err := hex.DecodeString(fields[2])
		if err != nil {
			t.Fatal(err)
		}
		if got := Keep(infoOf(t, record)).JA4(); got != fields[0] {
			t.Errorf("%s has %s, want %s", fields[1], got, fields[0])
		}
		count++
	}
	if count < 13 {
		t.Errorf("only %d vectors", count)
	}
}

// What a hello offers is shown in its order, by names, with GREASE and what has no name by number.
func TestJSON(t *testing.T) {
	info := &tls.ClientHelloInfo{
		CipherSuites:      []uint16{0x3a3a, tls.TLS_AES_128_GCM_SHA256, 0x00ff, tls.TLS_RSA_WITH_AES_128_CBC_SHA},
		Extensions:        []uint16{0xfafa, 43, 0, 16},
		SupportedCurves:   []tls.CurveID{0x1a1a, tls.X25519, 0x0100, tls.CurveP256},
		SignatureSchemes:  []tls.SignatureScheme{tls.ECDSAWithP256AndSHA256, 0x0a0a, 0x0402},
		SupportedVersions: []uint16{0x2a2a, tls.VersionTLS13, 0x7f1c, tls.VersionTLS12},
		SupportedProtos:   []string{"h2", "\xfa\xfa"},
	}
	want := `{"ja4":"t00d0303h2_c30089c37689_843df5718f31","versions":["GREASE 0x2A2A","TLS 1.3","0x7F1C","TLS 1.2"],` +
		`"cipherSuites":["GREASE 0x3A3A","TLS_AES_128_GCM_SHA256","0x00FF","TLS_RSA_WITH_AES_128_CBC_SHA"],"extensions":["GREASE 0xFAFA","0x002B","0x0000","0x0010"],` +
		`"groups":["GREASE 0x1A1A","X25519","0x0100","CurveP256"],"signatureSchemes":["ECDSAWithP256AndSHA256","GREASE 0x0A0A","0x0402"],"alpn":["h2","GREASE 0xFAFA"]}`
	if got := jsonOf(Keep(info)); got != want {
		t.Errorf("%s, want\n%s", got, want)
	}
}

// Rules of JA4 that its captures don't show.
func TestJA4(t *testing.T) {
	for _, test := range []struct {
		what string
		info tls.ClientHelloInfo
		want string
	}{
		{"nothing", tls.ClientHelloInfo{}, "t00i000000_000000000000_000000000000"},
		{"of TLS 1.2 alone", tls.ClientHelloInfo{SupportedVersions: []uint16{tls.VersionTLS12, tls.VersionTLS11}}, "t12i000000_000000000000_000000000000"},
		{"over 99", tls.ClientHelloInfo{CipherSuites: slices.Repeat([]uint16{1}, 100), Extensions: slices.Repeat([]uint16{0}, 100)}, "t00d999900_"},
		{"nearly GREASE", tls.ClientHelloInfo{CipherSuites: []uint16{0x0a1a, 0x0a0b, 0x1a1a}}, "t00i020000_"},
		{"of DTLS", tls.ClientHelloInfo{Extensions: []uint16{43}, SupportedVersions: []uint16{tls.VersionTLS13, 0xfeff}}, "td1i000100_"},
		{"an unknown version", tls.ClientHelloInfo{Extensions: []uint16{43}, SupportedVersions: []uint16{0x7f1c}}, "t00i000100_"},
	} {
		if got := Keep(&test.info).JA4(); !strings.HasPrefix(got, test.want) {
			t.Errorf("%s: %s, want %s", test.what, got, test.want)
		}
	}
}

// The first protocol's characters are those of its hexadecimal form, where they are odd: the examples of JA4's
// rules.
func TestJA4ALPN(t *testing.T) {
	for protocol, want := range map[string]string{"": "00", "h2": "h2", "http/1.1": "h1", "h": "hh", "\xab": "ab", " ": "20", "\xab\xcd": "ad", " a": "21",
		"0\xab": "3b", "a ": "60", "01\xab\xcd": "3d", "0\xab\xcd1": "01", "\x0a\x0a": "xx", "Az": "Az", "zA": "zA"} {
		h := Keep(&tls.ClientHelloInfo{SupportedProtos: []string{protocol, "x"}})
		if got := h.ja4ALPN(); got != want {
			t.Errorf("%q: %s, want %s", protocol, got, want)
		}
	}
}

// Without its extension, only the version that the hello says is shown.
func TestVersionsWithoutExtension(t *testing.T) {
	h := Keep(&tls.ClientHelloInfo{SupportedVersions: []uint16{tls.VersionTLS12, tls.VersionTLS11, tls.VersionTLS10}})
	if got, want := jsonOf(h), `"versions":["TLS 1.2"]`; !strings.Contains(got, want) {
		t.Errorf("%s, want %s", got, want)
	}

	// Versions 3.4 and 3.5, which crypto/tls tells alike.
	for _, version := range []byte{4, 5} {
		hello := "\x01\x00\x00\x29\x03" + string(version) + strings.Repeat("\x00", 33) + "\x00\x02\x13\x01\x01\x00"
		if h := Keep(infoOf(t, []byte("\x16\x03\x01\x00\x2d"+hello))); h != nil {
			t.Errorf("%s is kept of a hello of version 3.%d", jsonOf(h), version)
		}
	}
}

// What is kept is bounded, whatever it is made of.
func TestKeptIsBounded(t *testing.T) {
	for what, test := range map[string]struct {
		info tls.ClientHelloInfo
		kept bool
	}{
		"512 suites":            {tls.ClientHelloInfo{CipherSuites: make([]uint16, maxKept/2)}, true},
		"more":                  {tls.ClientHelloInfo{CipherSuites: make([]uint16, maxKept/2), Extensions: make([]uint16, 1)}, false},
		"60 names":              {tls.ClientHelloInfo{SupportedProtos: slices.Repeat([]string{"a"}, 60)}, true},
		"61 names":              {tls.ClientHelloInfo{SupportedProtos: slices.Repeat([]string{"a"}, 61)}, false},
		"the sum of both kinds": {tls.ClientHelloInfo{SupportedProtos: slices.Repeat([]string{"a"}, 50), SignatureSchemes: make([]tls.SignatureScheme, 300)}, false},
	} {
		h := Keep(&test.info)
		if (h != nil) != test.kept {
			t.Errorf("%s: kept: %v", what, h != nil)
		}
		if h != nil {
			if size := 2*(cap(h.suites)+cap(h.extensions)) + int(unsafe.Sizeof(""))*cap(h.alpn); size > 2*maxKept {
				t.Errorf("%s: %d bytes are kept", what, size)
			}
		}
	}
}

func BenchmarkKeep(b *testing.B) {
	text, err := os.ReadFile("testdata/ja4.txt")
	if err != nil {
		b.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	record, _ := hex.DecodeString(strings.Fields(lines[len(lines)-1])[2])
	info := infoOf(b, record)
	b.ReportAllocs()
	for b.Loop() {
		Keep(info)
	}
}
