package rawhead

import (
	"crypto/tls"
	"encoding/xml"
	"flag"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	"httpserver/internal/wire"
)

// This file holds our server against net/http alone by h2spec's tests of HTTP/2.

var h2spec = flag.String("h2spec", "", "run h2spec, the package `path@version`")

// TestH2spec finds the same outcome, case by case, with our connections and with
// net/http's own, in the clear and over TLS.
func TestH2spec(t *testing.T) {
	if *h2spec == "" {
		t.Skip("no -h2spec")
	}
	binary := filepath.Join(t.TempDir(), "h2spec")
	install := exec.Command("go", "install", *h2spec)
	install.Env = append(os.Environ(), "GOBIN="+filepath.Dir(binary))
	if out, err := install.CombinedOutput(); err != nil {
		t.Fatalf("%v:\n%s", err, out)
	}
	config := &tls.Config{Certificates: []tls.Certificate{wire.NewPair(t, nil)}, NextProtos: []string{"h2"}}
	var servers sync.WaitGroup
	var outcomes [4]map[string]bool // ours, net/http's; then the two over TLS
	for i := range outcomes {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		addr, over := ln.Addr().(*net.TCPAddr), (*tls.Config)(nil)
		if i >= 2 {
			over = config
		}
		srv := newEcho()
		defer srv.Close()
		go serveEcho(srv, ln, over, i%2 == 0)
		servers.Go(func() {
			outcomes[i] = runH2spec(t, binary, addr, over != nil)
		})
	}
	servers.Wait()
	for i := 0; i < len(outcomes); i += 2 {
		failed := 0
		for name, passed := range outcomes[i] {
			if stock, ok := outcomes[i+1][name]; !ok || passed != stock {
				t.Errorf("%s: passed %v, by net/http alone %v", name, passed, stock)
			}
			if !passed {
				failed++
			}
		}
		if len(outcomes[i]) < 100 || len(outcomes[i]) != len(outcomes[i+1]) {
			t.Errorf("%d cases, %d by net/http alone", len(outcomes[i]), len(outcomes[i+1]))
		}
		t.Logf("%d cases, %d of them failed by net/http too", len(outcomes[i]), failed)
	}
}

// runH2spec returns for each case whether addr passes it.
func runH2spec(t *testing.T, binary string, addr *net.TCPAddr, overTLS bool) map[string]bool {
	report := filepath.Join(t.TempDir(), "report.xml")
	args := []string{"-h", addr.IP.String(), "-p", strconv.Itoa(addr.Port), "-P", "/hello", "-o", "2", "-j", report}
	if overTLS {
		args = append(args, "-t", "-k")
	}
	exec.Command(binary, args...).Run() // fails where a case does
	b, err := os.ReadFile(report)
	if err != nil {
		t.Error(err)
		return nil
	}
	var suites struct {
		Cases []struct {
			Package string    `xml:"package,attr"`
			Name    string    `xml:"classname,attr"`
			Failure *struct{} `xml:"failure"`
			Error   *struct{} `xml:"error"`
		} `xml:"testsuite>testcase"`
	}
	if err := xml.Unmarshal(b, &suites); err != nil {
		t.Error(err)
	}
	passed := map[string]bool{}
	for _, c := range suites.Cases {
		passed[c.Package+" "+c.Name] = c.Failure == nil && c.Error == nil
	}
	return passed
}
