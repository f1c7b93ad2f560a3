package main

import (
	"net/http"

	"httpserver/internal/certs"
	"httpserver/internal/handshake"
	"httpserver/internal/head"
	"httpserver/internal/proxyprotocol"
	"httpserver/internal/rawhead"
)

// This file holds what the JSON form of /hello says beside the head: what arrived on the other layers.

// writeMembers writes the members that come last. proxied is nil where none came.
func (h *handler) writeMembers(j head.JSON, r *http.Request, proxied *proxyprotocol.Header) {
	j.Members(",", "remoteAddr", r.RemoteAddr, "hostname", h.hostname[0])
	if proxied != nil {
		j.WriteString(`,"proxyProtocol":`)
		proxied.WriteJSON(j)
	}
	if r.TLS != nil {
		j.WriteString(`,"tls":`)
		certs.WriteTLS(j, r.TLS, func() {
			if hello := handshake.Hello(connOf(r)); hello != nil {
				j.WriteString(`,"clientHello":`)
				hello.WriteJSON(j)
			}
		})
	}
	rawhead.WriteHTTP2(j, r)
	lines, fields := rawhead.Trailers(r)
	if lines != nil {
		fields = head.FieldsOf(string(lines))
	}
	if fields != nil {
		j.WriteString(`,"trailers":`)
		j.Fields(fields)
	}
}
