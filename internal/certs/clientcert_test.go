package certs

import (
	"crypto/tls"
	"net/http/httptest"
	"strings"
	"testing"

	"httpserver/internal/head"
)

// Where a client agreed on no group, none is shown.
func TestNoKeyExchangeGroup(t *testing.T) {
	var json strings.Builder
	new(head.Head).WriteJSON(&json, httptest.NewRequest("GET", "/", nil), func(j head.JSON) {
		WriteTLS(j, &tls.ConnectionState{Version: tls.VersionTLS12}, func() {})
	})
	if strings.Contains(json.String(), "keyExchangeGroup") {
		t.Error(&json)
	}
}
