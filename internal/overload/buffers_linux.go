package overload

import (
	"net"
	"syscall"
)

// This file holds what the kernel keeps of connections, which counts in a pod as well.

// What the kernel is asked to buffer of a connection, in bytes. It takes twice as much, and
// unasked up to some MB.
const (
	receiveBuffer = 8 << 10
	sendBuffer    = 8 << 10
)

// boundBuffers has connections that come to ln buffered as said above, and so many of them wait in
// the kernel for a slot, unless net.core.somaxconn says less. They have the sizes of their listener
// (tcp(7)).
func boundBuffers(ln net.Listener, queue int) {
	sc, ok := ln.(syscall.Conn)
	if !ok {
		return
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return
	}
	raw.Control(func(fd uintptr) {
		syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, receiveBuffer)
		syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_SNDBUF, sendBuffer)
		syscall.Listen(int(fd), queue)
	})
}
