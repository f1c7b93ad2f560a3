//go:build go1.27

package rawhead

import "net/http"

// This file has -maxhead alone decide how many fields a head may have.

// boundFields has net/http take as many values in a head as bytes, which is more than a head can
// have. net/http counts each field line, and each name in a field Trailer. By default it takes 500.
func boundFields(srv *http.Server) { srv.MaxHeaderValueCount = srv.MaxHeaderBytes }
