package proxyprotocol

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"

	"github.com/pires/go-proxyproto"
)

// This file holds a header: how long it is, and what it says.

// Sizes of headers, in bytes.
const (
	maxV1    = 107     // with its CRLF, as section 2.1 has it
	fixedV2  = 16      // of version 2, before addresses
	maxAfter = 4 << 10 // of addresses and TLVs, as the library has it; a client's certificate takes some 2 KB
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
type Header struct {
	parsed *proxyproto.Header
	tlvs   string // of version 2, as they came, but the value of NOOP
	v1     string
}

// parse returns the header that b is.
func parse(b []byte) (*Header, error) {
	h, err := proxyproto.Read(bufio.NewReaderSize(bytes.NewReader(b), len(b)))
	if err != nil {
		return nil, malformed(err)
	}
	tlvs, err := h.TLVs()
	if err != nil && h.Command.IsProxy() { // of LOCAL the block is to be ignored (section 2.2)
		return nil, malformed(err)
	}
	raw, _ := proxyproto.JoinTLVs(tlvs) // which fails over 64 KiB
	h.SetTLVs(nil)                      // raw has them
	if h.Version == 2 {
		h.TransportProtocol = proxyproto.AddressFamilyAndProtocol(b[fixedV2-3]) // of LOCAL the library may have changed it
	}
	return &Header{h, string(raw), inV1(h, b)}, nil
}

// inV1 returns h, which b is, as version 1 spells it, without CRLF. What that can't say is UNKNOWN there.
func inV1(h *proxyproto.Header, b []byte) string {
	if line := strings.TrimSuffix(string(b), "\r\n"); h.Version == 1 && isText(line) {
		return line
	}
	v1 := *h
	v1.Version = 1
	if line, err := v1.Format(); err == nil && v1.Command.IsProxy() {
		return strings.TrimSuffix(string(line), "\r\n")
	}
	return "PROXY UNKNOWN"
}

func malformed(err error) error {
	return fmt.Errorf("malformed PROXY protocol header: %s", strings.TrimPrefix(err.Error(), "proxyproto: "))
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
func (h *Header) V1() string { return h.v1 }
