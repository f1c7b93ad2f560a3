//go:build unix

package test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"httpserver/internal/wire"
)

// named returns an edit for newPair.
func named(name string) func(*x509.Certificate) {
	return func(c *x509.Certificate) { c.DNSNames = []string{name} }
}

// presented has a handshake with addr, and returns the name of the certificate, and
// whether the session was resumed.
func presented(addr string, cache tls.ClientSessionCache) (name string, resumed bool, err error) {
	tc, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true, ClientSessionCache: cache})
	if err != nil {
		return "", false, err
	}
	defer tc.Close()
	io.WriteString(tc, "GET /healthz HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
	b, err := io.ReadAll(tc) // with it, the session
	if err == nil && !bytes.HasPrefix(b, []byte("HTTP/1.1 200 ")) {
		err = errors.New(string(b))
	}
	state := tc.ConnectionState()
	return state.PeerCertificates[0].DNSNames[0], state.DidResume, err
}

// The certificate is renewed by every way in which its files are, with handshakes all
// the while, of which none fails. Connections and sessions go on.
func TestRenewal(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	link := func(target, name string) {
		t.Helper()
		err := os.Symlink(target, filepath.Join(dir, "link"))
		if err == nil {
			err = os.Rename(filepath.Join(dir, "link"), filepath.Join(dir, name))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	inFolder := func(folder, name string) {
		t.Helper()
		os.Mkdir(filepath.Join(dir, folder), 0o700)
		wire.WritePair(t, filepath.Join(dir, folder), wire.NewPair(t, named(name)))
	}
	// Kubernetes lays a secret out so.
	inFolder("..1", "first")
	link("..1", "..data")
	link("..data/tls.crt", "tls.crt")
	link("..data/tls.key", "tls.key")
	certFile, keyFile := filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	p := start(t, "-v=0", "-cert="+certFile, "-key="+keyFile)
	p.waitLog(`I.*\] certificate until 20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ for \["first"\]\n`)

	cache := tls.NewLRUClientSessionCache(1)
	if _, _, err := presented(p.addr, cache); err != nil {
		t.Fatal(err)
	}
	insecure := &tls.Config{InsecureSkipVerify: true}
	standing := []*http.Transport{{TLSClientConfig: insecure}, {TLSClientConfig: insecure, ForceAttemptHTTP2: true}}
	ask := func() {
		t.Helper()
		for i, tr := range standing {
			req, _ := http.NewRequest("GET", "https://"+p.addr+"/hello", nil)
			res, err := tr.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			io.Copy(io.Discard, res.Body)
			res.Body.Close()
			if res.ProtoMajor != 1+i || res.TLS.PeerCertificates[0].DNSNames[0] != "first" {
				t.Errorf("a connection that stands has made room for one over %s, with %q", res.Proto, res.TLS.PeerCertificates[0].DNSNames)
			}
		}
	}
	ask()
	defer standing[0].CloseIdleConnections()
	defer standing[1].CloseIdleConnections()

	var stopping atomic.Bool
	var clients sync.WaitGroup
	for range 2 {
		clients.Go(func() {
			for ; !stopping.Load() && !t.Failed(); time.Sleep(time.Millisecond) {
				if _, _, err := presented(p.addr, nil); err != nil {
					t.Error(err)
				}
			}
		})
	}
	defer clients.Wait()
	defer stopping.Store(true)
	logged := func(pattern string) { t.Helper(); p.waitLog(regexp.QuoteMeta(pattern)) }
	renewed := func(name string) {
		t.Helper()
		logged(`for ["` + name + `"]`)
		if got, _, err := presented(p.addr, nil); got != name || err != nil {
			t.Errorf("%q is presented, not %q: %v", got, name, err)
		}
		ask()
	}
	refused := func(why string) {
		t.Helper()
		logged(`-cert "` + certFile + `", -key "` + keyFile + `": ` + why + "; the certificate in use stays\n")
	}

	inFolder("..2", "swapped")
	link("..2", "..data")
	renewed("swapped")

	wire.WritePair(t, dir, wire.NewPair(t, named("renamed")))
	renewed("renamed")

	oldCert, oldKey := wire.Pems(t, wire.NewPair(t, named("never")))
	cert, key := wire.Pems(t, wire.NewPair(t, named("completed")))
	wire.Replace(t, certFile, cert)
	refused("tls: private key does not match public key")
	halves := strings.Count(p.log(), "does not match")
	time.Sleep(2 * time.Second)
	if again := strings.Count(p.log(), "does not match"); again != halves {
		t.Errorf("the log says %d times that half of a pair doesn't match", 1+again-halves)
	}
	wire.Replace(t, keyFile, key)
	renewed("completed")

	wire.Replace(t, certFile, oldCert[:len(oldCert)/2])
	refused("tls: failed to find any PEM data in certificate input")
	os.Remove(certFile)
	refused("open " + certFile + ": no such file or directory")
	os.Mkdir(certFile, 0o700)
	refused("read " + certFile + ": is a directory")
	os.Remove(certFile)
	wire.Replace(t, certFile, make([]byte, 1<<20+1))
	refused(certFile + " has over 1048576 bytes")
	wire.Replace(t, certFile, bytes.Replace(oldCert, []byte("MII"), []byte("MIA"), 1))
	refused("x509: malformed certificate")
	wire.Replace(t, keyFile, []byte("secret"))
	wire.Replace(t, certFile, cert)
	refused("tls: failed to find any PEM data in key input")
	wire.Replace(t, keyFile, oldKey[:len(oldKey)-40])
	wire.Replace(t, certFile, cert)
	time.Sleep(time.Second)
	wire.WritePair(t, dir, wire.NewPair(t, named("back again")))
	renewed("back again")

	if _, resumed, err := presented(p.addr, cache); !resumed || err != nil {
		t.Errorf("a session of the first certificate's is resumed: %v, %v", resumed, err)
	}
	if n := strings.Count(p.log(), "certificate until"); n != 5 {
		t.Errorf("the log names %d certificates, want 5", n)
	}
	if strings.Contains(p.log(), "TLS handshake") || strings.Contains(p.log(), "secret") {
		t.Error("the log has what it shouldn't")
	}
}

// A file that doesn't come is waited for by one handshake at most.
func TestStalledCertificate(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := startWith(t, dir, wire.NewPair(t, named("first")))
	fifo := filepath.Join(dir, "tls.crt")
	os.Remove(fifo)
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	presented(p.addr, nil)
	p.waitLog(`failed to find any PEM data in certificate input; the certificate in use stays\n`) // no writer
	writer, err := os.OpenFile(fifo, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer writer.Close()
	time.Sleep(time.Second)
	ended := make(chan error, 2)
	for range 2 {
		go func() {
			_, _, err := presented(p.addr, nil)
			ended <- err
		}()
	}
	if err := <-ended; err != nil || strings.Contains(p.log(), "timeout") {
		t.Errorf("a handshake waits beside another: %v", err)
	}
	p.waitLog(`read ` + fifo + `: i/o timeout; the certificate in use stays\n`)
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// A certificate that has ended or ends soon is warned of at the start.
func TestCertificateEnds(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	for _, test := range []struct {
		left time.Duration
		want string
	}{
		{-time.Minute, "ended"}, {7*day - time.Hour, "ends"}, {7*day + time.Hour, ""},
	} {
		end := time.Now().Add(test.left).UTC().Truncate(time.Second)
		p := startWith(t, t.TempDir(), wire.NewPair(t, func(c *x509.Certificate) { c.DNSNames, c.NotAfter = nil, end }))
		p.waitLog(`certificate until ` + end.Format(time.RFC3339) + ` for \["localhost"\]`)
		if test.want != "" {
			p.waitLog("the certificate " + test.want)
		}
		for range 3 {
			if _, err := tls.Dial("tcp", p.addr, &tls.Config{InsecureSkipVerify: true}); err != nil {
				t.Error(err)
			}
		}
		warnings := regexp.MustCompile(`W.*\] -cert ".*tls\.crt": the certificate (\w+) on `+end.Format(time.RFC3339)+`\n`).FindAllStringSubmatch(p.log(), -1)
		if test.want == "" && warnings != nil || test.want != "" && (len(warnings) != 1 || warnings[0][1] != test.want) {
			t.Errorf("%v before its end: %q", test.left, warnings)
		}
	}
}

// SIGHUP has the certificate read at once, and says so in any case, during a stop too.
func TestHangup(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := startWith(t, dir, wire.NewPair(t, named("first")), "-drain=1h")
	wait := func(pattern string) {
		t.Helper()
		p.signal(syscall.SIGHUP)
		p.waitLog(pattern)
	}
	wait(`I.*\] -cert ".*tls\.crt", -key ".*tls\.key": unchanged\n`)
	wire.WritePair(t, dir, wire.NewPair(t, named("second")))
	wait(`for \["second"\]\n`)
	os.Remove(filepath.Join(dir, "tls.key"))
	wait(`no such file or directory; the certificate in use stays\n`)
	wait(`(?s)no such file or directory; the.*no such file or directory; the certificate in use stays\n`)
	p.signal(syscall.SIGTERM)
	p.waitLog("draining")
	time.Sleep(time.Second)
	wire.WritePair(t, dir, wire.NewPair(t, named("third")))
	wait(`for \["third"\]\n`)
	if name, _, err := presented(p.addr, nil); name != "third" || !strings.Contains(err.Error(), "503") {
		t.Errorf("while draining: %q, %v", name, err)
	}
	p.signal(syscall.SIGTERM)
	p.wait(1)
	if n := strings.Count(p.log(), "unchanged"); n != 1 {
		t.Errorf("the log says %d times that it is unchanged", n)
	}
}
