package main

import (
	"net/http"
	"net/http/pprof"
)

// This file holds /debug/pprof/: net/http/pprof's handlers, for those who may ask.

// handleProfiles has mux answer those whom access lets ask: "local" clients, or "all".
func handleProfiles(mux *http.ServeMux, access string) {
	for name, profile := range map[string]http.HandlerFunc{
		"":        pprof.Index, // and every named profile
		"cmdline": pprof.Cmdline,
		"profile": pprof.Profile,
		"symbol":  pprof.Symbol,
		"trace":   pprof.Trace,
	} {
		mux.HandleFunc("/debug/pprof/"+name, func(w http.ResponseWriter, r *http.Request) {
			if access == "local" {
				if why := refusal(r); why != "" {
					http.Error(w, "profiles are for clients on this machine: "+why+"; -pprof=all opens them to all", http.StatusForbidden)
					return
				}
			}
			profile(w, r)
		})
	}
}
