package profiling

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"httpserver/internal/wire"
)

// What is said of the sign that refuses a request; "" where there is none.
func TestStrangerSigns(t *testing.T) {
	const (
		peer   = "the client's address is not a loopback address"
		host   = "Host is neither localhost nor a loopback address"
		fields = "Forwarded, Via, X-Real-IP or X-Forwarded-* tells of a proxy"
		closes = "HTTP/1.0 with Connection: close tells of a proxy"
		site   = "Sec-Fetch-Site tells of a page of another origin"
		origin = "Origin tells of a page of another origin"
	)
	for _, test := range []struct {
		name, peer, host, fields string
		want                     string
	}{
		{"curl, IPv4", "127.0.0.1:40000", "localhost:8000", "User-Agent: curl/8.5.0", ""},
		{"IPv6", "[::1]:40000", "[::1]:8000", "", ""},
		{"IPv4 in IPv6", "[::ffff:127.0.0.1]:40000", "127.0.0.1:8000", "", ""},
		{"other loopback", "127.1.2.3:40000", "127.3.2.1", "", ""},
		{"other peer", "192.0.2.1:40000", "localhost", "", peer},
		{"other peer, IPv6", "[2001:db8::1]:40000", "localhost", "", peer},
		{"other peer, link-local", "[fe80::1%eth0]:40000", "localhost", "", peer},
		{"other peer, IPv4 in IPv6", "[::ffff:192.0.2.1]:40000", "localhost", "", peer},
		{"no peer", "@", "localhost", "", peer},
		{"host without a port", "127.0.0.1:1", "localhost", "", ""},
		{"host in capitals", "127.0.0.1:1", "LocalHost:80", "", ""},
		{"host in IPv6", "127.0.0.1:1", "[::1]", "", ""},
		{"host of which browsers don't say who asks: a dot at its end", "127.0.0.1:1", "localhost.:80", "", host},
		{"host of which browsers don't say who asks: IPv4 in IPv6", "127.0.0.1:1", "[::ffff:127.0.0.1]:80", "", host},
		{"rebound name", "127.0.0.1:1", "example.com:8000", "", host},
		{"name that begins so", "127.0.0.1:1", "localhost.example.com", "", host},
		{"name that ends so", "127.0.0.1:1", "example.localhost", "", host},
		{"name like an address", "127.0.0.1:1", "127.0.0.1.example.com", "", host},
		{"other address", "127.0.0.1:1", "192.0.2.1:8000", "", host},
		{"unspecified address", "127.0.0.1:1", "0.0.0.0:8000", "", host},
		{"number for an address", "127.0.0.1:1", "2130706433", "", host},
		{"no host", "127.0.0.1:1", "", "", host},
		{"dot for a host", "127.0.0.1:1", ".", "", host},
		{"Forwarded", "127.0.0.1:1", "localhost", "forwarded: for=192.0.2.1", fields},
		{"Via", "127.0.0.1:1", "localhost", "via: 1.1 proxy", fields},
		{"X-Forwarded-For", "127.0.0.1:1", "localhost", "x-forwarded-for: 127.0.0.1", fields},
		{"X-Forwarded-Host", "127.0.0.1:1", "localhost", "X-Forwarded-Host: ", fields},
		{"X-Forwarded-Proto", "127.0.0.1:1", "localhost", "X-FORWARDED-PROTO: https", fields},
		{"X-Real-IP", "127.0.0.1:1", "localhost", "X-Real-IP: 192.0.2.1", fields},
		{"X-Forwarded", "127.0.0.1:1", "localhost", "X-Forwarder: no such field", ""},
		{"typed address", "127.0.0.1:1", "localhost", "Sec-Fetch-Site: none", ""},
		{"link of the index page", "127.0.0.1:1", "localhost", "Sec-Fetch-Site: same-origin", ""},
		{"page of another port", "127.0.0.1:1", "localhost", "Sec-Fetch-Site: same-site", site},
		{"page of another site", "127.0.0.1:1", "localhost", "sec-fetch-site: cross-site", site},
		{"page of a browser to come", "127.0.0.1:1", "localhost", "Sec-Fetch-Site: same-planet", site},
		{"empty Sec-Fetch-Site", "127.0.0.1:1", "localhost", "Sec-Fetch-Site: ", site},
		{"two of Sec-Fetch-Site", "127.0.0.1:1", "localhost", "Sec-Fetch-Site: none\nSec-Fetch-Site: cross-site", site},
		{"own origin", "127.0.0.1:1", "localhost:8000", "Origin: http://localhost:8000", ""},
		{"own origin in IPv6", "127.0.0.1:1", "[::1]:8000", "Origin: http://[::1]:8000", ""},
		{"origin of another port", "127.0.0.1:1", "localhost:8000", "Origin: http://localhost:9000", origin},
		{"origin without the port", "127.0.0.1:1", "localhost:8000", "Origin: http://localhost", origin},
		{"origin of another scheme", "127.0.0.1:1", "localhost:8000", "Origin: https://localhost:8000", origin},
		{"origin of another host", "127.0.0.1:1", "localhost:8000", "origin: https://example.com", origin},
		{"origin of a sandboxed frame", "127.0.0.1:1", "localhost:8000", "Origin: null", origin},
		{"empty Origin", "127.0.0.1:1", "localhost:8000", "Origin: ", origin},
		{"two of Origin", "127.0.0.1:1", "localhost:8000", "Origin: http://localhost:8000\nOrigin: null", origin},
		{"Origin beside Sec-Fetch-Site", "127.0.0.1:1", "localhost:8000", "Sec-Fetch-Site: none\nOrigin: null", origin},
	} {
		for _, proto := range []string{"HTTP/1.0", "HTTP/1.1", "HTTP/2.0"} {
			for _, method := range []string{"GET", "HEAD", "OPTIONS", "POST"} {
				r := httptest.NewRequest(method, "/debug/pprof/", nil)
				r.RemoteAddr, r.Host, r.Proto = test.peer, test.host, proto
				r.ProtoMajor, r.ProtoMinor, _ = http.ParseHTTPVersion(proto)
				for line := range strings.Lines(test.fields) {
					name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
					r.Header.Add(name, value)
				}
				if got := strangerSign(r); got != test.want {
					t.Errorf("%s, %s %s: %q", test.name, method, proto, got)
				}
				r.Header.Set("Connection", "close") // as nginx does in HTTP/1.0
				want := test.want
				if proto == "HTTP/1.0" && (want == "" || want == site || want == origin) {
					want = closes
				}
				if got := strangerSign(r); got != want {
					t.Errorf("%s, %s %s, Connection: close: %q", test.name, method, proto, got)
				}
			}
		}
	}
	r := httptest.NewRequest("GET", "https://localhost/debug/pprof/", nil)
	r.RemoteAddr, r.TLS = "127.0.0.1:1", new(tls.ConnectionState)
	for value, want := range map[string]string{"https://localhost": "", "http://localhost": origin} {
		r.Header.Set("Origin", value)
		if got := strangerSign(r); got != want {
			t.Errorf("Origin %s over TLS: %q", value, got)
		}
	}
}

// The row of a socket says whose it is, unless its owner may be another than it says.
func TestUserOf(t *testing.T) {
	const (
		ends = "0100007F:8EFC 0100007F:1F40 "
		gone = "the client has closed its socket, or half of it"
		rest = "00000000:00000000 00:00000000 00000000 "
	)
	for _, test := range []struct {
		name, row  string
		user, fail string
	}{
		{"established", ends + "01 " + rest + " 1000        0 1635 1 00000000339f76d9 20 4 0 10 -1", "1000", ""},
		{"root's", ends + "01 " + rest + "    0        0 1635 1 00000000339f76d9 20 4 0 10 -1", "0", ""},
		{"without an inode", ends + "01 " + rest + "    0        0 0 1 00000000339f76d9 20 4 0 10 -1", "", gone},
		{"FIN_WAIT2", ends + "05 " + rest + "    0        0 1635 1 00000000339f76d9 20 4 0 10 -1", "", gone},
		{"TIME_WAIT", ends + "06 " + rest + "    0        0 0 3 00000000339f76d9", "", gone},
		{"cut", ends + "01 " + rest + " 1000", "", gone},
		{"our end", "0100007F:1F40 0100007F:8EFC 01 " + rest + " 1000        0 1635 1", "", ""},
		{"to another port", "0100007F:8EFC 0100007F:1F41 01 " + rest + " 1000        0 1635 1", "", ""},
		{"within another", "000000000000000000000000" + ends + "01 " + rest + " 1000        0 1635 1", "", ""},
		{"too long", ends + strings.Repeat(" ", bufio.MaxScanTokenSize), "", "bufio.Scanner: token too long"},
	} {
		table := filepath.Join(t.TempDir(), "tcp")
		os.WriteFile(table, []byte("  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"+
			"   0: 0100007F:1F40 00000000:0000 0A "+rest+"    7        0 1634 1\n"+
			"12345: "+test.row+"\n"), 0o666)
		user, err := userOf(t.Context(), table, ends)
		if err == nil {
			err = io.EOF
		}
		if want := test.fail; user != test.user || err.Error() != want && (want != "" || err != io.EOF) {
			t.Errorf("%s: %q, %v", test.name, user, err)
		}
	}
	if user, err := userOf(t.Context(), "/nowhere", ends); user != "" || err == nil {
		t.Errorf("no table: %q, %v", user, err)
	}
}

// A client's socket is found whichever table has it, while the client holds it open.
func TestClientUser(t *testing.T) {
	wire.NeedLinux(t)
	asked, goOn, told := make(chan bool), make(chan bool), make(chan error)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- true
		<-goOn
		user, err := clientUser(r)
		if err == nil && user != strconv.Itoa(os.Geteuid()) {
			err = fmt.Errorf("user %q", user)
		}
		told <- err
	}))
	defer srv.Close()
	addr := srv.Listener.Addr().(*net.TCPAddr)
	fd, err := syscall.Socket(syscall.AF_INET6, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Skip(err)
	}
	f := os.NewFile(uintptr(fd), "")
	defer f.Close()
	mapped := netip.AddrFrom16(addr.AddrPort().Addr().As16()) // IPv4 in IPv6
	if err := syscall.Connect(fd, &syscall.SockaddrInet6{Addr: mapped.As16(), Port: addr.Port}); err != nil {
		t.Fatal(err)
	}
	ask := func(w io.Writer, then func()) error {
		io.WriteString(w, "GET / HTTP/1.1\r\nHost: test\r\n\r\n")
		<-asked
		then()
		goOn <- true
		return <-told
	}
	if err := ask(f, func() {}); err != nil {
		t.Errorf("IPv4 in IPv6: %v", err)
	}
	c, err := net.DialTCP("tcp", nil, addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := ask(c, func() {}); err != nil {
		t.Errorf("IPv4: %v", err)
	}
	if err := ask(c, func() { c.CloseWrite() }); err == nil || err.Error() != "the client has closed its socket, or half of it" && !errors.Is(err, context.Canceled) { // as net/http sees it go
		t.Errorf("half closed: %v", err)
	}
}
