// Package test runs the built program as a user does: a file for what it shows.
package test
