package main

import "golang.org/x/sync/semaphore"

// This file holds what is acquired of memory before it is used: what can outrun the valve.

// A head of up to smallHead bytes costs nothing. A larger one is there headCopies times: ours, and
// net/http's while it reads it.
const (
	smallHead  = 4 << 10
	headCopies = 4
)

// resize changes what is acquired of m from n bytes to want. Where there is less it reports false
// and changes nothing.
func resize(m *semaphore.Weighted, n *int, want int) bool {
	if want > *n && !m.TryAcquire(int64(want-*n)) {
		return false
	}
	if want < *n {
		m.Release(int64(*n - want))
	}
	*n = want
	return true
}

// costOf returns what a head of size bytes costs.
func costOf(size int) int {
	if size <= smallHead {
		return 0
	}
	return headCopies * size
}
