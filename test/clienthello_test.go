//go:build unix

package test

import (
	"bufio"
	"crypto/tls"
	"encoding/json"
	"io"
	"net/http"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"httpserver/internal/wire"
)

// What real clients offer is shown over HTTP/1 and HTTP/2, with their JA4.
func TestClientHellos(t *testing.T) {
	t.Parallel()
	p := startTLS(t)
	url := "https://" + p.addr + "/hello?format=json"
	ask := map[string]func() string{
		"Go": func() string {
			tr := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12}, ForceAttemptHTTP2: true}
			t.Cleanup(tr.CloseIdleConnections)
			res, err := tr.RoundTrip(httpRequest(t, url))
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			body, _ := io.ReadAll(res.Body)
			return string(body)
		},
		"curl": func() string { return output(t, "", "curl", "-q", "-s", "-k", "--noproxy", "*", url) },
		"openssl": func() string {
			return output(t, "GET /hello?format=json HTTP/1.0\r\nConnection: close\r\n\r\n", "openssl", "s_client", "-quiet", "-ign_eof", "-alpn", "http/1.1", "-servername", "localhost", "-connect", p.addr)
		},
	}
	for client, want := range map[string]struct {
		ja4  string
		alpn []string
	}{
		"Go":      {`^t12i\d\d\d\dh2_[0-9a-f]{12}_[0-9a-f]{12}$`, []string{"h2", "http/1.1"}},
		"curl":    {`^t13i\d\d\d\dh2_[0-9a-f]{12}_[0-9a-f]{12}$`, []string{"h2", "http/1.1"}},
		"openssl": {`^t13d\d\d\d\dh1_[0-9a-f]{12}_[0-9a-f]{12}$`, []string{"http/1.1"}},
	} {
		if _, err := exec.LookPath(client); err != nil && client != "Go" {
			t.Logf("%s is not installed", client)
			continue
		}
		answer := ask[client]()
		var shown struct {
			TLS struct {
				ClientHello struct {
					JA4                                                                string
					Versions, CipherSuites, Extensions, Groups, SignatureSchemes, ALPN []string
				}
			}
		}
		if err := json.Unmarshal([]byte(answer[strings.Index(answer, "{"):]), &shown); err != nil {
			t.Errorf("%s: %v: %s", client, err, answer)
			continue
		}
		hello := shown.TLS.ClientHello
		if !regexp.MustCompile(want.ja4).MatchString(hello.JA4) || !slices.Equal(hello.ALPN, want.alpn) || len(hello.CipherSuites) == 0 || len(hello.Groups) == 0 || len(hello.SignatureSchemes) == 0 || len(hello.Extensions) == 0 || len(hello.Versions) == 0 {
			t.Errorf("%s: %+v", client, hello)
		}
		t.Logf("%s: %s", client, hello.JA4)
	}
}

// A hello that offers more than is kept is served without being shown, one of 14 KB too.
func TestLargeHellos(t *testing.T) {
	t.Parallel()
	p := startTLS(t)
	for _, test := range []struct {
		count, length int
		shown         bool
	}{
		{3, 250, true},
		{55, 250, false},
		{2000, 3, false}, // whose headers take more than their letters
	} {
		config := &tls.Config{InsecureSkipVerify: true, NextProtos: append([]string{"http/1.1"}, slices.Repeat([]string{strings.Repeat("a", test.length)}, test.count)...)}
		c, err := tls.Dial("tcp", p.addr, config)
		if err != nil {
			t.Fatal(err)
		}
		httpRequest(t, "https://"+p.addr+"/hello?format=json").Write(c)
		if _, body := wire.ReadResponse(t, bufio.NewReader(c), "GET"); strings.Contains(body, `"clientHello":`) != test.shown {
			t.Errorf("of %d protocols of %d bytes: %.300s", test.count, test.length, body)
		}
		c.Close()
	}
}

func httpRequest(t *testing.T, url string) *http.Request {
	t.Helper()
	req, err := http.NewRequest("GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	return req
}

// output returns what a command prints that reads input.
func output(t *testing.T, input, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Stdin = strings.NewReader(input)
	out, err := cmd.Output()
	if err != nil {
		t.Errorf("%s: %v", name, err)
	}
	return string(out)
}
