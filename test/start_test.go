//go:build unix

package test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestBadStarts(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	addr := taken.Addr().String()
	t.Setenv("GOMEMLIMIT", "64MiB")
	for _, test := range []struct {
		args   []string
		status int
		line   string
	}{
		{[]string{"-addr=" + addr}, 1, `-addr "` + addr + `": listen tcp ` + addr + ": bind: address already in use"},
		{[]string{"-addr=192.0.2.1:0"}, 1, `-addr "192.0.2.1:0": listen tcp 192.0.2.1:0: bind: cannot assign requested address`},
		{[]string{"-addr=localhost"}, 2, `-addr "localhost": want host:port or :port: address localhost: missing port in address`},
		{[]string{"-addr=:65536"}, 2, `-addr ":65536": want a port from 0 to 65535 after ":": address 65536: invalid port`},
		{[]string{"-nosuch"}, 2, "flag provided but not defined: -nosuch"},
		{[]string{"-v=x"}, 2, `invalid value "x" for flag -v: strconv.Atoi: parsing "x": invalid syntax`},
		{[]string{"-pprof=some"}, 2, `-pprof "some": want local, all or none`},
		{[]string{"-blockprofilerate=-1"}, 2, `-blockprofilerate -1, -mutexprofilefraction 100: want 0 or more`},
		{[]string{"-addr=:0", "-cpuprofile=/nosuch/cpu"}, 1, `-cpuprofile: open /nosuch/cpu: no such file or directory`},
		{[]string{"-addr=:0", "-memprofile=/nosuch/mem"}, 1, `-memprofile: open /nosuch/mem: no such file or directory`},
		{[]string{"-drain=-1s"}, 2, `invalid value "-1s" for flag -drain: want 0s or more, with a unit, such as 5s or 1m30s`},
		{[]string{"-drain=5"}, 2, `invalid value "5" for flag -drain: want 0s or more, with a unit, such as 5s or 1m30s`},
		{[]string{"-maxhead=1000"}, 2, `invalid value "1000" for flag -maxhead: want 1024 to 16777216 bytes, or 1KiB to 16MiB; -help lists the flags`},
		{[]string{"-maxhead=4194305"}, 2, `-maxhead 4194305: want at most 3670016, a sixteenth of what GOMEMLIMIT leaves`},
		{[]string{"-maxhead=64KB"}, 2, `invalid value "64KB" for flag -maxhead: want 1024 to 16777216 bytes, or 1KiB to 16MiB`},
		{[]string{"-maxhead=64KiB", "-addr=" + addr}, 1, `-addr "` + addr}, // is taken
		{[]string{"-maxconns=-1"}, 2, `-maxconns -1: want 0 or more`},
		{[]string{"-cert=x"}, 2, `-cert "x", -key "": want both or neither`},
		{[]string{"-cert=/nosuch", "-key=main.go"}, 1, `-cert "/nosuch", -key "main.go": open /nosuch: no such file or directory`},
		{[]string{"-cert=main.go", "-key=main.go"}, 1, `-cert "main.go", -key "main.go": tls: failed to find any PEM data`},
		{[]string{"-clientcert"}, 2, `-clientcert: want -cert and -key as well`},
		{[]string{"serve"}, 2, `unexpected argument "serve": httpserver takes flags only`},
		{[]string{"-log_dir=/nosuch"}, 1, `-log_dir "/nosuch": open /nosuch/httpserver`},
		{[]string{"-log_link=/nosuch"}, 1, `-log_link "/nosuch": open /nosuch/httpserver`},
		{[]string{"-alsologtostderr=false", "-addr=" + addr}, 1, `-addr "` + addr},           // as by default
		{[]string{"-logtostderr", "-log_dir=/nosuch", "-addr=" + addr}, 1, `-addr "` + addr}, // it isn't written to
		{[]string{"-a\nb"}, 2, `flag provided but not defined: -a\nb`},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second) // if it starts
		stdout, err := exec.CommandContext(ctx, binary, test.args...).Output()
		cancel()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != test.status {
			t.Errorf("%q: %v, want exit status %d", test.args, err, test.status)
			continue
		}
		stderr := string(exit.Stderr)
		if !strings.HasPrefix(stderr, "httpserver: "+test.line) || strings.Count(stderr, "\n") != 1 || len(stdout) > 0 {
			t.Errorf("%q: stderr %q, want %q, and no stdout: %q", test.args, stderr, test.line, stdout)
		}
	}
}

// A start that fails leaves no file for a profile, as where there are too few descriptors for the log.
func TestFailedStartLeavesNoProfile(t *testing.T) {
	profile := filepath.Join(t.TempDir(), "cpu.pprof")
	for files := 4; files < 32; files++ { // the first are too few for the runtime
		p := launch(t, exec.Command("sh", "-c", fmt.Sprintf(`ulimit -n %d; exec "$0" -addr=127.0.0.1:0 -cpuprofile="$1"`, files), binary, profile))
		p.waitLog(`(?s)httpserver: .*\n|fatal error|listening`)
		if !strings.Contains(p.log(), "httpserver: pipe") {
			continue
		}
		if _, err := os.Stat(profile); err == nil {
			t.Error("there is a profile")
		}
		return
	}
	t.Error("no start failed for want of a pipe")
}

// A GOMEMLIMIT that is too small is an error, and what follows from others is in the log.
func TestMemoryLimits(t *testing.T) {
	t.Setenv("GOMEMLIMIT", "31MiB")
	p := launch(t, exec.Command(binary, "-addr=127.0.0.1:0"))
	p.waitLog(`^httpserver: GOMEMLIMIT 31MiB: want at least 32MiB\n$`)
	p.wait(2)
	for limit, want := range map[string]string{
		"32MiB": "256 connections; 32 requests at once on one of HTTP/2; heads of 65536 bytes, 24 of the largest at once; 1228 connections wait",
		"64MiB": "597 connections; 32 requests at once on one of HTTP/2; heads of 65536 bytes, 56 of the largest at once; 2867 connections wait",
		"off":   "connections; 100 requests at once on one of HTTP/2; heads of 65536 bytes, without a GOMEMLIMIT as many as come",
	} {
		t.Setenv("GOMEMLIMIT", limit)
		start(t).waitLog("limits: .*" + want + `\n`)
	}
}

func TestHelpAndVersion(t *testing.T) {
	help, err := exec.Command(binary, "-v=9", "-help").Output()
	if err != nil {
		t.Error(err)
	}
	last := 0
	for _, want := range []string{
		"$ httpserver\n", "?status=503&delay=1.5s", "-addr address\n", `(default "127.0.0.1:8000")`, "glog's flags:\n",
		"-log_dir", "-logtostderr\n", "(default true)", "-v level\n", "(default 2)\n  -vmodule",
	} {
		i := bytes.Index(help[last:], []byte(want))
		if i < 0 {
			t.Errorf("-help doesn't say %q after %q:\n%s", want, help[:last], help)
		}
		last += max(i, 0)
	}
	version, err := exec.Command(binary, "-version").Output()
	if err != nil || !regexp.MustCompile(`^httpserver \S+ go1\.\d+\S*\n$`).Match(version) {
		t.Errorf("-version says %q, %v", version, err)
	}
}

// The heap is collected at four times its size, at 12 MB at least, unless GOGC says
// otherwise.
func TestGCPercent(t *testing.T) {
	for gogc, want := range map[string]string{"": "# NextGC = 12582912", "100": "# NextGC = 4194304"} {
		t.Setenv("GOGC", gogc)
		p := start(t)
		if _, heap := p.get("/debug/pprof/heap?debug=1&gc=1"); !strings.Contains(heap, want+"\n") {
			t.Errorf("GOGC=%s: the heap profile has no %q:\n%s", gogc, want, heap[max(0, len(heap)-1500):])
		}
	}
}
