//go:build unix

package test

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"httpserver/internal/wire"
)

// This file measures the program, and takes the profiles of make.

var (
	profileFile    = flag.String("profile", "", "write a CPU profile of the program under load to `file`")
	profileSeconds = flag.Int("seconds", 5, "of that profile")
)

// TestProfile is what make profile and make pgo run. What follows -- on the command
// line is for the program.
func TestProfile(t *testing.T) {
	if *profileFile == "" {
		t.Skip("no -profile")
	}
	p := start(t, flag.Args()...)
	defer wire.Load(t, p.addr, wire.BenchRequest, 32, 0)()
	defer wire.Load(t, p.addr, wire.BenchRequest, 4, 10)()
	res, err := http.Get(fmt.Sprintf("http://%s/debug/pprof/profile?seconds=%d", p.addr, *profileSeconds))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != 200 {
		t.Fatal(err, res.Status)
	}
	if err := os.WriteFile(*profileFile, b, 0o666); err != nil {
		t.Fatal(err)
	}
}

var table = flag.Bool("table", false, "measure the program against a plain net/http server")

// TestTable is what make bench runs.
func TestTable(t *testing.T) {
	if !*table {
		t.Skip("no -table")
	}
	plain := stockSubject(t)
	ours := func(v string) func(string) []string {
		return func(addr string) []string { return []string{binary, "-addr=" + addr, "-v=" + v} }
	}
	subjects := []subject{
		plain,
		{"-v=0", ours("0"), ""},
		{"-v=2, to a file", ours("2"), "file"},
		{"-v=2, to a pipe", ours("2"), "pipe"},
	}
	fmt.Printf("%s %s/%s, %d cores\n", runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU())
	fmt.Printf("| what | net/http |")
	for _, s := range subjects[1:] {
		fmt.Printf(" %s |", s.name)
	}
	fmt.Printf("\n|---|---|---|---|---|\n")

	if _, err := exec.LookPath("valgrind"); err != nil {
		fmt.Println("no instructions are counted: valgrind is not installed")
	} else {
		for streams, over := range []string{"HTTP/1", "HTTP/2"} {
			row("instructions a request over "+over+", outside the kernel", "%.0f", inTurns(5, subjects, func(_ int, s subject) float64 {
				return (instructions(t, s, streams, 4000) - instructions(t, s, streams, 1000)) / 3000
			}))
		}
	}

	row("exec to the first answer, ms", "%.1f", inTurns(21, subjects[:2], func(_ int, s subject) float64 {
		return float64(firstAnswer(t, s).Microseconds()) / 1000
	}))

	var servers []*process
	var rest, peak [][]float64
	for _, s := range subjects {
		p := s.start(t)
		p.get("/hello")
		servers = append(servers, p)
		rest = append(rest, []float64{p.memory("VmRSS") / 1024})
	}
	for _, load := range []struct {
		name           string
		conns, streams int
	}{{"64 connections", 64, 0}, {"HTTP/2, 6 connections of 10 streams", 6, 10}} {
		cpu := make([][]float64, len(subjects))
		row("requests a second, "+load.name, "%.0f", inTurns(9, subjects, func(i int, s subject) float64 {
			rate, us := servers[i].underLoad(wire.BenchRequest, load.conns, load.streams, 3*time.Second)
			cpu[i] = append(cpu[i], us)
			return rate
		}))
		row("CPU time a request, us", "%.1f", cpu)
	}
	row("memory at rest, MB", "%.1f", rest)
	for _, p := range servers {
		peak = append(peak, []float64{p.memory("VmHWM") / 1024})
	}
	row("its peak under the load, MB", "%.1f", peak)

	busyPeak := make([][]float64, 2)
	row("memory an idle connection, KB", "%.1f", inTurns(3, subjects[:2], func(i int, s subject) float64 {
		p := s.start(t)
		p.get("/hello")
		before := p.memory("VmRSS")
		const conns = 10000
		c := wire.NewClient(t, p.addr, wire.BenchRequest, conns, 0)
		defer c.Close()
		c.Round(t)
		each := (p.memory("VmRSS") - before) / conns
		p.underLoad(wire.BenchRequest, 16, 0, 3*time.Second)
		busyPeak[i] = append(busyPeak[i], p.memory("VmHWM")/1024)
		return each
	}))
	row("peak with 10,000 of them and 16 busy ones, MB", "%.0f", busyPeak)

	for _, fields := range []int{1, 10, 100, 1000} {
		var request strings.Builder
		request.WriteString("GET /hello HTTP/1.1\r\nHost: localhost:8000\r\n")
		for i := range fields - 1 {
			fmt.Fprintf(&request, "X-Field-%d: some value\r\n", i)
		}
		request.WriteString("\r\n")
		row(fmt.Sprintf("CPU time a request with %d fields, us", fields), "%.1f", inTurns(5, subjects[:2], func(i int, s subject) float64 {
			_, us := servers[i].underLoad(request.String(), 16, 0, time.Second)
			return us
		}))
	}

	var sizes [][]float64
	for _, path := range []string{plain.args("")[0], binary} {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		sizes = append(sizes, []float64{float64(info.Size()) / 1e6})
	}
	row("size of the program, 10^6 bytes", "%.2f", sizes)
}

// instructions returns how many instructions a fresh run of s takes outside the
// kernel up to its nth answer, on one connection, as newClient's.
func instructions(t *testing.T, s subject, streams, n int) float64 {
	t.Helper()
	addr, out := freeAddr(t), filepath.Join(t.TempDir(), "callgrind")
	cmd := s.command(t, addr)
	cmd.Args = append([]string{"valgrind", "--tool=callgrind", "--callgrind-out-file=" + out}, cmd.Args...)
	cmd.Path, cmd.Err = exec.LookPath("valgrind")
	cmd.Env = append(os.Environ(), "GODEBUG=asyncpreemptoff=1", "GOMAXPROCS=1") // callgrind can't take the preemption signals
	p := launch(t, cmd)
	awaitDial(t, addr)
	c := wire.NewClient(t, addr, wire.BenchRequest, 1, streams)
	defer c.Close()
	for range n - 1 {
		c.Round(t)
	}
	// Callgrind can't take SIGTERM either.
	if out, err := exec.Command("callgrind_control", "-d", strconv.Itoa(p.cmd.Process.Pid)).CombinedOutput(); err != nil {
		t.Fatalf("callgrind_control: %v:\n%s", err, out)
	}
	dump, err := os.ReadFile(out + ".1")
	m := regexp.MustCompile(`(?m)^(?:totals|summary): (\d+)`).FindSubmatch(dump)
	if m == nil {
		t.Fatalf("callgrind's dump has no totals: %v", err)
	}
	p.cmd.Process.Kill()
	<-p.done
	total, _ := strconv.ParseFloat(string(m[1]), 64)
	return total
}

// firstAnswer returns the time from the start of s to its first answer.
func firstAnswer(t *testing.T, s subject) time.Duration {
	t.Helper()
	addr := freeAddr(t)
	begin := time.Now()
	p := launch(t, s.command(t, addr))
	for {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			time.Sleep(100 * time.Microsecond)
			continue
		}
		io.WriteString(c, wire.BenchRequest)
		c.Read(make([]byte, 1))
		took := time.Since(begin)
		c.Close()
		p.cmd.Process.Kill()
		<-p.done
		return took
	}
}

// underLoad puts request on the process for d, and returns how many were answered a
// second, and the CPU time that each took, in microseconds.
func (p *process) underLoad(request string, conns, streams int, d time.Duration) (rate, us float64) {
	p.t.Helper()
	begin, before := time.Now(), p.cpu()
	stop := wire.Load(p.t, p.addr, request, conns, streams)
	time.Sleep(d)
	n := float64(stop())
	return n / time.Since(begin).Seconds(), (p.cpu() - before) / n * 1e6
}

// cpu returns the CPU time that the process has taken, in seconds, by the kernel's
// account (proc_pid_stat(5)), which ticks 100 times a second.
func (p *process) cpu() float64 {
	p.t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		p.t.Fatal(err)
	}
	fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')'):])) // from the second on
	user, _ := strconv.ParseFloat(fields[12], 64)
	system, _ := strconv.ParseFloat(fields[13], 64)
	return (user + system) / 100
}
