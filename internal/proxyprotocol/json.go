package proxyprotocol

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"iter"
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
	writeTLVs(j, h.tlvs, true)
	j.WriteByte('}')
}

// writeTLVs writes an array. Only one of the header itself may be opened: in one of TLS there is none of TLS
// (section 2.2.6), but a client could put 500 into each other. It copies nothing: a header has room for 1,360.
func writeTLVs(j head.JSON, s string, open bool) {
	j.WriteByte('[')
	isFirst := true
	for kind, value := range tlvs(s) {
		if !isFirst {
			j.WriteByte(',')
		}
		isFirst = false
		fmt.Fprintf(j, `{"type":"0x%02x"`, byte(kind))
		if name := typeNames[kind]; name != "" {
			j.Members(",", "name", name)
		}
		switch {
		case kind == proxyproto.PP2_TYPE_NOOP: // whose value is to be ignored
		case kind == proxyproto.PP2_TYPE_SSL && open && len(value) >= fixedTLS && isTLVs(value[fixedTLS:]):
			fmt.Fprintf(j, `,"client":%d,"verify":%d,"tlvs":`, value[0], binary.BigEndian.Uint32([]byte(value[1:fixedTLS])))
			writeTLVs(j, value[fixedTLS:], false)
		case isText(value):
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

// isTLVs reports whether s is nothing but TLVs.
func isTLVs(s string) bool {
	_, err := proxyproto.SplitTLVs([]byte(s))
	return err == nil
}

// tlvs returns the types and values in s, which is TLVs (section 2.2).
func tlvs(s string) iter.Seq2[proxyproto.PP2Type, string] {
	return func(yield func(proxyproto.PP2Type, string) bool) {
		for s != "" {
			end := 3 + int(s[1])<<8 + int(s[2])
			if !yield(proxyproto.PP2Type(s[0]), s[3:end]) {
				return
			}
			s = s[end:]
		}
	}
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
