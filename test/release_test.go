//go:build unix

package test

import (
	"bytes"
	"debug/elf"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"testing"
)

var release = flag.Bool("release", false, "build the release from two folders, and for ARM")

// TestRelease is what make reproduce runs.
func TestRelease(t *testing.T) {
	if !*release {
		t.Skip("no -release")
	}
	build := func(arch string) []byte {
		dir := t.TempDir()
		if err := os.CopyFS(filepath.Join(dir, "internal"), os.DirFS("internal")); err != nil {
			t.Fatal(err)
		}
		files, err := filepath.Glob("*")
		if err != nil {
			t.Fatal(err)
		}
		os.Mkdir(filepath.Join(dir, "bin"), 0o777)
		for _, name := range files {
			if b, err := os.ReadFile(name); err == nil { // not a folder
				os.WriteFile(filepath.Join(dir, name), b, 0o666)
			}
		}
		cmd := exec.Command("make", "--no-print-directory", "release", "GOARCH="+arch)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		if err != nil || !bytes.HasPrefix(out, []byte("building httpserver binary\n")) {
			t.Fatalf("%v:\n%s", err, out)
		}
		b, err := os.ReadFile(filepath.Join(dir, "bin", arch, "httpserver"))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	amd64 := build("amd64")
	if !bytes.Equal(amd64, build("amd64")) {
		t.Error("two folders give different bytes")
	}
	for machine, built := range map[elf.Machine][]byte{elf.EM_X86_64: amd64, elf.EM_AARCH64: build("arm64")} {
		f, err := elf.NewFile(bytes.NewReader(built))
		if err != nil {
			t.Fatal(err)
		}
		if f.Machine != machine {
			t.Errorf("built for %v, want %v", f.Machine, machine)
		}
		for _, prog := range f.Progs {
			if prog.Type == elf.PT_INTERP || prog.Type == elf.PT_DYNAMIC {
				t.Errorf("%v: not static: has %v", machine, prog.Type)
			}
		}
	}
	if runtime.GOARCH != "amd64" {
		return
	}
	file := filepath.Join(t.TempDir(), "httpserver")
	os.WriteFile(file, amd64, 0o777)
	p := launch(t, exec.Command(file, "-addr=127.0.0.1:0"))
	p.addr = p.waitLog(`listening on http://(\S+)`)[1]
	if out := pprofTop(t, "-lines", "http://"+p.addr+"/debug/pprof/goroutine"); !regexp.MustCompile(`net/http\.\(\*Server\)\.Serve .*/server\.go:\d+`).MatchString(out) {
		t.Errorf("a profile of the release doesn't name functions and lines:\n%s", out)
	}
}
