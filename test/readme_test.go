//go:build unix

package test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime/pprof"
	"strings"
	"testing"
)

// TestREADME runs the commands of README.md that ask a running server, and compares
// what they print with what README.md says they do.
func TestREADME(t *testing.T) {
	t.Parallel()
	for _, tool := range []string{"bash", "curl", "jq"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip(err)
		}
	}
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	p := start(t, "-proxyprotocol=accept") // as one example has it
	run := func(command string) string {
		t.Helper()
		cmd := exec.Command("bash", "-c", "set -o pipefail; "+command)
		cmd.Env = append(os.Environ(), "PPROF_TMPDIR="+t.TempDir())
		out, err := cmd.Output()
		if err != nil {
			t.Errorf("%s: %v", command, err)
		}
		return string(out)
	}
	changing := regexp.MustCompile(`(?m)^(Content-Length|Date|Proxy-Protocol|Remote-Addr|Served-By|User-Agent|user-agent): .*|curl/[0-9.]+`)
	normal := func(output string) string {
		output = strings.ReplaceAll(output, "\r", "")
		return strings.TrimSpace(changing.ReplaceAllString(output, "$1"))
	}

	for _, with := range []struct{ proxy, port, files string }{
		{"nginx", "8080", "nginx"}, {"haproxy", "8081", "haproxy"}, {"haproxy", "8082", "proxy"}, {"nginx", "8083", "stream"},
	} {
		proxy, port, files := with.proxy, with.port, with.files
		if _, err := exec.LookPath(proxy); err != nil {
			continue
		}
		if files == "stream" && !exists(streamModule) {
			continue
		}
		example := regexp.MustCompile(`(?m)\n\n((?:    .*\n)+    ` + proxy + ` .*\n    )(curl .*localhost:` + port + `.*)\n\n((?:    .*\n)+)`).FindStringSubmatch(string(readme))
		if example == nil {
			t.Fatalf("README.md has no example of %s on port %s", proxy, port)
		}
		front, dir := freeAddr(t), t.TempDir()
		here := strings.NewReplacer("127.0.0.1:8000", p.addr, "127.0.0.1:"+port, front, "localhost:"+port, front, "/tmp", dir)
		t.Cleanup(func() {
			run(here.Replace("pid=$(cat /tmp/" + files + ".pid); kill $pid; while kill -0 $pid 2>/dev/null; do sleep 0.1; done"))
		})
		run(here.Replace(example[1]))
		awaitDial(t, front)
		got := run(here.Replace(strings.Replace(example[2], "curl ", "curl -q -s --noproxy '*' ", 1)))
		want := here.Replace(strings.ReplaceAll(example[3], "    ", ""))
		if strings.Contains(got, "HTTP/1.1") { // of nginx 1.29.7 and later
			want = strings.NewReplacer("HTTP/1.0", "HTTP/1.1", "Connection: close\n", "").Replace(want)
		}
		if normal(got) != normal(want) {
			t.Errorf("%s sends\n%s\nand README.md says\n%s", proxy, got, want)
		}
	}

	asked := regexp.MustCompile(`(?m)\n\n    ((?:curl|printf) .*localhost:8000.*)\n\n((?:    .*\n|\n    .*\n)+)`).FindAllStringSubmatch(string(readme), -1)
	if len(asked) < 4 {
		t.Errorf("README.md has only %d commands with their output", len(asked))
	}
	for _, m := range asked {
		command, want := m[1], strings.ReplaceAll(m[2], "    ", "")
		got := run(strings.Replace(strings.Replace(command, "telnet://localhost:8000", "telnet://"+p.addr, 1), "curl ", "curl -q -s --noproxy '*' --connect-to localhost:8000:"+p.addr+" ", 1))
		if normal(got) != normal(want) {
			t.Errorf("%s\nprints\n%s\nand README.md says\n%s", command, got, want)
		}
	}

	profiles := regexp.MustCompile("(?m)^\\|[^`]*\\| `([^`]*localhost:8000/debug[^`]*)` \\|").FindAllStringSubmatch(string(readme), -1)
	if len(profiles) < 9 {
		t.Errorf("README.md has only %d commands for profiles", len(profiles))
	}
	trace := filepath.Join(t.TempDir(), "trace.out")
	for _, m := range profiles {
		if strings.Contains(m[1], "goroutineleak") && pprof.Lookup("goroutineleak") == nil {
			continue // Go 1.26, not as make builds
		}
		command := strings.NewReplacer("localhost:8000", p.addr, "seconds=10", "seconds=1", "seconds=5", "seconds=1", "curl ", "curl -q -sf --noproxy '*' ",
			"/tmp/trace.out", trace, "go tool trace", tools+"/trace -d=parsed", "go tool pprof", tools+"/pprof").Replace(m[1])
		if run(command) == "" {
			t.Errorf("%s prints nothing", command)
		}
	}
}
