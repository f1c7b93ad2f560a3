// Package linger lets a client read its answer before its connection is closed.
package linger

import (
	"net"
	"runtime"
	"time"
)

// How long, and how many bytes more, a client that is told it sent too much may go
// on to send.
const (
	Timeout  = 5 * time.Second
	maxBytes = 64 << 20
)

// CloseWrite tells the client of nc that the answer is over, and then drops what it still sends. The
// connection is to be closed next; with bytes unread, that would reset it and could take the answer
// from the client (RFC 9112 section 9.6). Others run after each read: a client may send without a
// pause.
func CloseWrite(nc net.Conn) error {
	err := HalfClose(nc)
	nc.SetReadDeadline(time.Now().Add(Timeout))
	for buf, left := make([]byte, 4<<10), maxBytes; left > 0; runtime.Gosched() {
		n, err := nc.Read(buf)
		if err != nil {
			break
		}
		left -= n
	}
	return err
}

// HalfClose closes the sending side of nc, where nc can do that alone.
func HalfClose(nc net.Conn) error {
	if hc, ok := nc.(interface{ CloseWrite() error }); ok {
		return hc.CloseWrite()
	}
	return nil
}
