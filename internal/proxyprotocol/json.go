package proxyprotocol

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/pires/go-proxyproto"

	"httpserver/internal/head"
)

// This file holds the JSON form of a header.

// transports are the names of version 1, and for what that doesn't know names like these.
var transports = map[proxyproto.AddressFamilyAndProtocol]string{
	proxyproto.UNSPEC: "UNKNOWN", proxyproto.TCPv4: "TCP4", proxyproto.TCPv6: "TCP6", proxyproto.UDPv4: "UDP4", proxyproto.UDPv6: "UDP6",
	proxyproto.UnixStream: "UNIX", proxyproto.UnixDatagram: "UNIXGRAM",
}

// WriteJSON writes all that h says.
func (h *Header) WriteJSON(j head.JSON) {
	command := "PROXY" // the one of version 1
	if h.parsed.Version == 2 && h.parsed.Command.IsLocal() {
		command = "LOCAL"
	}
	fmt.Fprintf(j, `{"version":%d`, h.parsed.Version)
	j.Members(",", "command", command, "transport", transports[h.parsed.TransportProtocol])
	for _, end := range []struct {
		name string
		addr net.Addr
	}{{"source", h.parsed.SourceAddr}, {"destination", h.parsed.DestinationAddr}} {
		if end.addr != nil {
			j.Members(",", end.name, h.shown(end.addr))
		}
	}
	j.WriteString(`,"tlvs":`)
	writeTLVs(j, h.tlvs, false)
	j.WriteByte('}')
}

// writeTLVs writes an array. Of those in one of TLS none is nested further: there is none of TLS among them
// (section 2.2.6), but a client could put 500 into each other. It copies no value: a header has room for
// 1,361, and a client that reads nothing has 100 answers wait.
func writeTLVs(j head.JSON, s string, nested bool) {
	j.WriteByte('[')
	begin := `{"type":"0x`
	for s != "" {
		kind, value, rest, _ := cutTLV(s)
		s = rest
		j.WriteString(begin)
		begin = `,{"type":"0x`
		j.Write(hex.AppendEncode(j.AvailableBuffer(), []byte{byte(kind)}))
		j.WriteByte('"')
		if name := typeNames[kind]; name != "" {
			j.Members(",", "name", name)
		}
		switch {
		case kind == proxyproto.PP2_TYPE_NOOP: // whose value is to be ignored
		case kind == proxyproto.PP2_TYPE_SSL && !nested && len(value) >= fixedTLS && isTLVs(value[fixedTLS:]):
			fmt.Fprintf(j, `,"client":%d,"verify":%d,"tlvs":`, value[0], binary.BigEndian.Uint32([]byte(value[1:fixedTLS])))
			writeTLVs(j, value[fixedTLS:], true)
		case isText(value) && kind != proxyproto.PP2_TYPE_CRC32C:
			j.Members(",", "value", value)
		default:
			j.WriteString(`,"base64":"`)
			for value != "" {
				part := value[:min(len(value), 24)]
				value = value[len(part):]
				j.Write(base64.StdEncoding.AppendEncode(j.AvailableBuffer(), []byte(part)))
			}
			j.WriteByte('"')
		}
		j.WriteByte('}')
	}
	j.WriteByte(']')
}

// fixedTLS is how long the client and verify of a TLV of TLS are, in bytes.
const fixedTLS = 5

// cutTLV returns the first TLV of s, and what is behind it. It reports false where s doesn't begin with one
// (section 2.2).
func cutTLV(s string) (kind proxyproto.PP2Type, value, rest string, ok bool) {
	if len(s) < 3 {
		return 0, "", "", false
	}
	end := 3 + int(s[1])<<8 + int(s[2])
	if end > len(s) {
		return 0, "", "", false
	}
	return proxyproto.PP2Type(s[0]), s[3:end], s[end:], true
}

// isTLVs reports whether s is nothing but TLVs.
func isTLVs(s string) bool {
	ok := true
	for ok && s != "" {
		_, _, s, ok = cutTLV(s)
	}
	return ok
}

// isText reports whether a value is to be read as it is.
func isText(value string) bool {
	return utf8.ValidString(value) && !strings.ContainsFunc(value, func(c rune) bool { return !unicode.IsPrint(c) })
}

// typeNames are those of section 2.2.
var typeNames = map[proxyproto.PP2Type]string{
	0x01: "PP2_TYPE_ALPN", 0x02: "PP2_TYPE_AUTHORITY", 0x03: "PP2_TYPE_CRC32C", 0x04: "PP2_TYPE_NOOP", 0x05: "PP2_TYPE_UNIQUE_ID",
	0x20: "PP2_TYPE_SSL", 0x21: "PP2_SUBTYPE_SSL_VERSION", 0x22: "PP2_SUBTYPE_SSL_CN", 0x23: "PP2_SUBTYPE_SSL_CIPHER",
	0x24: "PP2_SUBTYPE_SSL_SIG_ALG", 0x25: "PP2_SUBTYPE_SSL_KEY_ALG", 0x26: "PP2_SUBTYPE_SSL_GROUP",
	0x27: "PP2_SUBTYPE_SSL_SIG_SCHEME", 0x28: "PP2_SUBTYPE_SSL_CLIENT_CERT", 0x30: "PP2_TYPE_NETNS",
}
