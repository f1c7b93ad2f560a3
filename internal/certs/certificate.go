// Package certs holds the server's certificate and its renewal, and says what TLS tells of a client.
package certs

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/golang/glog"

	"httpserver/internal/logging"
)

// This file holds the certificate that the server presents, and its renewal.

// A Certificate is what -cert and -key hold. Handshakes have the files looked at again.
// What can't be used leaves what is in use.
type Certificate struct {
	certFile, keyFile string
	inUse             atomic.Pointer[tls.Certificate]

	mu         sync.Mutex // guards the following; held while the files are read
	chain, key []byte     // what the files had, of the certificate in use
	looked     time.Time
	problem    string // of the last look; "" for none
	warned     time.Time
}

const (
	lookEvery   = time.Second     // at the files, at most
	readTimeout = 5 * time.Second // of a file that is a pipe
	maxPEM      = 1 << 20         // bytes of a file
	endsSoon    = 7 * 24 * time.Hour
	warnEvery   = 24 * time.Hour // of a certificate that ends soon
)

func Load(certFile, keyFile string) (*Certificate, error) {
	c := &Certificate{certFile: certFile, keyFile: keyFile}
	if _, err := c.read(); err != nil {
		return nil, err
	}
	c.warn()
	return c, nil
}

// get is a tls.Config's GetCertificate. While one handshake looks at the files, others
// don't wait for it.
func (c *Certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	if c.mu.TryLock() {
		if time.Since(c.looked) >= lookEvery {
			c.look()
		}
		c.mu.Unlock()
	}
	return c.inUse.Load(), nil
}

// Reload looks at the files at once, and logs what comes of it in any case.
func (c *Certificate) Reload() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.problem = ""
	if renewed := c.look(); !renewed && c.problem == "" {
		logging.Later(0, func() { glog.Infof("-cert %q, -key %q: unchanged", c.certFile, c.keyFile) })
	}
}

// look takes up what is new in the files, and logs a problem once. c.mu is to be held.
func (c *Certificate) look() (renewed bool) {
	renewed, err := c.read()
	problem := ""
	if err != nil {
		problem = fmt.Sprintf("-cert %q, -key %q: %v", c.certFile, c.keyFile, err)
	}
	if err != nil && problem != c.problem {
		logging.Later(len(problem), func() { glog.Errorf("%s; the certificate in use stays", problem) })
	}
	c.problem = problem
	c.warn()
	c.looked = time.Now()
	return renewed
}

// read takes up what the files have, and reports whether that is new.
func (c *Certificate) read() (renewed bool, err error) {
	chain, err := readPEM(c.certFile)
	if err != nil {
		return false, err
	}
	key, err := readPEM(c.keyFile)
	if err != nil {
		return false, err
	}
	if bytes.Equal(chain, c.chain) && bytes.Equal(key, c.key) {
		return false, nil
	}
	if block, _ := pem.Decode(key); block != nil && (block.Type == "ENCRYPTED PRIVATE KEY" || block.Headers["DEK-Info"] != "") {
		return false, fmt.Errorf("the key is encrypted: want it in the clear, as \"openssl pkey\" writes it")
	}
	pair, err := tls.X509KeyPair(chain, key)
	if err == nil {
		err = usable(chain, &pair)
	}
	if err != nil {
		return false, err
	}
	c.chain, c.key, c.warned = chain, key, time.Time{}
	c.inUse.Store(&pair)
	names, end := namesOf(pair.Leaf), pair.Leaf.NotAfter.UTC().Format(time.RFC3339)
	if len(names) == 0 {
		names = []string{pair.Leaf.Subject.CommonName}
	}
	logging.Later(0, func() { glog.Infof("certificate until %s for %q", end, names) })
	return true, nil
}

// usable returns an error where pair, of chain, is not all that chain has, as of a file
// that is being written, or where it can't serve.
func usable(chain []byte, pair *tls.Certificate) error {
	if n := bytes.Count(chain, []byte("-----BEGIN CERTIFICATE-----")); n != len(pair.Certificate) {
		return fmt.Errorf("%d certificates begin, and %d are whole", n, len(pair.Certificate))
	}
	client := &tls.ClientHelloInfo{
		SupportedVersions: []uint16{tls.VersionTLS13},
		SignatureSchemes: []tls.SignatureScheme{tls.PSSWithSHA256, tls.ECDSAWithP256AndSHA256,
			tls.ECDSAWithP384AndSHA384, tls.ECDSAWithP521AndSHA512, tls.Ed25519},
	}
	return client.SupportsCertificate(pair)
}

// readPEM returns what the file name has. It waits for no writer of a FIFO.
func readPEM(name string) ([]byte, error) {
	f, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	f.SetReadDeadline(time.Now().Add(readTimeout))
	b, err := io.ReadAll(io.LimitReader(f, maxPEM+1))
	if len(b) > maxPEM {
		return nil, fmt.Errorf("%s has over %d bytes", name, maxPEM)
	}
	return b, err
}

// warn warns of a certificate that has ended or ends soon.
func (c *Certificate) warn() {
	end := c.inUse.Load().Leaf.NotAfter
	left := time.Until(end)
	if left > endsSoon || time.Since(c.warned) < warnEvery {
		return
	}
	c.warned = time.Now()
	ends := "ends"
	if left < 0 {
		ends = "ended"
	}
	logging.Later(0, func() {
		glog.Warningf("-cert %q: the certificate %s on %s", c.certFile, ends, end.UTC().Format(time.RFC3339))
	})
}

// namesOf returns the names that cert is for: those of hosts, addresses, mailboxes and
// URIs.
func namesOf(cert *x509.Certificate) []string {
	names := append([]string{}, cert.DNSNames...)
	for _, ip := range cert.IPAddresses {
		names = append(names, ip.String())
	}
	names = append(names, cert.EmailAddresses...)
	for _, uri := range cert.URIs {
		names = append(names, uri.String())
	}
	return names
}
