package rawhead

import (
	"net"
	"net/http"
)

// This file keeps net/http from holding connections of HTTP/2 that have ended.

// withoutIdleTimer has srv serve HTTP/2 without net/http's timer for idle connections. Behind
// a connection that ends with streams open net/http starts that timer again, which then holds
// the connection for IdleTimeout. Ours end by themselves.
//
// net/http sets HTTP/2 up when it first serves, and then takes IdleTimeout, or else ReadTimeout,
// for the timer. So srv has neither then.
func withoutIdleTimer(srv *http.Server) {
	read, idle, base := srv.ReadTimeout, srv.IdleTimeout, srv.BaseContext
	srv.ReadTimeout, srv.IdleTimeout, srv.BaseContext = 0, 0, nil
	srv.Serve(nowhere{})
	srv.ReadTimeout, srv.IdleTimeout, srv.BaseContext = read, idle, base
}

// nowhere is a listener to which nobody comes.
type nowhere struct{}

func (nowhere) Accept() (net.Conn, error) { return nil, net.ErrClosed }

func (nowhere) Close() error { return nil }

func (nowhere) Addr() net.Addr { return nil }
