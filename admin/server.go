package admin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.uber.org/zap"

	"mcproxy/proxy"
)

// A Source is what the endpoints tell about. Its methods are called from several goroutines at once.
type Source interface {
	// Ready says whether clients are accepted.
	Ready() bool
	// Snapshot gives the figures of this moment, or ctx's error.
	Snapshot(ctx context.Context) (proxy.Snapshot, error)
	// HotKeys gives the heaviest keys of each pool whose keys are watched.
	HotKeys() []proxy.HotKeys
	// Release lets a held backend come back, and says whether it was held.
	Release(pool, backend string) bool
	// Reload has the process read its configuration again, and says what has changed, in lines; or why nothing has.
	Reload(ctx context.Context) (report string, err error)
	// Upgrade has a new process take this one's place, and says what it took over; or why nothing has changed.
	Upgrade(ctx context.Context) (report string, err error)
	// Lookup finds out about a key, or says why it is none.
	Lookup(ctx context.Context, key []byte) (*proxy.KeyReport, error)
}

// Build says which program this is.
type Build struct {
	Version   string // "v1.2.0"
	GoVersion string // "go1.26.0"
}

// Options say what the endpoints tell beside their Source. Zero fields tell nothing.
type Options struct {
	Build Build
	// NativeHistograms gives histograms native buckets beside the classic ones, for a Prometheus that asks for them.
	NativeHistograms bool
	Log              Log // nil: its level cannot be asked for, or changed
	// Hosts are the names that requests may ask for where other machines reach the address, beside its IP address and localhost.
	Hosts []string
	Pprof bool // Go's profiles are served
}

// A Log is the program's. Its methods are safe for concurrent use.
type Log interface {
	// Lines counts what was logged, by level ("info").
	Lines() map[string]uint64
	// Level is the lowest level that is logged.
	Level() string
	// SetLevel changes it: "debug", "info", "warn" or "error".
	SetLevel(level string) error
}

// A Server answers about one Source.
type Server struct {
	source   Source
	build    Build
	metrics  http.Handler
	level    Log
	log      *zap.Logger
	recorder *recorder
	page     page
	hosts    []string // that requests may ask for, beside addresses and localhost
	pprof    bool
}

// Bounds of what one client of the endpoints can take.
const (
	snapshotTimeout = 2 * time.Second  // for the figures to be collected
	headerTimeout   = 5 * time.Second  // for a request's header to arrive
	requestTimeout  = 10 * time.Second // for a request to arrive
	answerTimeout   = 30 * time.Second // for an answer to be read
	idleTimeout     = time.Minute      // between two requests on a conn
	drainTimeout    = time.Second      // for requests in flight when Serve ends
	maxHeader       = 16 << 10         // bytes of a request's header
	maxScrapes      = 4                // at once; one more gets 503
)

// New makes a server. It listens on nothing before Serve.
func New(source Source, opts Options, log *zap.Logger) *Server {
	return &Server{
		source: source,
		build:  opts.Build,
		metrics: promhttp.HandlerFor(registry(source, opts), promhttp.HandlerOpts{
			ErrorLog:            zap.NewStdLog(log),
			MaxRequestsInFlight: maxScrapes,
		}),
		level:    opts.Log,
		log:      log,
		recorder: newRecorder(source, log),
		page:     newPage(),
		hosts:    opts.Hosts,
		pprof:    opts.Pprof,
	}
}

// Serve answers on ln until ctx is done, then gives requests in flight a second, and returns nil. It closes ln. Its error says
// why it could not go on.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	server := &http.Server{
		Handler:           s.Handler(isLoopback(ln.Addr())),
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       requestTimeout,
		WriteTimeout:      answerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          zap.NewStdLog(s.log),
	}
	stopped := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(stopped)
		// The conns of requests that take longer are cut off.
		wait, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
		defer cancel()
		if err := server.Shutdown(wait); err != nil {
			_ = server.Close()
		}
	})
	recording, stopRecording := context.WithCancel(ctx)
	defer stopRecording()
	recorded := make(chan struct{})
	go func() { // ends with ctx, or with Serve, which waits for it
		defer close(recorded)
		s.recorder.run(recording)
	}()
	err := server.Serve(ln)
	stopRecording()
	<-recorded
	if stop() { // Serve ended by itself
		_ = server.Close()
		return fmt.Errorf("admin: %w", err)
	}
	<-stopped
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("admin: %w", err)
}

// Handler gives the endpoints. loopbackOnly says that the address is the machine's own: then requests whose Host is not loopback's are refused.
func (s *Server) Handler(loopbackOnly bool) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/metrics", s.metrics)
	mux.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) { say(w, http.StatusOK, "ok") })
	mux.HandleFunc("/readyz", func(w http.ResponseWriter, _ *http.Request) {
		if s.source.Ready() {
			say(w, http.StatusOK, "ready")
		} else {
			say(w, http.StatusServiceUnavailable, "not ready")
		}
	})
	mux.HandleFunc("/api/status", s.status)
	mux.HandleFunc("/api/history", s.getHistory)
	mux.HandleFunc("/api/hotkeys", s.hotKeys)
	mux.HandleFunc(lookupPath, s.lookup)
	mux.HandleFunc(releasePath, s.release)
	mux.HandleFunc(reloadPath, s.change(s.source.Reload, "reloaded"))
	mux.HandleFunc(upgradePath, s.change(s.source.Upgrade, "upgraded"))
	if s.level != nil {
		mux.HandleFunc(logLevelPath, s.logLevel)
	}
	if s.pprof {
		addPprof(mux)
	}
	mux.HandleFunc("/{$}", s.root)
	return &guard{next: mux, origin: http.NewCrossOriginProtection(), loopbackOnly: loopbackOnly, hosts: s.hosts}
}

// say answers with a line of text.
func say(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text+"\n") // the client is gone, and nobody else wants to know
}
