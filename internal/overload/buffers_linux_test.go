package overload

import (
	"net"
	"syscall"
	"testing"

	"httpserver/internal/wire"
)

// Within a GOMEMLIMIT the kernel buffers little of a connection, as Linux has it twice of what
// it is asked for.
func TestBuffers(t *testing.T) {
	for _, bounded := range []bool{false, true} {
		tcp, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		l, err := New(Config{MaxHead: wire.TestHead, HeadCopies: 1})
		if err != nil {
			t.Fatal(err)
		}
		l.Bounded, l.queue = bounded, 10
		ln := l.Listener(tcp)
		defer ln.Close()
		_, c := wire.BothEnds(t, ln)
		raw, err := slotOf(c).Conn.(syscall.Conn).SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		raw.Control(func(fd uintptr) {
			for buffer, want := range map[int]int{syscall.SO_RCVBUF: receiveBuffer, syscall.SO_SNDBUF: sendBuffer} {
				size, err := syscall.GetsockoptInt(int(fd), syscall.SOL_SOCKET, buffer)
				if (size == 2*want) != bounded || err != nil {
					t.Errorf("bounded: %v, a buffer of %d bytes, %v", bounded, size, err)
				}
			}
		})
	}
}
