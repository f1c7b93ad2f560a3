package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"time"
)

// This file holds the command line: our own flags, glog's beside them, and what is
// said when they are wrong.

// Our own flags. They stand apart from glog's, which register themselves on
// flag.CommandLine, so that -help can list ours first.
var (
	flags       = flag.NewFlagSet("httpserver", flag.ContinueOnError)
	addr        = flags.String("addr", "127.0.0.1:8000", "listen `address`; port 0 picks a free one, and the log names it")
	certFile    = flags.String("cert", "", "PEM `file` of the certificate chain; with -key, serve TLS 1.2 and later, and HTTP/2 where the client asks for it; renewed files are read without a restart")
	keyFile     = flags.String("key", "", "PEM `file` of the private key for -cert")
	clientCert  = flags.Bool("clientcert", false, "ask TLS clients for a certificate and show it in JSON; it is not verified")
	maxHead     = size(65536)
	maxConns    = flags.Int("maxconns", 0, "`most` connections at once; 0 is derived from GOMEMLIMIT, and without one as many as open files allow")
	proxyProto  = flags.String("proxyprotocol", "off", "`mode` of the PROXY protocol, version 1 or 2: off; accept: a connection may begin with its header; require: it must")
	pprofAccess = flags.String("pprof", "local", "`who` may use /debug/pprof: local, all or none")
	cpuProfile  = flags.String("cpuprofile", "", "write a CPU profile of the whole run to `file`")
	memProfile  = flags.String("memprofile", "", "write a profile of the whole run's allocations to `file`")
	blockRate   = flags.Int("blockprofilerate", 10000000, "profile one blocking event for every `n` nanoseconds blocked; 0 turns it off")
	mutexRate   = flags.Int("mutexprofilefraction", 100, "profile one of `n` fights over a mutex; 0 turns it off")
	showVersion = flags.Bool("version", false, "print module, version and Go version, then exit")
)

// drain is -drain's, whose error says more than that of a flags.Duration.
var drain time.Duration

// A size is a flag of so many bytes, such as 65536 or 64KiB.
type size int

func (s *size) String() string { return strconv.Itoa(int(*s)) }

func (s *size) Set(text string) error {
	digits, unit := text, 1
	for suffix, bytes := range map[string]int{"KiB": 1 << 10, "MiB": 1 << 20} {
		if cut, ok := strings.CutSuffix(text, suffix); ok {
			digits, unit = cut, bytes
		}
	}
	n, err := strconv.Atoi(digits)
	if err != nil || n > mostHead/unit || n*unit < minHead {
		return fmt.Errorf("want %d to %d bytes, or 1KiB to %dMiB", minHead, mostHead, mostHead>>20)
	}
	*s = size(n * unit)
	return nil
}

// What -maxhead may be, in bytes.
const (
	minHead  = 1 << 10
	mostHead = 16 << 20
)

const usage = `Usage: httpserver [flags]

Httpserver echoes the header of each request to /hello, answers health checks
on /healthz and serves its own profiles under /debug/pprof/.

	$ httpserver
	Serve on 127.0.0.1:8000; try "curl localhost:8000/hello".

	$ httpserver -addr=:8000 -v=4
	Serve on every address of this machine, and log the head of each request.

	$ httpserver -cert=tls.crt -key=tls.key -clientcert
	Serve TLS, and show the certificates that clients present.

	$ httpserver -log_dir=/var/log
	Log to glog's files instead of stderr.

	$ curl 'localhost:8000/hello?status=503&delay=1.5s'
	Have /hello answer with a status (200 to 599), after a delay (up to 30s).

Flags:
`

// defineFlags gives glog's flags our defaults, joins ours to them on
// flag.CommandLine, and returns glog's alone, for -help.
func defineFlags() *flag.FlagSet {
	v := flag.Lookup("v")
	v.Usage = "log `level`: 0 starts, stops and faults; 2 a line a request; 3 also /healthz; 4 also each request's head"
	v.Value.Set("2")
	flag.Lookup("logtostderr").Value.Set("true") // not flag.Set, after which it were given
	flags.Var(&maxHead, "maxhead", "largest head of a request, in `bytes` or as 64KiB, counting 32 more for each field")
	flags.Func("drain", "after SIGTERM, serve on for this `duration` with /healthz failing, for load balancers to see (default 0s)", parseDrain)

	into := func(set *flag.FlagSet) func(*flag.Flag) {
		return func(f *flag.Flag) { set.Var(f.Value, f.Name, f.Usage) }
	}
	glogFlags := flag.NewFlagSet("glog", flag.ContinueOnError)
	flag.VisitAll(into(glogFlags))
	flag.CommandLine.Init("httpserver", flag.ContinueOnError)
	flag.CommandLine.SetOutput(io.Discard) // run reports the error itself, in one line
	flags.VisitAll(into(flag.CommandLine))
	return glogFlags
}

func parseDrain(s string) (err error) {
	if drain, err = time.ParseDuration(s); err != nil || drain < 0 {
		return errors.New("want 0s or more, with a unit, such as 5s or 1m30s")
	}
	return nil
}

// parseFlags parses and checks the command line. Where ok is false the process
// is to end with status.
func parseFlags(args []string) (status int, ok bool) {
	glogFlags := defineFlags()
	err := flag.CommandLine.Parse(args)
	preferFiles()
	host, port, addrErr := net.SplitHostPort(*addr)
	_, portErr := net.LookupPort("tcp", port)
	switch {
	case errors.Is(err, flag.ErrHelp):
		printHelp(glogFlags)
		return 0, false
	case err != nil:
		return fail(2, "%v; -help lists the flags", err), false
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
	case *clientCert && *certFile == "":
		return fail(2, "-clientcert: want -cert and -key as well"), false
	case *pprofAccess != "local" && *pprofAccess != "all" && *pprofAccess != "none":
		return fail(2, "-pprof %q: want local, all or none", *pprofAccess), false
	case *proxyProto != "off" && *proxyProto != "accept" && *proxyProto != "require":
		return fail(2, "-proxyprotocol %q: want off, accept or require", *proxyProto), false
	case *blockRate < 0 || *mutexRate < 0:
		return fail(2, "-blockprofilerate %d, -mutexprofilefraction %d: want 0 or more", *blockRate, *mutexRate), false
	case *maxConns < 0:
		return fail(2, "-maxconns %d: want 0 or more", *maxConns), false
	}
	return 0, true
}

// preferFiles has glog write files where one of its flags that are about files is given
// and -logtostderr isn't: by our default of that, glog would ignore the others.
func preferFiles() {
	files, given := false, false
	flag.Visit(func(f *flag.Flag) {
		switch f.Name {
		case "stderrthreshold":
			files = true
		case "alsologtostderr", "log_dir", "log_link", "logbuflevel":
			files = files || f.Value.String() != f.DefValue
		case "logtostderr":
			given = true
		}
	})
	if files && !given {
		flag.Set("logtostderr", "false")
	}
}

// printHelp prints what -help shows: our flags, then glog's.
func printHelp(glogFlags *flag.FlagSet) {
	fmt.Print(usage)
	flags.SetOutput(os.Stdout)
	flags.PrintDefaults()
	fmt.Print("\nglog's flags:\n")
	glogFlags.SetOutput(os.Stdout)
	glogFlags.PrintDefaults()
}

// checkLogDir returns an error where glog's flags have it write files and it can't:
// glog would say so with a stack trace, or log to the system's temporary directory
// instead, or leave out its links, without a word.
func checkLogDir() error {
	if flag.Lookup("logtostderr").Value.String() == "true" {
		return nil
	}
	for _, name := range []string{"log_dir", "log_link"} {
		dir := flag.Lookup(name).Value.String()
		if dir == "" && name == "log_link" {
			continue
		}
		f, err := os.CreateTemp(dir, "httpserver")
		if err != nil {
			return fmt.Errorf("-%s %q: %w", name, dir, err)
		}
		f.Close()
		os.Remove(f.Name())
	}
	return nil
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
