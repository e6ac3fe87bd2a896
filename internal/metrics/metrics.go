// Package metrics tells an operator's monitoring how a process and the store that it works with are doing, in Prometheus' format, and lets
// a person look into the process (pprof).
//
// [Work] counts what this process does. What the store has is asked of it when somebody looks: all processes of a shared store say the same
// of it. No label is the name of a target, a path or a value: what was scanned is not for monitoring, and would be series without end.
package metrics

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"slices"
	"strconv"
	"time"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/internal/store"
)

// Listen opens the address, HOST:PORT, :PORT or PORT. Without a host it is this machine's own: what the pages tell is not for the network, and
// whoever wants it there writes so.
func Listen(ctx context.Context, addr string) (net.Listener, error) {
	if _, err := strconv.ParseUint(addr, 10, 16); err == nil {
		addr = ":" + addr
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, audit.Hint(fmt.Errorf("%w: %q is no address", audit.ErrUsage, addr), "write it as HOST:PORT, or as :PORT for this machine alone")
	}
	if host == "" {
		host = "127.0.0.1"
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", net.JoinHostPort(host, port))
	if err != nil {
		return nil, fmt.Errorf("%w: listening for metrics: %w", audit.ErrUsage, err)
	}
	return l, nil
}

// How long a request may take. A profile of the processor takes as long as was asked for, half a minute by default.
const (
	reading = 5 * time.Second
	writing = 2 * time.Minute
)

// Serve answers requests until ctx ends.
func Serve(ctx context.Context, l net.Listener, work *Work, kept *store.Store, log *slog.Logger) {
	server := &http.Server{
		Handler: Handler(work, kept, time.Now), ReadHeaderTimeout: reading, ReadTimeout: reading, WriteTimeout: writing,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() }) // nobody waits for a last answer
	defer stop()
	log.Info("metrics", "url", "http://"+l.Addr().String()+"/metrics")
	if err := server.Serve(l); err != nil && !errors.Is(err, http.ErrServerClosed) {
		log.Warn("metrics are no longer served", "error", err)
	}
}

// Handler answers /metrics and, below /debug/pprof/, the profiles of the running process. None of them shows its arguments, environment or
// memory's content.
func Handler(work *Work, kept *store.Store, now func() time.Time) http.Handler {
	s := &standing{store: kept, now: now}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", contentType)
		_, _ = io.WriteString(w, text(slices.Concat(work.families(), s.families(r.Context()), process()))) // whoever asked has gone
	})
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/cmdline", http.NotFound) // the store's address may have a password
	return mux
}
