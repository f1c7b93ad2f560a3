package main

import "time"

// This file lets a client read its answer before the connection is closed.

// How long, and how many bytes more, a client that is told it sent too much may go
// on to send.
const (
	lingerTimeout = 5 * time.Second
	lingerBytes   = 64 << 20
)

// CloseWrite tells the client that the response is over, and then drops what it
// still sends. net/http closes the connection next; with bytes unread, that would
// reset it and could take the response from the client (RFC 9112 section 9.6).
func (c *conn) CloseWrite() error {
	err := c.thriftyConn.CloseWrite()
	c.SetReadDeadline(time.Now().Add(lingerTimeout))
	for buf, left := make([]byte, 4<<10), lingerBytes; left > 0; {
		n, err := c.receive(buf)
		if err != nil {
			break
		}
		left -= n
	}
	return err
}
