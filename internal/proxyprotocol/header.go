package proxyprotocol

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/pires/go-proxyproto"
	"github.com/pires/go-proxyproto/tlvparse"

	"httpserver/internal/head"
)

// This file holds a header: how long it is, and what it says.

// Sizes of headers, in bytes.
const (
	maxV1    = 107 // with its CRLF, as section 2.1 has it
	fixedV2  = 16  // of version 2, before addresses
	maxAfter = 4 << 10
	// maxAfter bounds addresses and TLVs. A client's certificate among them takes some 2 KB.
)

var (
	errNone = errors.New("no PROXY protocol header")
	errLong = fmt.Errorf("PROXY protocol header too long: at most %d bytes in version 1, %d in version 2", maxV1, fixedV2+maxAfter)
)

// beginV1 is what a header of version 1 begins with.
const beginV1 = "PROXY "

// headerSize returns how many bytes the header takes that begins with b, or more than b has where that
// can't be told yet. It returns errNone where b doesn't begin with one.
func headerSize(b []byte) (int, error) {
	switch {
	case bytes.HasPrefix(b, []byte(beginV1)):
		end := bytes.IndexByte(b[:min(len(b), maxV1)], '\n') + 1
		switch {
		case end > 0:
			return end, nil
		case len(b) >= maxV1:
			return 0, errLong
		}
		return len(b) + 1, nil
	case bytes.HasPrefix(b, proxyproto.SIGV2):
		if len(b) < fixedV2 {
			return fixedV2, nil
		}
		after := int(binary.BigEndian.Uint16(b[fixedV2-2:]))
		if after > maxAfter {
			return 0, errLong
		}
		return fixedV2 + after, nil
	case strings.HasPrefix(beginV1, string(b)), bytes.HasPrefix(proxyproto.SIGV2, b):
		return len(b) + 1, nil
	}
	return 0, errNone
}

// isBegun reports whether b, which begins like a header, is one and not the beginning of a request.
func isBegun(b []byte) bool { return len(b) >= len(beginV1) }

// A Header is what a proxy says of a connection.
type Header struct{ parsed *proxyproto.Header }

// parse returns the header that b is.
func parse(b []byte) (*Header, error) {
	h, err := proxyproto.Read(bufio.NewReaderSize(bytes.NewReader(b), len(b)))
	if err == nil {
		_, err = h.TLVs()
	}
	if err != nil {
		return nil, fmt.Errorf("malformed PROXY protocol header: %s", strings.TrimPrefix(err.Error(), "proxyproto: "))
	}
	return &Header{h}, nil
}

// Source returns the address for which the proxy connects, or "" where it says none.
func (h *Header) Source() string {
	if h.parsed.Command.IsLocal() || h.parsed.TransportProtocol.IsUnix() {
		return ""
	}
	return h.shown(h.parsed.SourceAddr)
}

// shown returns how addr is shown, or "" for none.
func (h *Header) shown(addr net.Addr) string {
	switch addr := addr.(type) {
	case *net.UnixAddr:
		return addr.Name
	case *net.TCPAddr:
		return h.shownPort(addr.IP, addr.Port)
	case *net.UDPAddr:
		return h.shownPort(addr.IP, addr.Port)
	}
	return ""
}

// shownPort returns ip and port in the family in which they came: net.IP would make ::ffff:192.0.2.1 one
// of version 4.
func (h *Header) shownPort(ip net.IP, port int) string {
	addr, _ := netip.AddrFromSlice(ip.To16())
	if h.parsed.TransportProtocol.IsIPv4() {
		addr = addr.Unmap()
	}
	return netip.AddrPortFrom(addr, uint16(port)).String()
}

// V1 returns h as version 1 spells it, without CRLF. What that can't say is UNKNOWN there.
func (h *Header) V1() string {
	v1 := *h.parsed
	v1.Version = 1
	if line, err := v1.Format(); err == nil && v1.Command.IsProxy() {
		return strings.TrimSuffix(string(line), "\r\n")
	}
	return "PROXY UNKNOWN"
}

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
	tlvs, _ := h.parsed.TLVs() // parse has seen them
	j.WriteString(`,"tlvs":`)
	writeTLVs(j, tlvs, true)
	j.WriteByte('}')
}

// writeTLVs writes an array. Only one of the header itself may be opened: in one of TLS there is none of TLS
// (section 2.2.6), but a client could put 500 into each other.
func writeTLVs(j head.JSON, tlvs []proxyproto.TLV, open bool) {
	j.WriteByte('[')
	for i, tlv := range tlvs {
		if i > 0 {
			j.WriteByte(',')
		}
		j.Members("{", "type", fmt.Sprintf("0x%02x", byte(tlv.Type)))
		if name := typeNames[tlv.Type]; name != "" {
			j.Members(",", "name", name)
		}
		switch ssl, err := tlvparse.SSL(tlv); {
		case tlv.Type == proxyproto.PP2_TYPE_NOOP: // whose value the library drops
		case err == nil && open:
			fmt.Fprintf(j, `,"client":%d,"verify":%d,"tlvs":`, ssl.Client, ssl.Verify)
			writeTLVs(j, ssl.TLV, false)
		case isText(tlv.Value):
			j.Members(",", "value", string(tlv.Value))
		default:
			j.Members(",", "base64", base64.StdEncoding.EncodeToString(tlv.Value))
		}
		j.WriteByte('}')
	}
	j.WriteByte(']')
}

// isText reports whether a value is to be read as it is.
func isText(value []byte) bool {
	return utf8.Valid(value) && !bytes.ContainsFunc(value, func(c rune) bool { return !unicode.IsPrint(c) })
}

// typeNames are those of section 2.2.
var typeNames = map[proxyproto.PP2Type]string{
	0x01: "PP2_TYPE_ALPN", 0x02: "PP2_TYPE_AUTHORITY", 0x03: "PP2_TYPE_CRC32C", 0x04: "PP2_TYPE_NOOP", 0x05: "PP2_TYPE_UNIQUE_ID",
	0x20: "PP2_TYPE_SSL", 0x21: "PP2_SUBTYPE_SSL_VERSION", 0x22: "PP2_SUBTYPE_SSL_CN", 0x23: "PP2_SUBTYPE_SSL_CIPHER",
	0x24: "PP2_SUBTYPE_SSL_SIG_ALG", 0x25: "PP2_SUBTYPE_SSL_KEY_ALG", 0x26: "PP2_SUBTYPE_SSL_GROUP",
	0x27: "PP2_SUBTYPE_SSL_SIG_SCHEME", 0x28: "PP2_SUBTYPE_SSL_CLIENT_CERT", 0x30: "PP2_TYPE_NETNS",
}
