package overload

import "math"

// maxFiles returns how many files the process may have open: Windows has no limit of its own.
func maxFiles() int { return math.MaxInt32 }
