package main

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"runtime/pprof"
)

// This file holds the profiles of the whole run. Those of a running server are
// net/http/pprof's, in pprof.go.

// startProfiles starts the profiles that the flags ask for. stop writes those of
// the whole run.
func startProfiles() (stop func() error, err error) {
	runtime.SetBlockProfileRate(*blockRate)
	runtime.SetMutexProfileFraction(*mutexRate)
	cpu, err := createProfile("cpuprofile", *cpuProfile)
	if err != nil {
		return nil, err
	}
	mem, err := createProfile("memprofile", *memProfile)
	if err != nil {
		return nil, err
	}
	// Not to the files at once, because runtime/pprof reports no failed write.
	var cpuBytes, memBytes bytes.Buffer
	if cpu != nil {
		pprof.StartCPUProfile(&cpuBytes) // can't fail: it's the first
	}
	return func() error {
		if cpu != nil {
			pprof.StopCPUProfile()
			if _, err := cpuBytes.WriteTo(cpu); err != nil {
				return fmt.Errorf("-cpuprofile: %w", err)
			}
		}
		if mem != nil {
			runtime.GC() // as go test does, for what is live to be up to date
			pprof.Lookup("allocs").WriteTo(&memBytes, 0)
			if _, err := memBytes.WriteTo(mem); err != nil {
				return fmt.Errorf("-memprofile: %w", err)
			}
		}
		return nil
	}, nil
}

// createProfile creates the file that the flag name asks for, or returns nil.
func createProfile(name, path string) (*os.File, error) {
	if path == "" {
		return nil, nil
	}
	f, err := os.Create(path)
	if err != nil {
		return nil, fmt.Errorf("-%s: %w", name, err)
	}
	return f, nil
}
