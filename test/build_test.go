//go:build unix

package test

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"slices"
	"syscall"
	"testing"
)

// This file holds the built program as the tests start, watch and stop it.

// binary is the built program, which the tests here run as a user does, and tools the
// folder of the go command's pprof and trace, built with it.
var binary, tools string

var program = flag.String("program", "", "run the program in `file` instead of building it")

func TestMain(m *testing.M) {
	os.Exit(buildAndRun(m))
}

func buildAndRun(m *testing.M) int {
	if err := os.Chdir(".."); err != nil { // the tests run where a user does
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	dir, err := os.MkdirTemp("", "httpserver")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	os.Chmod(dir, 0o755)     // for other users to run what is built
	os.Setenv("TMPDIR", dir) // of the tests and of what they run
	flag.Set("log_dir", dir) // for what the tests themselves log
	flag.Parse()
	if flag.Lookup("test.fuzz").Value.String() == "" { // a fuzzer returns on SIGINT
		interrupts := make(chan os.Signal, 1)
		signal.Notify(interrupts, syscall.SIGINT, syscall.SIGTERM)
		go func() {
			<-interrupts
			os.RemoveAll(dir)
			os.Exit(1)
		}()
	}
	if *program != "" {
		binary = *program
		return m.Run()
	}
	if flag.Lookup("test.fuzzworker").Value.String() == "true" {
		return m.Run() // it runs no test, and its time is counted
	}
	fmt.Fprintln(os.Stderr, "building what the tests run: the program, pprof and trace")
	binary, tools = filepath.Join(dir, "httpserver"), dir
	args := []string{"-o", binary, "."}
	if coverDir := flag.Lookup("test.gocoverdir").Value.String(); coverDir != "" { // make cover sets it
		args = append([]string{"-cover", "-coverpkg=./..."}, args...)
		os.Setenv("GOCOVERDIR", coverDir)
	}
	for _, args := range [][]string{args, {"-o", tools, "cmd/pprof", "cmd/trace"}} {
		args = slices.Concat([]string{"build"}, buildFlags(), args)
		if out, err := exec.Command("go", args...).CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "%s%v\n", out, err)
			return 1
		}
	}
	os.Setenv("GORACE", "atexit_sleep_ms=0")
	fmt.Fprintln(os.Stderr, "testing, for a minute")
	return m.Run()
}

// buildFlags returns the flags that the test binary was built with. What they build
// shares the packages that were compiled for it.
func buildFlags() (flags []string) {
	info, _ := debug.ReadBuildInfo()
	for _, s := range info.Settings {
		if s.Key == "-race" || s.Key == "-pgo" {
			flags = append(flags, s.Key+"="+s.Value)
		}
	}
	return flags
}
