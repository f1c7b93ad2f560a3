package main

import (
	"bufio"
	"bytes"
	"context"
	endian "encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
)

// This file holds who may ask for profiles under -pprof=local: whoever could attach a
// debugger to the process.

// refusal returns why r gets no profile, or "". The signs come first: a stranger may ask
// in a loop, and the kernel's tables may be long.
func refusal(r *http.Request) string {
	if why := strangerSign(r); why != "" || runtime.GOOS != "linux" {
		return why
	}
	user, err := clientUser(r)
	switch {
	case err != nil:
		return err.Error()
	case user != "0" && user != strconv.Itoa(os.Geteuid()):
		return "the client's socket belongs to user " + user + ", who is neither the server's user nor root"
	}
	return ""
}

// strangerSign returns what shows that r was not sent by a client on this machine, or "".
func strangerSign(r *http.Request) string {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !peer.Addr().IsLoopback() {
		return "the client's address is not a loopback address"
	}
	// A page in a browser here may have its own name resolve to this machine (DNS
	// rebinding). And browsers say who asks for these hosts, but not for localhost. or
	// [::ffff:127.0.0.1] (W3C Secure Contexts section 3.1).
	host := (&url.URL{Host: r.Host}).Hostname()
	addr, err := netip.ParseAddr(host)
	if !strings.EqualFold(host, "localhost") && (err != nil || !addr.IsLoopback() || addr.Is4In6()) {
		return "Host is neither localhost nor a loopback address"
	}
	// A proxy on this machine makes everyone's peer loopback. nginx adds no field unless
	// told to, but before 1.29.7 spoke HTTP/1.0 with a Connection: close that clients
	// leave out.
	for name := range r.Header {
		if name == "Forwarded" || name == "Via" || name == "X-Real-Ip" || strings.HasPrefix(name, "X-Forwarded-") {
			return "Forwarded, Via, X-Real-IP or X-Forwarded-* tells of a proxy"
		}
	}
	if !r.ProtoAtLeast(1, 1) && strings.Contains(strings.ToLower(r.Header.Get("Connection")), "close") {
		return "HTTP/1.0 with Connection: close tells of a proxy"
	}
	// Browsers of before 2023 may send neither of these; with a WebSocket they send the
	// second alone.
	for _, site := range r.Header["Sec-Fetch-Site"] {
		if site != "none" && site != "same-origin" {
			return "Sec-Fetch-Site tells of a page of another origin"
		}
	}
	own := "http://" + r.Host
	if r.TLS != nil {
		own = "https://" + r.Host
	}
	for _, origin := range r.Header["Origin"] {
		if origin != own {
			return "Origin tells of a page of another origin"
		}
	}
	return ""
}

// clientUser returns the number of the user whom the client's end of r's connection
// belongs to. That of IPv4 may be a socket of IPv6.
func clientUser(r *http.Request) (string, error) {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return "", err
	}
	local := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	client, server := inTCP6(peer), inTCP6(local.AddrPort())
	if peer.Addr().Is4() {
		const ip = len("00000000") // the last word of four
		user, err := userOf(r.Context(), "/proc/net/tcp", client[3*ip:]+" "+server[3*ip:]+" ")
		if user != "" || err != nil {
			return user, err
		}
	}
	user, err := userOf(r.Context(), "/proc/net/tcp6", client+" "+server+" ")
	if user == "" && err == nil {
		err = errors.New("the client's socket is not in /proc/net/tcp or tcp6")
	}
	return user, err
}

// inTCP6 returns a as /proc/net/tcp6 has it: four words in the machine's byte order, and
// the port (proc(5)).
func inTCP6(a netip.AddrPort) string {
	var b []byte
	ip := a.Addr().As16()
	for i := 0; i < len(ip); i += 4 {
		b = fmt.Appendf(b, "%08X", endian.NativeEndian.Uint32(ip[i:]))
	}
	return string(fmt.Appendf(b, ":%04X", a.Port()))
}

// tables is held by whoever reads one of the kernel's, so that strangers who ask in a loop
// take no more than one core.
var tables sync.Mutex

// userOf returns the user in the row of table that begins with ends, or "" if there is
// none. The kernel shows root as the user of a socket that its owner has let go of, but no
// inode.
func userOf(ctx context.Context, table, ends string) (string, error) {
	tables.Lock()
	defer tables.Unlock()
	if err := ctx.Err(); err != nil { // who asked went while it waited
		return "", err
	}
	f, err := os.Open(table)
	if err != nil {
		return "", err
	}
	defer f.Close()
	rows := bufio.NewScanner(f)
	for rows.Scan() {
		_, row, _ := bytes.Cut(rows.Bytes(), []byte(": ")) // after its number
		row, found := bytes.CutPrefix(row, []byte(ends))
		if !found {
			continue
		}
		// State, queues, timer, retransmits, user, timeout, inode.
		columns := strings.Fields(string(row))
		const established = "01"
		if len(columns) < 7 || columns[0] != established || columns[6] == "0" {
			return "", errors.New("the client has closed its socket, or half of it")
		}
		return columns[4], nil
	}
	return "", rows.Err()
}
