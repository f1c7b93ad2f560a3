//go:build unix

package test

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime/pprof"
	"strings"
	"syscall"
	"testing"
	"time"

	"httpserver/internal/wire"
)

// pprofTop runs go tool pprof -top with args and returns what it prints.
func pprofTop(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.Command(filepath.Join(tools, "pprof"), append([]string{"-top"}, args...)...)
	cmd.Env = append(os.Environ(), "PPROF_TMPDIR="+t.TempDir())
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("pprof -top %q: %v:\n%s", args, err, out)
	}
	return string(out)
}

// TestProfiles asks the program under load for every kind of profile, with the
// real tools, and looks for a function that must be in it.
func TestProfiles(t *testing.T) {
	t.Parallel()
	p := start(t, "-mutexprofilefraction=1") // for a sample of each fight
	stop := wire.Load(t, p.addr, wire.BenchRequest, 16, 0)
	defer stop()
	url := "http://" + p.addr + "/debug/pprof/"
	for _, test := range []struct {
		path string
		args []string
		want string
	}{
		{"profile?seconds=3", nil, `net/http\.\(\*conn\)\.serve`},
		{"allocs", nil, `net/http\.\(\*conn\)\.readRequest`},
		{"allocs?seconds=3", []string{"-sample_index=alloc_space"}, `net/http\.\(\*conn\)\.readRequest`},
		{"heap?gc=1", []string{"-sample_index=alloc_space"}, `net/http\.\(\*conn\)\.readRequest`},
		{"goroutine", nil, `net/http\.\(\*Server\)\.Serve`},
		{"block", nil, `net/http\.`},
		{"mutex", nil, `net/http\.|glog\.|logging\.`}, // whichever was fought over
		{"threadcreate", nil, `Type: threadcreate`},   // the runtime knows no stacks of it
	} {
		re := regexp.MustCompile(test.want)
		out := ""
		for begin := time.Now(); time.Since(begin) < 30*time.Second; { // until it holds samples: there may be none yet
			if out = pprofTop(t, append(test.args, "-cum", "-nodecount=1000", url+test.path)...); re.MatchString(out) {
				break
			}
		}
		if !re.MatchString(out) {
			t.Errorf("%s has no %s:\n%s", test.path, test.want, out)
		}
	}
	if pprof.Lookup("goroutineleak") != nil { // Go 1.27, or Go 1.26 as make builds it
		if out := pprofTop(t, url+"goroutineleak"); !strings.Contains(out, "Type: goroutineleak") {
			t.Errorf("goroutineleak:\n%s", out)
		}
	}

	get := func(path string) string {
		_, body := p.get("/debug/pprof/" + path)
		return body
	}
	trace := filepath.Join(t.TempDir(), "trace")
	os.WriteFile(trace, []byte(get("trace?seconds=0.2")), 0o666)
	out, err := exec.Command(filepath.Join(tools, "trace"), "-d=parsed", trace).Output()
	if err != nil || !strings.Contains(string(out), "net/http.(*conn).serve") {
		t.Errorf("trace: %v", err)
	}
	stacks := get("goroutine?debug=2")
	if !strings.Contains(stacks, "\nnet/http.(*Server).Serve(") {
		t.Errorf("goroutine?debug=2: %s", stacks)
	}
	pc := regexp.MustCompile(`(0x[0-9a-f]+)\s+net/http\.\(\*Server\)\.Serve\+`).FindStringSubmatch(get("goroutine?debug=1"))
	if symbols := get("symbol?" + pc[1]); !strings.Contains(symbols, "net/http.(*Server).Serve") {
		t.Errorf("symbol?%s: %s", pc[1], symbols)
	}
	if got := get("cmdline"); got != strings.Join(p.cmd.Args, "\x00") {
		t.Errorf("cmdline: %q", got)
	}
}

// TestLongProfile takes a CPU profile as go tool pprof does by default, for 30
// seconds, which is longer than the write timeout.
func TestLongProfile(t *testing.T) {
	t.Parallel()
	p := start(t, "-v=0")
	out := pprofTop(t, "http://"+p.addr+"/debug/pprof/profile")
	if !strings.Contains(out, "Type: cpu") || !regexp.MustCompile(`Duration: (30|29\.9)`).MatchString(out) {
		t.Error(out)
	}
}

// A client that goes away ends its profile.
func TestProfileWithoutClient(t *testing.T) {
	t.Parallel()
	p := start(t, "-v=4")
	c := p.dial()
	io.WriteString(c, "GET /debug/pprof/profile?seconds=3600 HTTP/1.1\r\nHost: localhost\r\n\r\n")
	for stacks := ""; !strings.Contains(stacks, "net/http/pprof.sleep("); { // it is under way
		_, stacks = p.get("/debug/pprof/goroutine?debug=2")
	}
	c.Close()
	p.waitLog(`"GET /debug/pprof/profile\?seconds=3600 HTTP/1.1" 200`)
	if res, body := p.get("/debug/pprof/profile?seconds=1"); res.StatusCode != 200 {
		t.Errorf("next profile: status %d, %s", res.StatusCode, body)
	}
}

// A short profile that is under way when the program is told to stop is written
// whole.
func TestStopDuringProfile(t *testing.T) {
	t.Parallel()
	p := start(t, "-v=4")
	c := p.dial()
	io.WriteString(c, "GET /debug/pprof/profile?seconds=2 HTTP/1.1\r\nHost: localhost\r\n\r\n")
	p.waitLog(`> "GET /debug/pprof/profile`)
	p.signal(syscall.SIGTERM)
	_, profile := wire.ReadResponse(t, bufio.NewReader(c), "GET")
	p.wait(0)
	file := filepath.Join(t.TempDir(), "profile")
	os.WriteFile(file, []byte(profile), 0o666)
	if out := pprofTop(t, file); !regexp.MustCompile(`Duration: (2|1\.9)`).MatchString(out) {
		t.Error(out)
	}
}

// TestWholeRunProfiles takes profiles from start to stop.
func TestWholeRunProfiles(t *testing.T) {
	t.Parallel()
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		dir := t.TempDir()
		cpu, mem := filepath.Join(dir, "cpu"), filepath.Join(dir, "mem")
		p := start(t, "-cpuprofile="+cpu, "-memprofile="+mem)
		stop := wire.Load(t, p.addr, wire.BenchRequest, 16, 0)
		res, body := p.get("/debug/pprof/profile")
		if want := "Could not enable CPU profiling: cpu profiling already in use\n"; res.StatusCode != 500 || body != want {
			t.Errorf("%d %q, want 500 %q", res.StatusCode, body, want)
		}
		p.get("/debug/pprof/trace?seconds=3") // wait for samples
		stop()
		p.signal(sig)
		p.wait(0)
		for _, file := range []string{cpu, mem} {
			if out := pprofTop(t, "-cum", "-nodecount=1000", "-sample_index=0", file); !strings.Contains(out, "net/http.(*conn).serve") {
				t.Errorf("%s:\n%s", file, out)
			}
		}
	}
}

// A profile of the whole run that can't be written is told of.
func TestWholeRunProfileOnFullDisk(t *testing.T) {
	for _, name := range []string{"-cpuprofile", "-memprofile"} {
		p := start(t, name+"=/dev/full")
		p.signal(syscall.SIGTERM)
		p.wait(1)
		p.waitLog(`E.* ` + name + `: write /dev/full: no space left on device\n`)
	}
}
