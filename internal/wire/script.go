package wire

import (
	"bytes"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// This file has net/http serve connections that are held in memory, where nothing
// depends on time, through our connections and by itself, to compare the two.

// A Script is a connection whose client has sent all it will. A Read gives as many of
// the bytes as cut says, the last one the end; what is written is kept.
type Script struct {
	in      string
	cut     func() int
	Out     bytes.Buffer
	Methods []string // of the requests that came to the handler
	Closed  chan struct{}
	close   func()
}

func NewScript(in string, cut func() int) *Script {
	s := &Script{in: in, cut: cut, Closed: make(chan struct{})}
	s.close = sync.OnceFunc(func() { close(s.Closed) })
	return s
}

func (s *Script) Read(p []byte) (int, error) {
	if s.in == "" {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), s.cut())], s.in)
	s.in = s.in[n:]
	return n, nil
}

func (s *Script) Write(p []byte) (int, error) {
	select {
	case <-s.Closed:
		return 0, net.ErrClosed
	default:
		return s.Out.Write(p)
	}
}

func (s *Script) CloseWrite() error { return s.Close() } // net/http sends nothing more, and waits for half a second

func (s *Script) Close() error { s.close(); return nil }

func (s *Script) LocalAddr() net.Addr { return &net.TCPAddr{} }

func (s *Script) RemoteAddr() net.Addr { return &net.TCPAddr{} }

func (s *Script) SetDeadline(time.Time) error { return nil }

func (s *Script) SetReadDeadline(time.Time) error { return nil }

func (s *Script) SetWriteDeadline(time.Time) error { return nil }

// Cuts are ways in which a client's bytes may arrive.
var Cuts = map[string]func() int{
	"whole":        func() int { return 1 << 20 },
	"single bytes": func() int { return 1 },
	"at random":    func() int { return 1 + rand.IntN(40) },
}

// A Stage is a listener for scripts.
type Stage chan net.Conn

func (s Stage) Accept() (net.Conn, error) {
	if c, ok := <-s; ok {
		return c, nil
	}
	return nil, net.ErrClosed
}

func (s Stage) Close() error { return nil }

func (s Stage) Addr() net.Addr { return &net.TCPAddr{} }

// Choices are a fuzzer's bytes, each of which makes a choice.
type Choices []byte

// Choose returns a number below n, 0 when no choices are left.
func (c *Choices) Choose(n int) int {
	if len(*c) == 0 {
		return 0
	}
	choice := int((*c)[0])
	*c = (*c)[1:]
	return choice % n
}

// seedChoices gives f n runs of choices, each longer than the last by size.
func SeedChoices(f *testing.F, n, size int) {
	for i := range n {
		c := make([]byte, size*(i+1))
		src := rand.NewChaCha8([32]byte{byte(i)})
		src.Read(c)
		f.Add(c)
	}
}

// Text returns what /hello shows of a raw head.
func Text(head string) string {
	return strings.TrimSuffix(strings.ReplaceAll(head, "\r\n", "\n"), "\n")
}
