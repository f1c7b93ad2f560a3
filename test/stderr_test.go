//go:build unix

package test

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"httpserver/internal/wire"
)

// Whatever happens to stderr costs lines of the log, not requests, nor the exit
// status.
func TestStderrFaults(t *testing.T) {
	t.Parallel()
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { full.Close() })
	gone, reader := pipe(t)
	reader.Close()
	stalled, reader := pipe(t)
	for name, stderr := range map[string]*os.File{"full": full, "gone": gone, "stalled": stalled, "closed": nil} {
		requests := 1000
		if name == "stalled" {
			requests = 15000 // more lines than the pipe and the queue hold
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := exec.Command(binary, "-addr="+freeAddr(t))
			if stderr == nil {
				cmd = exec.Command("sh", append([]string{"-c", `exec "$@" 2>&-`, "sh"}, cmd.Args...)...)
			} else {
				cmd.Stderr = stderr
			}
			p := launch(t, cmd)
			p.addr = strings.TrimPrefix(cmd.Args[len(cmd.Args)-1], "-addr=")
			awaitDial(t, p.addr)
			c := p.dial()
			r := bufio.NewReader(c)
			for range requests {
				io.WriteString(c, "GET /hello HTTP/1.1\r\nHost: test\r\n\r\n")
				wire.ReadResponse(t, r, "GET")
			}
			if name != "stalled" {
				p.signal(syscall.SIGTERM)
				p.wait(0)
				return
			}
			stderr.Close() // so that the log ends with the process
			stop := sync.OnceFunc(func() { p.signal(syscall.SIGTERM) })
			log, lines := bufio.NewScanner(reader), 0
			for log.Scan() { // read on
				if !regexp.MustCompile(`^[IW]\d{4} [\d:.]{15} +\d+ \w+\.go:\d+\] .+$`).MatchString(log.Text()) {
					t.Errorf("line %q", log.Text())
				}
				if !strings.Contains(log.Text(), "lines are late, by up to") {
					lines++
				}
				if m := droppedLines.FindStringSubmatch(log.Text() + "\n"); m != nil {
					dropped, _ := strconv.Atoi(m[1])
					lines += dropped - 1
					stop()
				}
			}
			p.wait(0)
			if want := 2 + requests + 2; lines != want { // limits, listening, stopping, stopped
				t.Errorf("%d lines written and dropped, want %d", lines, want)
			}
		})
	}
}

// Stalled for good, stderr doesn't keep the program from ending.
func TestStopWithStalledStderr(t *testing.T) {
	w, _ := pipe(t)
	w.SetWriteDeadline(time.Now())
	for { // fill it
		if _, err := w.Write(make([]byte, 4096)); err != nil {
			break
		}
	}
	cmd := exec.Command(binary, "-addr="+freeAddr(t))
	cmd.Stderr = w
	p := launch(t, cmd)
	awaitDial(t, strings.TrimPrefix(cmd.Args[1], "-addr="))
	p.signal(syscall.SIGTERM)
	p.wait(0)
}

// What the runtime itself says reaches stderr past the queue.
func TestRuntimeOutput(t *testing.T) {
	p := start(t)
	p.signal(syscall.SIGQUIT) // which has the runtime print all stacks and exit
	p.wait(2)
	p.waitLog(`SIGQUIT: quit\n`)
	p.waitLog(`goroutine \d+`)
}

var droppedLines = regexp.MustCompile(`(?m)^W\d{4} [\d:.]{15} +\d+ stderr\.go:\d+\] (\d+) lines of the log were dropped\n`)
