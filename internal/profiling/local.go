package profiling

import (
	"errors"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"runtime"
	"strconv"
	"strings"
)

// This file holds who may ask for profiles under -pprof=local: whoever could attach a
// debugger to the process.

// denial returns why r gets no profile, or "". The signs come first: a stranger may ask
// in a loop, and the kernel's tables, where they must be read, may be long.
func denial(r *http.Request, isProxied bool) string {
	if isProxied {
		return "the connection begins with a PROXY protocol header"
	}
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

// errClosed is said of a client that may no longer own its socket.
var errClosed = errors.New("the client has closed its socket, or half of it")

// clientUser returns the number of the user whom the client's end of r's connection
// belongs to.
func clientUser(r *http.Request) (string, error) {
	client, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return "", err
	}
	server := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr).AddrPort()
	user, err := sockDiagUser(client, server)
	if errors.Is(err, errors.ErrUnsupported) {
		user, err = procUser(r.Context(), client, server)
	}
	return user, err
}
