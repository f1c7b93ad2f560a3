// Package below finds a connection below others, each of which has a method NetConn, as a tls.Conn has.
package below

import "net"

// Find returns nc, or the first connection below it, that is a T. It reports false where there is none.
func Find[T net.Conn](nc net.Conn) (found T, ok bool) {
	for {
		if found, ok = nc.(T); ok {
			return found, true
		}
		over, ok := nc.(interface{ NetConn() net.Conn })
		if !ok {
			return found, false
		}
		nc = over.NetConn()
	}
}
