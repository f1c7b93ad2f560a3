package profiling

import (
	endian "encoding/binary"
	"errors"
	"net/netip"
	"strconv"
	"sync/atomic"
	"syscall"
)

// This file asks the kernel by netlink whose one socket is (sock_diag(7)). That takes as
// long among many sockets as among few.

// noSockDiag is set where the kernel lacks sock_diag for TCP: at each question it would
// start modprobe.
var noSockDiag atomic.Bool

// sockDiagUser returns the number of the user of client's socket, which is connected to
// server, as /proc has it: in our own user namespace.
//
// ErrUnsupported means that /proc has to tell. It stands for every failure, because a
// sandbox may refuse netlink by any errno. Only ENOENT is an answer: there is no such
// socket.
func sockDiagUser(client, server netip.AddrPort) (string, error) {
	if noSockDiag.Load() {
		return "", errors.ErrUnsupported
	}
	socket, err := sockDiag(client, server)
	if err == syscall.ENOENT {
		// A kernel that lacks sock_diag for TCP says this too. One that has it finds our end
		// or, where the client has reset the connection, our listener.
		if _, err = sockDiag(server, client); err == nil {
			return "", errors.New("the kernel finds no socket of the client")
		}
		noSockDiag.Store(err == syscall.ENOENT)
	}
	if err != nil {
		return "", errors.ErrUnsupported
	}
	// Where there is no such socket, one that listens at the client's address is found. The
	// kernel shows root as the user of a socket that its owner has let go of, but no inode.
	const established = 1
	if socket.state != established || socket.inode == 0 {
		return "", errClosed
	}
	return strconv.FormatUint(uint64(socket.uid), 10), nil
}

// A diagSocket is what linux/inet_diag.h's inet_diag_msg says of a socket.
type diagSocket struct {
	state      uint8
	uid, inode uint32
}

const (
	sockDiagByFamily = 20 // of linux/sock_diag.h
	sockDiagSeq      = 1
	diagMsgLen       = 72 // of inet_diag_msg
)

// sockDiag asks for the socket at src that is connected to dst. For IPv4 it may be a socket
// of IPv6.
func sockDiag(src, dst netip.AddrPort) (diagSocket, error) {
	// Each question has a netlink socket of its own. The kernel has answered when Sendto
	// returns, so that nothing waits.
	fd, err := syscall.Socket(syscall.AF_NETLINK, syscall.SOCK_DGRAM|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, syscall.NETLINK_INET_DIAG)
	if err != nil {
		return diagSocket{}, err
	}
	defer syscall.Close(fd)
	if err := syscall.Sendto(fd, diagQuestion(src, dst), 0, new(syscall.SockaddrNetlink)); err != nil {
		return diagSocket{}, err
	}
	// The attributes that follow are cut off, however long they are.
	var b [syscall.NLMSG_HDRLEN + diagMsgLen]byte
	n, from, err := syscall.Recvfrom(fd, b[:], 0)
	if err != nil {
		return diagSocket{}, err
	}
	return diagAnswer(b[:n], from)
}

// diagQuestion returns an nlmsghdr and an inet_diag_req_v2 that ask for one socket. Ports
// and addresses are in network byte order, that of IPv4 in the first of four words; all
// else is in the machine's.
func diagQuestion(src, dst netip.AddrPort) []byte {
	const (
		loopback = 1 // the interface, to find a socket bound to it as well
		noCookie = 0xffffffff
	)
	native, network := endian.NativeEndian, endian.BigEndian
	local, remote := src.Addr().Unmap(), dst.Addr().Unmap()
	b := make([]byte, syscall.NLMSG_HDRLEN+56)
	native.PutUint32(b, uint32(len(b)))
	native.PutUint16(b[4:], sockDiagByFamily)
	native.PutUint16(b[6:], syscall.NLM_F_REQUEST)
	native.PutUint32(b[8:], sockDiagSeq)
	b[16], b[17] = syscall.AF_INET6, syscall.IPPROTO_TCP
	if local.Is4() {
		b[16] = syscall.AF_INET
	}
	network.PutUint16(b[24:], src.Port())
	network.PutUint16(b[26:], dst.Port())
	copy(b[28:], local.AsSlice())
	copy(b[44:], remote.AsSlice())
	native.PutUint32(b[60:], loopback)
	native.PutUint32(b[64:], noCookie)
	native.PutUint32(b[68:], noCookie)
	return b
}

// diagAnswer returns what the kernel says in b: a socket, or an errno. EBADMSG stands for
// what isn't the kernel's answer to a question.
func diagAnswer(b []byte, from syscall.Sockaddr) (diagSocket, error) {
	const kernel = 0
	sender, _ := from.(*syscall.SockaddrNetlink)
	if sender == nil || sender.Pid != kernel || len(b) < syscall.NLMSG_HDRLEN {
		return diagSocket{}, syscall.EBADMSG
	}
	native := endian.NativeEndian
	msgType, seq, body := native.Uint16(b[4:]), native.Uint32(b[8:]), b[syscall.NLMSG_HDRLEN:]
	switch {
	case seq != sockDiagSeq:
	case msgType == sockDiagByFamily && len(body) >= diagMsgLen:
		return diagSocket{state: body[1], uid: native.Uint32(body[64:]), inode: native.Uint32(body[68:])}, nil
	case msgType == syscall.NLMSG_ERROR && len(body) >= 4:
		if errno := int32(native.Uint32(body)); errno < 0 {
			return diagSocket{}, syscall.Errno(-errno)
		}
	}
	return diagSocket{}, syscall.EBADMSG
}
