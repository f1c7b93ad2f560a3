// Httpserver echoes the header of each request it gets, answers health checks
// and opens itself to go tool pprof, logging through glog.
package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/golang/glog"

	"httpserver/internal/certs"
	"httpserver/internal/logging"
	"httpserver/internal/overload"
	"httpserver/internal/profiling"
	"httpserver/internal/rawhead"
)

// stopTimeout is what requests in flight get to end once the server stops.
const stopTimeout = 20 * time.Second

func main() {
	os.Exit(run(os.Args[1:]))
}

// run serves until it is told to stop and returns the exit status: 0 after a
// clean stop, 1 when it can't serve, 2 for a wrong command line.
func run(args []string) int {
	if status, ok := parseFlags(args); !ok {
		return status
	}
	if err := checkLogDir(); err != nil {
		return fail(1, "%v", err)
	}
	signals, hangups := notifySignals()
	var tlsConfig *tls.Config
	if *certFile != "" {
		cert, err := certs.Load(*certFile, *keyFile)
		if err != nil {
			return fail(1, "-cert %q, -key %q: %v", *certFile, *keyFile, err)
		}
		go func() {
			for range hangups {
				cert.Reload()
			}
		}()
		tlsConfig = certs.NewConfig(cert, *clientCert)
	}
	limits, err := overload.New(overload.Config{MaxConns: *maxConns, MaxHead: int(maxHead), HeadCopies: rawhead.HeadCopies,
		TLS: tlsConfig != nil, ClientCert: *clientCert, Idle: idleTimeout + headTimeout})
	if err != nil {
		return fail(2, "%v", err)
	}
	overload.TuneCollector()
	ln, err := net.Listen("tcp", *addr)
	if err != nil {
		return fail(1, "-addr %q: %v", *addr, err)
	}
	flushLog, err := logging.Start()
	if err != nil {
		return fail(1, "%v", err)
	}
	defer flushLog()
	stopProfiles, err := profiling.Start(profiling.Config{CPUProfile: *cpuProfile, MemProfile: *memProfile, BlockProfileRate: *blockRate, MutexProfileFraction: *mutexRate}) // last, for a start that fails to leave no file
	if err != nil {
		return fail(1, "%v", err)
	}
	status := serve(ln, tlsConfig, limits, signals)
	if err := stopProfiles(); err != nil {
		logging.Later(0, func() { glog.Errorf("%v", err) })
		status = 1
	}
	return status
}

// fail prints one line on stderr and returns status.
func fail(status int, format string, a ...any) int {
	line := fmt.Sprintf(format, a...)
	fmt.Fprintf(os.Stderr, "httpserver: %s\n", strings.ReplaceAll(line, "\n", `\n`))
	return status
}

// notifySignals returns the signals to stop, and those to read the certificate again:
// SIGHUP, which without -cert is one to stop, unless the process was started to ignore
// it, as by nohup.
func notifySignals() (stops, hangups chan os.Signal) {
	stops, hangups = make(chan os.Signal, 2), make(chan os.Signal, 1)
	signal.Notify(stops, syscall.SIGINT, syscall.SIGTERM)
	if *certFile != "" {
		signal.Notify(hangups, syscall.SIGHUP)
	} else if !signal.Ignored(syscall.SIGHUP) {
		signal.Notify(stops, syscall.SIGHUP)
	}
	return stops, hangups
}

// serve answers requests on ln within l, over TLS unless tlsConfig is nil, until a signal
// ends it, and returns the exit status.
func serve(ln net.Listener, tlsConfig *tls.Config, l *overload.Limits, signals <-chan os.Signal) int {
	h := newHandler(*pprofAccess)
	srv := newServer(h, int(maxHead), l)
	failed := make(chan error, 1)
	l.Log()
	go func() { failed <- serveOn(srv, ln, tlsConfig, l) }()
	scheme := "http"
	if tlsConfig != nil {
		scheme = "https"
	}
	logging.Later(0, func() { glog.Infof("%s listening on %s://%s", versionLine(), scheme, ln.Addr()) })

	select {
	case err := <-failed:
		logging.Later(0, func() { glog.Errorf("listening on %s: %v", ln.Addr(), err) })
		return 1
	case sig := <-signals:
		return stop(srv, h, sig, signals)
	}
}

// sameStop is for how long after the first signal others are the same, sent twice by its
// sender, as timeout(1) does.
const sameStop = time.Second

// stop ends srv on sig, and returns the exit status. SIGTERM makes /healthz fail, and
// closes the listener after -drain; SIGINT and SIGHUP close it at once. Then requests in
// flight get stopTimeout to end. A second signal, sameStop or more after the first, ends
// them at once.
func stop(srv *http.Server, h *handler, sig os.Signal, signals <-chan os.Signal) int {
	first := time.Now()
	h.stopping.Store(true)
	stopped := make(chan error, 1)
	go func() {
		if sig == syscall.SIGTERM && drain > 0 {
			logging.Later(0, func() { glog.Infof("stopping (%v): draining for %v", sig, drain) })
			time.Sleep(drain)
		}
		logging.Later(0, func() { glog.Infof("stopping (%v): requests in flight have %v to end", sig, stopTimeout) })
		ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
		defer cancel()
		stopped <- srv.Shutdown(ctx)
	}()
	for {
		select {
		case err := <-stopped:
			if n := h.inFlight.Load(); err != nil && n > 0 {
				logging.Later(0, func() { glog.Errorf("stopped after %v: requests cut: %d", stopTimeout, n) })
				return 1
			}
			logging.Later(0, func() { glog.Info("stopped") })
			return 0
		case sig := <-signals:
			if time.Since(first) < sameStop {
				continue
			}
			n := h.inFlight.Load()
			logging.Later(0, func() { glog.Errorf("stopped at once on a second signal (%v): requests cut: %d", sig, n) })
			return 1
		}
	}
}
