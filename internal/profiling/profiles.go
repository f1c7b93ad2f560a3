package profiling

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"runtime/pprof"
)

// This file holds the profiles of the whole run. Those of a running server are
// net/http/pprof's, in pprof.go.

// A profilesConfig says what is profiled, as the flags of the same names do.
type Config struct {
	CPUProfile, MemProfile string // files; "" for none
	BlockProfileRate       int    // nanoseconds blocked, for each event; 0 turns it off
	MutexProfileFraction   int    // 0 turns it off
}

// startProfiles starts the profiles that c asks for. stop writes those of the whole run. Errors
// name the flag.
func Start(c Config) (stop func() error, err error) {
	runtime.SetBlockProfileRate(c.BlockProfileRate)
	runtime.SetMutexProfileFraction(c.MutexProfileFraction)
	cpu, err := createProfile("cpuprofile", c.CPUProfile)
	if err != nil {
		return nil, err
	}
	mem, err := createProfile("memprofile", c.MemProfile)
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
