//go:build unix

package overload

import (
	"math"
	"syscall"
)

// maxFiles returns how many files the process may have open.
func maxFiles() int {
	var files syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files) != nil || files.Cur > math.MaxInt32 {
		return math.MaxInt32
	}
	return int(files.Cur)
}
