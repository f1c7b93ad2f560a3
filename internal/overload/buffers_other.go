//go:build !linux

package overload

import "net"

// boundBuffers does nothing: GOMEMLIMIT bounds what the kernel buffers as well where that counts,
// in a pod, and pods are Linux's.
func boundBuffers(net.Listener, int) {}
