//go:build unix

package test

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
)

// stock is what the program is measured against.
//
// Over HTTP/2 it sets a response field, as any server does: without one net/http writes
// head and content at once.
const stock = `package main

import (
	"io"
	"log"
	"net/http"
	"os"
)

func main() {
	http.HandleFunc("/hello", func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor == 2 {
			w.Header()["Cache-Control"] = []string{"no-store"}
		}
		io.WriteString(w, "ok")
	})
	srv := &http.Server{Addr: os.Args[1], Protocols: new(http.Protocols)}
	srv.Protocols.SetHTTP1(true)
	srv.Protocols.SetUnencryptedHTTP2(true)
	log.Fatal(srv.ListenAndServe())
}
`

// stockSubject builds it.
func stockSubject(t *testing.T) subject {
	t.Helper()
	dir := t.TempDir()
	source, stockBinary := filepath.Join(dir, "main.go"), filepath.Join(dir, "stock")
	os.WriteFile(source, []byte(stock), 0o666)
	build := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", stockBinary, source)
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v:\n%s", err, out)
	}
	return subject{"net/http", func(addr string) []string { return []string{stockBinary, addr} }, ""}
}

// A subject is a server under measurement.
type subject struct {
	name string
	args func(addr string) []string
	log  string // what stderr is: "", a file or a pipe
}

// command returns what runs the subject at addr.
func (s subject) command(t *testing.T, addr string) *exec.Cmd {
	cmd := exec.Command(s.args(addr)[0], s.args(addr)[1:]...)
	switch s.log {
	case "file":
		f, err := os.Create(filepath.Join(t.TempDir(), "log"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		cmd.Stderr = f
	case "pipe":
		w, r := pipe(t)
		go io.Copy(io.Discard, r)
		cmd.Stderr = w
	}
	return cmd
}

// start starts the subject, and returns when it listens.
func (s subject) start(t *testing.T) *process {
	t.Helper()
	addr := freeAddr(t)
	p := launch(t, s.command(t, addr))
	p.addr = addr
	awaitDial(t, addr)
	return p
}

// inTurns measures each of the subjects n times, one after the other.
func inTurns(n int, subjects []subject, measure func(i int, s subject) float64) [][]float64 {
	measured := make([][]float64, len(subjects))
	for range n {
		for i, s := range subjects {
			measured[i] = append(measured[i], measure(i, s))
		}
	}
	return measured
}

// row prints what was measured of each subject in some turns: the median, the
// least and the most, and the median's ratio to that of the first.
func row(what, format string, measured [][]float64) {
	fmt.Printf("| %s |", what)
	for i, turns := range measured {
		slices.Sort(turns)
		median := turns[len(turns)/2]
		fmt.Printf(" "+format, median)
		if len(turns) > 1 {
			fmt.Printf(" ("+format+" to "+format+")", turns[0], turns[len(turns)-1])
		}
		if i > 0 {
			fmt.Printf(" = %.2f", median/measured[0][len(turns)/2])
		}
		fmt.Print(" |")
	}
	fmt.Println()
}
