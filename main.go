// Httpserver echoes the header of each request it gets, answers health checks
// and opens itself to go tool pprof, logging through glog.
package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"strings"
	"syscall"
	"time"

	"github.com/golang/glog"
)

// What a client may take of the server's time and memory.
const (
	headTimeout     = 10 * time.Second  // to send the head
	requestTimeout  = 30 * time.Second  // to send the whole request
	responseTimeout = 30 * time.Second  // to take the response
	idleTimeout     = 120 * time.Second // between requests
	maxHeadBytes    = 1 << 20           // taken surely; net/http takes up to 8192 more
)

// stopTimeout is what requests in flight get to end once the server stops.
const stopTimeout = 20 * time.Second

// gcPercent stands for GOGC where that isn't set. The heap in use is so small that
// at 100 its collection takes a tenth of the CPU time under load; at 300 the process
// peaks 10 MB higher.
const gcPercent = 300

// Our own flags. They stand apart from glog's, which register themselves on
// flag.CommandLine, so that -help can list ours first.
var (
	flags       = flag.NewFlagSet("httpserver", flag.ContinueOnError)
	addr        = flags.String("addr", "127.0.0.1:8000", "listen `address`; port 0 picks a free one, and the log names it")
	certFile    = flags.String("cert", "", "PEM `file` of the certificate chain; with -key, serve TLS 1.2 and later, and HTTP/2 where the client asks for it")
	keyFile     = flags.String("key", "", "PEM `file` of the private key for -cert")
	pprofAccess = flags.String("pprof", "local", "`who` may use /debug/pprof: local, all or none")
	drain       = flags.Duration("drain", 0, "after SIGTERM, serve on for this `duration` with /healthz failing, for load balancers to see")
	cpuProfile  = flags.String("cpuprofile", "", "write a CPU profile of the whole run to `file`")
	memProfile  = flags.String("memprofile", "", "write a profile of the whole run's allocations to `file`")
	blockRate   = flags.Int("blockprofilerate", 10000000, "profile one blocking event for every `n` nanoseconds blocked; 0 turns it off")
	mutexRate   = flags.Int("mutexprofilefraction", 100, "profile one of `n` fights over a mutex; 0 turns it off")
	showVersion = flags.Bool("version", false, "print module, version and Go version, then exit")
)

const usage = `Usage: httpserver [flags]

Httpserver echoes the header of each request to /hello, answers health checks
on /healthz and serves its own profiles under /debug/pprof/.

	$ httpserver
	Serve on 127.0.0.1:8000; try "curl localhost:8000/hello".

	$ httpserver -addr=:8000 -v=4
	Serve on every address of this machine, and log the head of each request.

	$ httpserver -logtostderr=false -log_dir=/var/log
	Log to glog's files instead of stderr.

Flags:
`

func main() {
	os.Exit(run(os.Args[1:]))
}

// run serves until it is told to stop and returns the exit status: 0 after a
// clean stop, 1 when it can't serve, 2 for a wrong command line.
func run(args []string) int {
	if status, ok := parseFlags(args); !ok {
		return status
	}
	if flag.Lookup("logtostderr").Value.String() == "false" {
		// glog would say so with a stack trace, or log to the system's temporary
		// directory instead without a word.
		f, err := os.CreateTemp(flag.Lookup("log_dir").Value.String(), "httpserver")
		if err != nil {
			return fail(1, "-log_dir: %v", err)
		}
		f.Close()
		os.Remove(f.Name())
	}
	tlsConfig, err := loadTLS()
	if err != nil {
		return fail(1, "-cert %q, -key %q: %v", *certFile, *keyFile, err)
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	ln, err := net.Listen("tcp", *addr)
	if err != nil {
		return fail(1, "-addr %q: %v", *addr, err)
	}
	stopProfiles, err := startProfiles()
	if err != nil {
		return fail(1, "%v", err)
	}
	log, err := queueLog()
	if err != nil {
		return fail(1, "%v", err)
	}
	status := serve(ln, tlsConfig, signals)
	if err := stopProfiles(); err != nil {
		glog.Error(err)
		status = 1
	}
	glog.Flush()
	log.flush()
	return status
}

// parseFlags parses and checks the command line. Where ok is false the process
// is to end with status.
func parseFlags(args []string) (status int, ok bool) {
	glogFlags := defineFlags()
	err := flag.CommandLine.Parse(args)
	host, port, addrErr := net.SplitHostPort(*addr)
	_, portErr := net.LookupPort("tcp", port)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Print(usage)
		flags.SetOutput(os.Stdout)
		flags.PrintDefaults()
		fmt.Print("\nglog's flags:\n")
		glogFlags.PrintDefaults()
		return 0, false
	case err != nil:
		return fail(2, "%v", err), false
	case flag.NArg() > 0:
		return fail(2, "unexpected argument %q: httpserver takes flags only", flag.Arg(0)), false
	case *showVersion:
		fmt.Println(versionLine())
		return 0, false
	case addrErr != nil:
		return fail(2, "-addr %q: want host:port or :port: %v", *addr, addrErr), false
	case portErr != nil:
		return fail(2, "-addr %q: want a port from 0 to 65535 after %q: %v", *addr, host+":", portErr), false
	case (*certFile == "") != (*keyFile == ""):
		return fail(2, "-cert %q, -key %q: want both or neither", *certFile, *keyFile), false
	case *pprofAccess != "local" && *pprofAccess != "all" && *pprofAccess != "none":
		return fail(2, "-pprof %q: want local, all or none", *pprofAccess), false
	case *blockRate < 0 || *mutexRate < 0:
		return fail(2, "-blockprofilerate %d, -mutexprofilefraction %d: want 0 or more", *blockRate, *mutexRate), false
	case *drain < 0:
		return fail(2, "-drain %v: want 0 or more", *drain), false
	}
	return 0, true
}

// startProfiles starts the profiles that the flags ask for. stop writes those of
// the whole run.
func startProfiles() (stop func() error, err error) {
	runtime.SetBlockProfileRate(*blockRate)
	runtime.SetMutexProfileFraction(*mutexRate)
	cpu, err := createProfile("cpuprofile", *cpuProfile)
	if err != nil {
		return nil, err
	}
	mem, err := createProfile("memprofile", *memProfile)
	if err != nil {
		return nil, err
	}
	// Not to the files at once, because runtime/pprof reports no failed write.
	var cpuBytes, memBytes bytes.Buffer
	if cpu != nil {
		pprof.StartCPUProfile(&cpuBytes) // can't fail: it's the first
	}
	return func() error {
		if cpu != nil {
			pprof.StopCPUProfile()
			if _, err := cpuBytes.WriteTo(cpu); err != nil {
				return fmt.Errorf("-cpuprofile: %w", err)
			}
		}
		if mem != nil {
			runtime.GC() // as go test does, for what is live to be up to date
			pprof.Lookup("allocs").WriteTo(&memBytes, 0)
			if _, err := memBytes.WriteTo(mem); err != nil {
				return fmt.Errorf("-memprofile: %w", err)
			}
		}
		return nil
	}, nil
}

// createProfile creates the file that the flag name asks for, or returns nil.
func createProfile(name, path string) (*os.File, error) {
	if path == "" {
		return nil, nil
	}
	f, err := os.Create(path)
	if err != nil {
		return nil, fmt.Errorf("-%s: %w", name, err)
	}
	return f, nil
}

// loadTLS returns the configuration that -cert and -key ask for, or nil.
func loadTLS() (*tls.Config, error) {
	if *certFile == "" {
		return nil, nil
	}
	cert, err := tls.LoadX509KeyPair(*certFile, *keyFile)
	return &tls.Config{
		Certificates: []tls.Certificate{cert},
		MinVersion:   tls.VersionTLS12,
		NextProtos:   []string{"h2", "http/1.1"},
	}, err
}

// defineFlags gives glog's flags our defaults, joins ours to them on
// flag.CommandLine, and returns glog's alone, for -help.
func defineFlags() *flag.FlagSet {
	v := flag.Lookup("v")
	v.Usage = "log `level`: 0 starts, stops and faults; 2 a line a request; 3 also /healthz; 4 also each request's head"
	v.Value.Set("2")
	flag.Set("logtostderr", "true")
	glogFlags := flag.NewFlagSet("glog", flag.ContinueOnError)
	glogFlags.SetOutput(os.Stdout)
	flag.VisitAll(func(f *flag.Flag) { glogFlags.Var(f.Value, f.Name, f.Usage) })

	flag.CommandLine.Init("httpserver", flag.ContinueOnError)
	flag.CommandLine.SetOutput(io.Discard) // run reports the error itself, in one line
	flags.VisitAll(func(f *flag.Flag) { flag.Var(f.Value, f.Name, f.Usage) })
	return glogFlags
}

// fail prints one line on stderr and returns status.
func fail(status int, format string, a ...any) int {
	line := fmt.Sprintf(format, a...)
	fmt.Fprintf(os.Stderr, "httpserver: %s\n", strings.ReplaceAll(line, "\n", `\n`))
	return status
}

// versionLine returns the module, its version and the Go version. The version
// holds the revision where the go command saw one, and is "(devel)" elsewhere.
func versionLine() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "httpserver, built without module support"
	}
	return fmt.Sprintf("%s %s %s", info.Main.Path, info.Main.Version, info.GoVersion)
}

// serve answers requests on ln, over TLS unless tlsConfig is nil, until a signal
// ends it, and returns the exit status. SIGTERM makes /healthz fail, and closes ln
// after -drain; SIGINT closes it at once. Then requests in flight get stopTimeout
// to end. A second signal ends them at once.
func serve(ln net.Listener, tlsConfig *tls.Config, signals <-chan os.Signal) int {
	h := newHandler(*pprofAccess)
	srv := newServer(h)
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(newListener(ln, tlsConfig)) }()
	scheme := "http"
	if tlsConfig != nil {
		scheme = "https"
	}
	glog.Infof("%s listening on %s://%s", versionLine(), scheme, ln.Addr())

	var sig os.Signal
	select {
	case err := <-failed:
		glog.Errorf("listening on %s: %v", ln.Addr(), err)
		return 1
	case sig = <-signals:
	}
	h.stopping.Store(true)
	stopped := make(chan error, 1)
	go func() {
		if sig == syscall.SIGTERM && *drain > 0 {
			glog.Infof("stopping (%v): draining for %v", sig, *drain)
			time.Sleep(*drain)
		}
		glog.Infof("stopping (%v): requests in flight have %v to end", sig, stopTimeout)
		ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
		defer cancel()
		stopped <- srv.Shutdown(ctx)
	}()
	select {
	case err := <-stopped:
		if n := h.inFlight.Load(); err != nil && n > 0 {
			glog.Errorf("stopped after %v: requests cut: %d", stopTimeout, n)
			return 1
		}
	case sig := <-signals:
		glog.Errorf("stopped at once on a second signal (%v): requests cut: %d", sig, h.inFlight.Load())
		return 1
	}
	glog.Info("stopped")
	return 0
}

// newServer returns a server of h within the limits above, for HTTP/1 and HTTP/2,
// the latter by prior knowledge too. It is to serve a newListener.
func newServer(h *handler) *http.Server {
	srv := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: headTimeout,
		ReadTimeout:       requestTimeout,
		WriteTimeout:      responseTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeadBytes,
		ErrorLog:          glog.NewStandardLogger("ERROR"),
		Protocols:         new(http.Protocols),
		HTTP2:             &http.HTTP2Config{WriteByteTimeout: responseTimeout}, // WriteTimeout doesn't end a stalled write

		ConnContext: withConn,

		// OPTIONS * is for our handler as well, so that it gets into the log.
		DisableGeneralOptionsHandler: true,
	}
	srv.Protocols.SetHTTP1(true)
	srv.Protocols.SetHTTP2(true)
	srv.Protocols.SetUnencryptedHTTP2(true)
	return srv
}

// newListener returns ln with connections that keep request heads.
func newListener(ln net.Listener, tlsConfig *tls.Config) net.Listener {
	if tlsConfig == nil {
		return listener{ln}
	}
	return newTLSListener(ln, tlsConfig, func(peer net.Addr, err error) {
		glog.Errorf("TLS handshake with %v: %v", peer, err)
	})
}
