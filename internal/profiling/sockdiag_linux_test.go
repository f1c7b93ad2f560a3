package profiling

import (
	"bytes"
	"context"
	endian "encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"strconv"
	"syscall"
	"testing"

	"httpserver/internal/wire"
)

// needSockDiag skips t where there is no netlink, as in gVisor. A kernel that has it but
// lacks sock_diag for TCP fails t.
func needSockDiag(t *testing.T) {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_NETLINK, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC, syscall.NETLINK_INET_DIAG)
	if err != nil {
		t.Skip("netlink: ", err)
	}
	syscall.Close(fd)
}

// Netlink tells what /proc does, and is asked first.
func TestSockDiag(t *testing.T) {
	needSockDiag(t)
	for _, client := range []struct {
		name, listen string
		to           syscall.Sockaddr
		device       string
	}{
		{"IPv4", "127.0.0.1:0", &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}, ""},
		{"IPv4, to IPv6", "[::]:0", &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}, ""},
		{"IPv4, another address", "0.0.0.0:0", &syscall.SockaddrInet4{Addr: [4]byte{127, 1, 2, 3}}, ""},
		{"IPv4 of an interface", "127.0.0.1:0", &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}, "lo"},
		{"IPv4 in IPv6", "127.0.0.1:0", &syscall.SockaddrInet6{Addr: netip.MustParseAddr("::ffff:127.0.0.1").As16()}, ""},
		{"IPv4 in IPv6, to IPv6", "[::]:0", &syscall.SockaddrInet6{Addr: netip.MustParseAddr("::ffff:127.0.0.1").As16()}, ""},
		{"IPv6", "[::1]:0", &syscall.SockaddrInet6{Addr: netip.IPv6Loopback().As16()}, ""},
		{"IPv6 of an interface", "[::]:0", &syscall.SockaddrInet6{Addr: netip.IPv6Loopback().As16()}, "lo"},
	} {
		for _, then := range []struct {
			name string
			do   func(f *os.File)
			fail string
		}{
			{"open", func(*os.File) {}, "<nil>"},
			{"half closed", func(f *os.File) { syscall.Shutdown(int(f.Fd()), syscall.SHUT_WR) }, errClosed.Error()},
			{"closed", func(f *os.File) { f.Close() }, errClosed.Error()},
			{"reset", sendReset, "the kernel finds no socket of the client"},
		} {
			t.Run(client.name+", "+then.name, func(t *testing.T) {
				f, r := connect(t, client.listen, client.to, client.device)
				then.do(f)
				user := ""
				if then.fail == "<nil>" {
					user = strconv.Itoa(os.Geteuid())
				}
				addr, peer := netip.MustParseAddrPort(r.RemoteAddr), r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr).AddrPort()
				if got, err := sockDiagUser(addr, peer); got != user || fmt.Sprint(err) != then.fail {
					t.Errorf("by netlink: %q, %v", got, err)
				}
				if got, err := procUser(t.Context(), addr, peer); got != user || (err == nil) != (user != "") {
					t.Errorf("by /proc: %q, %v", got, err)
				}
				gone, cancel := context.WithCancel(r.Context()) // /proc isn't read for who has gone
				cancel()
				if got, err := clientUser(r.WithContext(gone)); got != user || fmt.Sprint(err) != then.fail {
					t.Errorf("by netlink first: %q, %v", got, err)
				}
			})
		}
	}
}

// A socket that is found may be no client's: one that listens at the address, where there
// is no other, or waits to be accepted, which the kernel calls root's.
func TestOtherSockets(t *testing.T) {
	needSockDiag(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	c, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	addr := ln.Addr().(*net.TCPAddr).AddrPort()
	for name, peer := range map[string]netip.AddrPort{
		"listens": netip.MustParseAddrPort("127.0.0.1:1"),
		"waits":   c.LocalAddr().(*net.TCPAddr).AddrPort(),
	} {
		if user, err := sockDiagUser(addr, peer); user != "" || err != errClosed {
			t.Errorf("%s, by netlink: %q, %v", name, user, err)
		}
		if user, err := procUser(t.Context(), addr, peer); user != "" || err == nil {
			t.Errorf("%s, by /proc: %q, %v", name, user, err)
		}
	}
}

// sendReset closes f's connection by a RST.
func sendReset(f *os.File) {
	syscall.SetsockoptLinger(int(f.Fd()), syscall.SOL_SOCKET, syscall.SO_LINGER, &syscall.Linger{Onoff: 1})
	f.Close()
}

// connect returns a client's socket, connected to a listener, and a request of that client
// as the server sees it.
func connect(t *testing.T, listen string, to syscall.Sockaddr, device string) (*os.File, *http.Request) {
	t.Helper()
	ln, err := net.Listen("tcp", listen)
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { ln.Close() })
	port, family := ln.Addr().(*net.TCPAddr).Port, syscall.AF_INET
	switch to := to.(type) {
	case *syscall.SockaddrInet4:
		to.Port = port
	case *syscall.SockaddrInet6:
		to.Port, family = port, syscall.AF_INET6
	}
	fd, err := syscall.Socket(family, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Skip(err)
	}
	f := os.NewFile(uintptr(fd), "")
	t.Cleanup(func() { f.Close() })
	if device != "" {
		if err := syscall.BindToDevice(fd, device); err != nil {
			t.Skip(err)
		}
	}
	if err := syscall.Connect(fd, to); err != nil {
		t.Skip(err)
	}
	server, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	return f, requestOn(server)
}

// requestOn returns a request that server has read.
func requestOn(server net.Conn) *http.Request {
	r := httptest.NewRequest("GET", "/", nil)
	r.RemoteAddr = server.RemoteAddr().String()
	return r.WithContext(context.WithValue(context.Background(), http.LocalAddrContextKey, server.LocalAddr()))
}

// Where the kernel knows neither end of a connection, it may lack sock_diag for TCP. Then
// it is asked no more.
func TestNoSockDiag(t *testing.T) {
	needSockDiag(t)
	defer noSockDiag.Store(false)
	_, r := connect(t, "127.0.0.1:0", &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}, "")
	client, server := netip.MustParseAddrPort(r.RemoteAddr), r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr).AddrPort()
	nowhere := netip.MustParseAddrPort("127.0.0.1:1")
	if user, err := sockDiagUser(nowhere, nowhere); user != "" || !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("unknown: %q, %v", user, err)
	}
	if user, err := sockDiagUser(client, server); user != "" || !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("asked again: %q, %v", user, err)
	}
	if user, err := clientUser(r); user != strconv.Itoa(os.Geteuid()) || err != nil {
		t.Errorf("by /proc: %q, %v", user, err)
	}
}

// What isn't the kernel's answer to a question says nothing of a socket.
func TestDiagAnswer(t *testing.T) {
	message := func(msgType uint16, seq uint32, body any) []byte {
		var b bytes.Buffer
		endian.Write(&b, endian.NativeEndian, syscall.NlMsghdr{Type: msgType, Seq: seq})
		endian.Write(&b, endian.NativeEndian, body)
		return b.Bytes()
	}
	type diagMsg struct {
		Family, State, Timer, Retrans       uint8
		ID                                  [48]byte
		Expires, RQueue, WQueue, UID, Inode uint32
	}
	socket := diagMsg{Family: syscall.AF_INET, State: 1, UID: 1000, Inode: 1635}
	const (
		answer = sockDiagByFamily
		fail   = syscall.NLMSG_ERROR
		seq    = sockDiagSeq
	)
	kernel := new(syscall.SockaddrNetlink)
	for _, test := range []struct {
		name string
		b    []byte
		from syscall.Sockaddr
		want error
	}{
		{"socket", message(answer, seq, socket), kernel, nil},
		{"no such socket", message(fail, seq, -int32(syscall.ENOENT)), kernel, syscall.ENOENT},
		{"another errno", message(fail, seq, -int32(syscall.EINVAL)), kernel, syscall.EINVAL},
		{"no error", message(fail, seq, int32(0)), kernel, syscall.EBADMSG},
		{"positive errno", message(fail, seq, int32(syscall.ENOENT)), kernel, syscall.EBADMSG},
		{"cut errno", message(fail, seq, int16(-2)), kernel, syscall.EBADMSG},
		{"cut socket", message(answer, seq, [71]byte{2, 1}), kernel, syscall.EBADMSG},
		{"cut head", message(answer, seq, socket)[:15], kernel, syscall.EBADMSG},
		{"nothing", nil, kernel, syscall.EBADMSG},
		{"another type", message(syscall.NLMSG_DONE, seq, socket), kernel, syscall.EBADMSG},
		{"of another question", message(answer, seq+1, socket), kernel, syscall.EBADMSG},
		{"of another process", message(answer, seq, socket), &syscall.SockaddrNetlink{Pid: 1}, syscall.EBADMSG},
		{"of nobody", message(answer, seq, socket), nil, syscall.EBADMSG},
	} {
		want := diagSocket{}
		if test.want == nil {
			want = diagSocket{state: 1, uid: 1000, inode: 1635}
		}
		if got, err := diagAnswer(test.b, test.from); got != want || err != test.want {
			t.Errorf("%s: %+v, %v", test.name, got, err)
		}
	}
}

// BenchmarkClientUser finds a client's user among 10,000 sockets.
func BenchmarkClientUser(b *testing.B) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer ln.Close()
	var r *http.Request
	for range 5000 {
		_, server := wire.BothEnds(b, ln)
		r = requestOn(server)
	}
	defer noSockDiag.Store(false)
	for _, way := range []string{"netlink", "proc"} {
		noSockDiag.Store(way == "proc")
		b.Run(way, func(b *testing.B) {
			for b.Loop() {
				if _, err := clientUser(r); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
