//go:build !js

package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/seed1312cc15/weft/providers/fs"
	"github.com/seed1312cc15/weft/providers/ws"
)

// service is a server that runs, and what it stands on.
type service struct {
	*serveOptions
	c      *console
	log    *slog.Logger
	store  *fs.Store // nil: in memory
	tokens *tokens   // nil: everybody may do everything
	token  []byte    // what this server shows its peers
	cert   atomic.Pointer[tls.Certificate]
	server *ws.Server
	links  links
	https  []*http.Server
	failed chan error // a listener
	tasks  sync.WaitGroup
}

// serve runs a server until a signal ends it.
func serve(c *console, o *serveOptions) (err error) {
	var handler slog.Handler = slog.NewTextHandler(c.err, &slog.HandlerOptions{Level: o.level})
	if o.log == "json" {
		handler = slog.NewJSONHandler(c.err, &slog.HandlerOptions{Level: o.level})
	}
	s := &service{serveOptions: o, c: c, log: slog.New(handler), failed: make(chan error, 2)}
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer signal.Stop(signals)
	if err := s.prepare(); err != nil {
		return err
	}
	if s.store != nil {
		defer func() { err = errors.Join(err, s.store.Close()) }()
	}
	ctx, stop := context.WithCancel(context.Background())
	defer s.tasks.Wait()
	defer s.links.running.Wait()
	defer stop()
	err = s.listenAll()
	if err == nil {
		if s.backup != "" {
			s.tasks.Go(func() { s.backups(ctx) })
		}
		s.startPeers(ctx)
		err = s.wait(ctx, signals)
	}
	stop()
	return errors.Join(err, s.shutdown(signals))
}

// prepare opens all that the server needs but listeners. After an error nothing stays open.
func (s *service) prepare() (err error) {
	if s.tokens, err = s.readTokens(); err != nil {
		return err
	}
	if err := s.readCertificate(); err != nil {
		return err
	}
	if s.token, err = readToken(s.peerTokenFile); err != nil {
		return err
	}
	o := s.options(s.log)
	if s.tokens != nil {
		o.Authenticate, o.Authorize = s.tokens.authenticate, s.tokens.authorize
	}
	if s.data != "" {
		if err := os.MkdirAll(s.data, 0o700); err != nil {
			return err
		}
		if s.store, err = fs.Open(s.data, &fs.StoreOptions{Logger: s.log}); err != nil {
			return err
		}
		o.Store = s.store
	}
	if s.server, err = ws.NewServer(o); err != nil {
		if s.store != nil {
			s.store.Close()
		}
		return usageError{err.Error()}
	}
	return nil
}

func (s *service) readTokens() (*tokens, error) {
	if s.serveOptions.tokens == "" {
		return nil, nil
	}
	return newTokens(s.serveOptions.tokens)
}

func (s *service) readCertificate() error {
	if s.tlsCert == "" {
		return nil
	}
	cert, err := tls.LoadX509KeyPair(s.tlsCert, s.tlsKey)
	if err != nil {
		return fmt.Errorf("certificate: %w", err)
	}
	s.cert.Store(&cert)
	return nil
}

// listenAll opens the listeners, says where they are, and serves.
func (s *service) listenAll() error {
	main := http.NewServeMux()
	main.Handle("/", s.guarded(s.server))
	main.Handle("/healthz", s.server.HealthHandler())
	apart := s.metrics != "" && s.metrics != "same"
	if s.metrics == "same" {
		main.Handle("/metrics", s.server.MetricsHandler())
	}
	at, err := net.Listen("tcp", s.listen)
	if err != nil {
		return err
	}
	var monitoring net.Listener
	if apart {
		if monitoring, err = net.Listen("tcp", s.metrics); err != nil {
			at.Close()
			return err
		}
		mux := http.NewServeMux()
		mux.Handle("/healthz", s.server.HealthHandler())
		mux.Handle("/metrics", s.server.MetricsHandler())
		s.run(monitoring, mux, false)
	}
	s.run(at, main, s.cert.Load() != nil)
	if s.cert.Load() == nil && s.tokens != nil && !loopback(s.listen) {
		s.log.Warn("weft: tokens come in the clear: give --tls-cert and --tls-key, or put a proxy with TLS in front")
	}
	return s.announce(at, monitoring)
}

// announce writes where the server listens, for scripts.
func (s *service) announce(at, monitoring net.Listener) error {
	scheme := "ws"
	if s.cert.Load() != nil {
		scheme = "wss"
	}
	where := map[string]string{"listening": scheme + "://" + at.Addr().String()}
	if monitoring != nil {
		where["metrics"] = "http://" + monitoring.Addr().String() + "/metrics"
	}
	if s.c.json {
		return writeJSON(s.c.out, where)
	}
	if monitoring != nil {
		fmt.Fprintf(s.c.out, "metrics at %s\n", where["metrics"])
	}
	_, err := fmt.Fprintf(s.c.out, "listening on %s\n", where["listening"])
	return err
}

func (s *service) run(l net.Listener, h http.Handler, secure bool) {
	server := ws.HTTPServer(h)
	server.ErrorLog = slog.NewLogLogger(s.log.Handler(), slog.LevelDebug)
	if secure {
		l = tls.NewListener(l, &tls.Config{
			MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}, // an upgrade needs HTTP/1.1
			GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return s.cert.Load(), nil },
		})
	}
	s.https = append(s.https, server)
	s.tasks.Go(func() {
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			s.failed <- err
		}
	})
}

// guarded keeps web pages out of a server without tokens that some other name leads to: a page may have its own host name
// point to this machine (DNS rebinding), and would then count as a page of the same host.
func (s *service) guarded(next http.Handler) http.Handler {
	if s.tokens != nil || s.insecure {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := r.Host
		if h, _, err := net.SplitHostPort(host); err == nil {
			host = h
		}
		if len(r.Header.Values("Origin")) > 0 && !loopbackHost(host) {
			http.Error(w, "this host name may not be used", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// wait returns when the server is to end: nil after a signal, else why.
func (s *service) wait(ctx context.Context, signals <-chan os.Signal) error {
	for {
		select {
		case err := <-s.failed:
			return err
		case sig := <-signals:
			if sig != syscall.SIGHUP {
				s.log.Info("weft: shutting down", "signal", sig.String())
				return nil
			}
			s.reload(ctx)
		}
	}
}

// reload reads tokens and certificate anew, and makes the links to other servers anew, those too that were refused for good. What
// cannot be read stays as it was.
func (s *service) reload(ctx context.Context) {
	if s.tokens != nil {
		if err := s.tokens.reload(s.server); err != nil {
			s.log.Error("weft: the tokens stay as they were", "error", err)
		} else {
			s.log.Info("weft: tokens read anew", "file", s.tokens.path)
		}
	}
	if s.tlsCert != "" {
		if err := s.readCertificate(); err != nil {
			s.log.Error("weft: the certificate stays as it was", "error", err)
		} else {
			s.log.Info("weft: certificate read anew", "file", s.tlsCert)
		}
	}
	if len(s.peers) > 0 {
		s.relink(ctx)
	}
}

// shutdown ends all connections and makes durable what was taken.
func (s *service) shutdown(signals <-chan os.Signal) error {
	ctx, cancel := context.WithTimeout(context.Background(), s.shutdownAfter)
	defer cancel()
	done := make(chan struct{})
	go func() {
		for {
			select {
			case sig := <-signals:
				if sig != syscall.SIGHUP {
					cancel()
				}
			case <-done:
				return
			}
		}
	}()
	before := s.server.Stats().StoreErrors
	if err := s.server.Shutdown(ctx); err != nil {
		s.log.Warn("weft: clients were cut off")
	}
	close(done)
	for _, h := range s.https {
		h.Close()
	}
	if s.server.Stats().StoreErrors > before {
		return errors.New("not all that clients had sent could be written; what was acknowledged is there")
	}
	s.log.Info("weft: shut down")
	return nil
}

// backups writes a backup now and then. One that fails is tried again in its turn; the one before stays.
func (s *service) backups(ctx context.Context) {
	tick := time.NewTicker(s.backupEvery)
	defer tick.Stop()
	for {
		begin := time.Now()
		n, err := backup(ctx, s.store, s.backup)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			s.log.Error("weft: no backup", "file", s.backup, "error", err)
		default:
			s.log.Info("weft: backup written", "file", s.backup, "bytes", n, "took", time.Since(begin))
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}
