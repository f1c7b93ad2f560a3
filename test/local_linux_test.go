package test

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"httpserver/internal/wire"
)

// credential has a command run by user.
func credential(user int) *syscall.SysProcAttr {
	if user == os.Geteuid() {
		return nil
	}
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(user), Gid: uint32(user)}}
}

// ask asks url of the process by curl, which user runs, and returns the body and the status.
func (p *process) ask(user int, args ...string) string {
	p.t.Helper()
	cmd := exec.Command("curl", append([]string{"-q", "-sgk", "--noproxy", "*", "-w", "%{http_code}"}, args...)...)
	cmd.SysProcAttr = credential(user)
	out, err := cmd.Output()
	if err != nil {
		p.t.Errorf("%q of user %d: %v", cmd.Args, user, err)
	}
	return string(out)
}

// startAs starts the program as user on all addresses.
func startAs(t *testing.T, user int) *process {
	t.Helper()
	cmd := exec.Command(binary, "-addr=:0")
	cmd.SysProcAttr = credential(user)
	p := launch(t, cmd)
	p.addr = p.waitLog(`listening on http://(\S+)`)[1]
	return p
}

// testWhoMayAsk asks p, which server runs, as each of users, whatever the address and the
// protocol.
func testWhoMayAsk(t *testing.T, p *process, scheme string, server int, users []int) {
	t.Helper()
	_, port, _ := net.SplitHostPort(p.addr)
	for _, host := range []string{"127.0.0.1", "[::1]"} {
		ln, err := net.Listen("tcp", host+":0")
		if err != nil {
			continue // no IPv6
		}
		ln.Close()
		for _, protocol := range []string{"--http1.1", "--http2-prior-knowledge"} {
			for _, client := range users {
				want := "200"
				if client != server && client != 0 {
					want = fmt.Sprintf("profiles are for clients on this machine: the client's socket belongs to user %d, "+
						"who is neither the server's user nor root; -pprof=all opens them to all\n403", client)
				}
				url := scheme + "://" + host + ":" + port + "/debug/pprof/cmdline"
				if got := p.ask(client, protocol, url); !strings.HasSuffix(got, want) {
					t.Errorf("a server of user %d, asked for %s %s by user %d: %q", server, url, protocol, client, got)
				}
			}
		}
	}
}

// Profiles are for the server's own user and for root.
func TestWhoMayAsk(t *testing.T) {
	users := wire.TestUsers(t)
	t.Parallel()
	for _, server := range users {
		testWhoMayAsk(t, startAs(t, server), "http", server, users)
	}
	testWhoMayAsk(t, startTLS(t, "-addr=:0"), "https", users[0], users)
}

// A page of another origin gets no profile by a browser that runs here; its user does.
func TestPages(t *testing.T) {
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("chromium is not installed")
	}
	t.Parallel()
	p := start(t, "-addr=:0")
	_, port, _ := net.SplitHostPort(p.addr)
	show := func(url string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
			"--disable-component-update", "--disable-sync", "--user-data-dir="+t.TempDir(), "--dump-dom", url)
		out, err := cmd.Output()
		if err != nil {
			t.Errorf("%q: %v", cmd.Args, err)
		}
		return string(out)
	}
	if page := show("http://localhost:" + port + "/debug/pprof/?typed"); !strings.Contains(page, "Types of profiles available") {
		t.Errorf("a typed address shows %s", page)
	}
	hosts := []string{"localhost", "localhost.", "127.0.0.1", "127.1.2.3", "[::ffff:127.0.0.1]"}
	ways := []string{"img", "iframe", "script", "fetch", "cors", "beacon", "websocket"}
	refused := make(chan bool)
	evil := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/last" { // the page is loading until then
			<-refused
			return
		}
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, `<img src="/last">`)
		for i, host := range hosts {
			url := fmt.Sprintf("http://%s:%s/debug/pprof/cmdline?%s-%d-", host, port, r.Host, i)
			fmt.Fprintf(w, `<img src="%simg"><iframe src="%[1]siframe"></iframe><script src="%[1]sscript"></script>
				<script>fetch("%[1]sfetch", {mode: "no-cors"}); fetch("%[1]scors"); navigator.sendBeacon("%[1]sbeacon", "x");
				new WebSocket("%[1]swebsocket".replace("http", "ws"))</script>`, url)
		}
	}))
	t.Cleanup(evil.Close)
	_, evilPort, _ := net.SplitHostPort(evil.Listener.Addr().String())
	for _, host := range []string{"localhost", "127.0.0.1"} { // the same site as the first of hosts, and another
		page := host + ":" + evilPort
		shown := make(chan string)
		go func() { shown <- show("http://" + page) }()
		for i := range hosts {
			for _, way := range ways {
				p.waitLog(fmt.Sprintf(`\?%s-%d-%s HTTP/1.1" 403 `, page, i, way))
			}
		}
		refused <- true
		<-shown
	}
	if log := p.log(); strings.Count(log, `" 200 `) != 1 {
		t.Error("a page got a profile")
	}
}

// Where a sandbox refuses netlink, /proc tells who may ask.
func TestRefusedNetlink(t *testing.T) {
	users := wire.TestUsers(t)
	t.Parallel()
	runtime.LockOSThread() // the thread ends with the test
	refuseNetlink(t)
	for _, server := range users {
		testWhoMayAsk(t, startAs(t, server), "http", server, users)
	}
}

// refuseNetlink has this thread, and the processes that it starts, get EPERM for a socket
// of netlink, by seccomp(2).
func refuseNetlink(t *testing.T) {
	t.Helper()
	const (
		load, equal, ret         = syscall.BPF_LD | syscall.BPF_W | syscall.BPF_ABS, syscall.BPF_JMP | syscall.BPF_JEQ, syscall.BPF_RET
		prSetNoNewPrivs, errno   = 38, 0x00050000
		modeFilter, allow        = 2, 0x7fff0000
		offsetOfCall, offsetOfA0 = 0, 16 // in struct seccomp_data; that of the first argument in little-endian
	)
	filter := []syscall.SockFilter{
		{Code: load, K: offsetOfCall},
		{Code: equal, K: syscall.SYS_SOCKET, Jf: 3},
		{Code: load, K: offsetOfA0},
		{Code: equal, K: syscall.AF_NETLINK, Jf: 1},
		{Code: ret, K: errno | uint32(syscall.EPERM)},
		{Code: ret, K: allow},
	}
	program := syscall.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	syscall.RawSyscall6(syscall.SYS_PRCTL, prSetNoNewPrivs, 1, 0, 0, 0, 0)
	if _, _, err := syscall.RawSyscall(syscall.SYS_PRCTL, syscall.PR_SET_SECCOMP, modeFilter, uintptr(unsafe.Pointer(&program))); err != 0 {
		t.Skip("seccomp: ", err)
	}
	const sockDiag = 4 // NETLINK_SOCK_DIAG
	if _, err := syscall.Socket(syscall.AF_NETLINK, syscall.SOCK_RAW, sockDiag); err != syscall.EPERM {
		t.Fatalf("netlink isn't refused: %v", err)
	}
}
