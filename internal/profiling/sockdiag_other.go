//go:build !linux

package profiling

import (
	"errors"
	"net/netip"
)

// sockDiagUser is for Linux alone.
func sockDiagUser(_, _ netip.AddrPort) (string, error) { return "", errors.ErrUnsupported }
