package wire

import (
	"os"
	"os/exec"
	"runtime"
	"testing"
)

// NeedLinux skips t where there are no tables of sockets.
func NeedLinux(t *testing.T) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("whose a socket is can be told on Linux only")
	}
}

// testUsers returns the users that servers and clients of a test run as, who are several if
// root runs it.
func TestUsers(t *testing.T) []int {
	t.Helper()
	NeedLinux(t)
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip(err)
	}
	if os.Geteuid() != 0 {
		t.Log("only for our own user, because root doesn't run the test")
		return []int{os.Geteuid()}
	}
	return []int{0, 12345, 65534}
}
