//go:build !go1.27

package rawhead

import (
	"net/http"
)

// boundFields does nothing: before Go 1.27 net/http counts no fields.
func boundFields(*http.Server) {}
