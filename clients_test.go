package main

import (
	"httpserver/internal/overload"
	"httpserver/internal/rawhead"
	"httpserver/internal/wire"
)

func testLimits() *overload.Limits {
	l, err := overload.New(overload.Config{MaxHead: wire.TestHead, HeadCopies: rawhead.HeadCopies, Idle: idleTimeout + headTimeout})
	if err != nil {
		panic(err)
	}
	return l
}
