//go:build !js

package main

import (
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/seed1312cc15/weft/crdt"
	"github.com/seed1312cc15/weft/providers/ws"
	"github.com/seed1312cc15/weft/runtime"
)

var serveCommand = &command{
	name:  "serve",
	args:  "--data DIR | --memory",
	short: "serve documents over WebSocket",
	long: `
serve keeps documents of any kind in DIR and serves them over WebSocket to the clients of package providers/ws, to "weft
connect", and to whoever speaks docs/protocol.md. What it tells a client to be saved is on the disk. On stdout it writes
one line, "listening on ws://HOST:PORT", once clients can connect; on stderr its log.

Who may do what stands in the file of --auth-token-file, a line each:

  TOKEN PRINCIPAL ACCESS [prefix=NAMES] [expires=2027-01-31T12:00:00Z]

TOKEN is what the client sends, or "sha256:" and its SHA-256 in hex, or "-" for clients without one. PRINCIPAL names who
that is. ACCESS is none, read, write-own (only what this client itself wrote), write-relay (also what others wrote) or
server (another server of the same operator, which is believed in what it says of others). With a prefix the line is about
documents whose names begin with NAMES; of several lines of one token that with the longest prefix counts, and all have the
same PRINCIPAL. Lines that begin with # are comments. Without this file everybody may do everything, and so the server
listens on this machine alone, unless --insecure is given.

--config names a file with a line "NAME = VALUE" for each flag, flags of the command line go before it. --limit may be
given more than once; --print-limits shows what there is.

--peer links this server to another one, and may be given more than once: what is written to one of these documents on either
side reaches both, and each side's clients see who is there on the other. The token in --peer-token-file needs the access
"server" there. A link that is lost is made again.

Signals: INT and TERM shut down: clients are told, all that was taken is written; a second one does not wait for clients.
HUP reads tokens and certificates anew: who vanished from the file is cut off. Links to other servers are made anew.

Exit codes: 0 shut down in good order; 1 the address, the data directory or a file could not be used, or not everything
could be written at the end; 2 wrong usage. docs/operating.md tells more.`,
	setup: func(fs *flag.FlagSet) func(*console, []string) error {
		o := newServeOptions(fs)
		return func(c *console, args []string) error {
			if len(args) > 0 {
				return usage("serve takes flags only, %q is none", clip(args[0], 60))
			}
			if err := o.configure(fs); err != nil {
				return err
			}
			if err := o.check(); err != nil {
				return err
			}
			if o.printLimits {
				_, err := fmt.Fprint(c.out, o.limits.Table())
				return err
			}
			return serve(c, o)
		}
	},
}

// serveOptions are the flags of serve.
type serveOptions struct {
	listen, data, tokens, metrics, config string
	tlsCert, tlsKey, log, logLevel        string
	memory, insecure, printLimits         bool
	docSize                               sizeFlag
	limitSet                              map[string]bool
	limits                                ws.Limits
	origins, proxies                      listFlag
	peers                                 peerFlag
	peerTokenFile                         string
	networks                              []netip.Prefix
	level                                 slog.Level
	shutdownAfter                         time.Duration
	backup                                string
	backupEvery                           time.Duration
}

func newServeOptions(fs *flag.FlagSet) *serveOptions {
	o := &serveOptions{limitSet: make(map[string]bool)}
	fs.StringVar(&o.listen, "listen", "127.0.0.1:8420", "listen at `ADDR`, HOST:PORT; port 0 takes a free one")
	fs.StringVar(&o.data, "data", "", "keep documents in the directory `DIR`, which is made if it is not there")
	fs.BoolVar(&o.memory, "memory", false, "keep documents in memory only: nothing is durable, and clients are told so")
	fs.StringVar(&o.tokens, "auth-token-file", "", "`FILE` of tokens, see above")
	fs.BoolVar(&o.insecure, "insecure", false, "listen on other addresses than this machine's own although there are no tokens")
	fs.Var(&o.docSize, "max-doc-size", "most `BYTES` of a document, such as 10MiB; the same as --limit DocumentBytes=BYTES (default 64MiB)")
	fs.Func("limit", "set a limit, `NAME=VALUE`", o.setLimit)
	fs.BoolVar(&o.printLimits, "print-limits", false, "print all limits as they are with the other flags, and exit")
	fs.Var(&o.origins, "origins", "web pages that may connect, `LIST` of https://host with commas; * lets all in (default: pages of the same host)")
	fs.Var(&o.proxies, "trusted-proxies", "`LIST` of networks, such as 10.0.0.0/8, whose X-Forwarded-For is believed")
	fs.Func("peer", "keep documents in sync with another server, `'URL DOCUMENT ...'`: its ws:// or wss:// URL and their names, with spaces", o.peers.add)
	fs.StringVar(&o.peerTokenFile, "peer-token-file", "", "show the servers of --peer the token in `FILE` (its first line)")
	fs.StringVar(&o.metrics, "metrics", "", "serve /metrics and /healthz at `ADDR`; \"same\": at the address of --listen, to everybody (default: /healthz alone, there)")
	fs.StringVar(&o.config, "config", "", "read flags from `FILE`")
	fs.StringVar(&o.tlsCert, "tls-cert", "", "serve wss:// with the certificate chain in `FILE` (PEM)")
	fs.StringVar(&o.tlsKey, "tls-key", "", "its private key, `FILE` (PEM)")
	fs.StringVar(&o.log, "log", "text", "`FORM` of the log: text or json")
	fs.StringVar(&o.logLevel, "log-level", "info", "least `LEVEL` that is logged: debug, info, warn or error")
	fs.DurationVar(&o.shutdownAfter, "shutdown-after", 10*time.Second, "how `LONG` a shutdown waits for clients")
	fs.StringVar(&o.backup, "backup", "", "write backups of the store to `FILE`, each in place of the one before")
	fs.DurationVar(&o.backupEvery, "backup-every", 24*time.Hour, "`TIME` between two backups; the first is made at the start")
	return o
}

// check is what the flags have to be together.
func (o *serveOptions) check() error {
	if err := o.level.UnmarshalText([]byte(o.logLevel)); err != nil {
		return usage("--log-level is debug, info, warn or error")
	}
	for _, s := range o.proxies {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			return usage("--trusted-proxies: %q is no network, such as 10.0.0.0/8", clip(s, 60))
		}
		o.networks = append(o.networks, p)
	}
	if o.docSize > 0 {
		if o.limitSet["DocumentBytes"] {
			return usage("--max-doc-size and --limit DocumentBytes are the same: give one")
		}
		o.limits.DocumentBytes = int(o.docSize)
	}
	most := runtime.DefaultLimits().StateBytes
	switch {
	case o.log != "text" && o.log != "json":
		return usage("--log is text or json")
	case o.limits.DocumentBytes > most:
		return usage("a document has at most %d bytes: clients load no more", most)
	case (o.tlsCert == "") != (o.tlsKey == ""):
		return usage("--tls-cert and --tls-key go together")
	case o.backup != "" && (o.memory || o.backupEvery <= 0):
		return usage("--backup needs --data, and --backup-every above 0")
	case o.peerTokenFile != "" && len(o.peers) == 0:
		return usage("--peer-token-file needs --peer")
	case o.shutdownAfter < 0:
		return usage("--shutdown-after is negative")
	case o.printLimits:
		return nil
	case (o.data == "") == !o.memory:
		return usage("where to keep the documents? --data DIR, or --memory for nowhere")
	case o.tokens == "" && !o.insecure && !loopback(o.listen):
		return usage("without --auth-token-file everybody who can reach %s could read and write everything; --insecure allows it", clip(o.listen, 60))
	}
	return nil
}

// options returns those of the server. The rest of them is filled by the caller.
func (o *serveOptions) options(log *slog.Logger) *ws.ServerOptions {
	return &ws.ServerOptions{
		Authenticate: ws.Anyone, Authorize: ws.AllowAll, Origins: o.origins, TrustedProxies: o.networks,
		Runtime: runtime.Options{Kinds: crdt.Kinds()}, Limits: o.limits, Agent: "weft serve", Logger: log,
	}
}

// loopback reports whether an address to listen at is one of this machine alone.
func loopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	return loopbackHost(host)
}

func loopbackHost(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && ip.IsLoopback()
}

// setLimit sets a field of ws.Limits by its name.
func (o *serveOptions) setLimit(s string) error {
	name, value, ok := strings.Cut(s, "=")
	if !ok {
		return errors.New("want NAME=VALUE")
	}
	name, value = strings.TrimSpace(name), strings.TrimSpace(value)
	all := reflect.ValueOf(&o.limits).Elem()
	i := slices.IndexFunc(reflect.VisibleFields(all.Type()), func(f reflect.StructField) bool { return strings.EqualFold(f.Name, name) })
	if i < 0 {
		return fmt.Errorf("there is no limit %q; --print-limits lists them", clip(name, 40))
	}
	name = all.Type().Field(i).Name
	var n int64
	if _, isTime := all.Field(i).Interface().(time.Duration); isTime {
		d, err := time.ParseDuration(value)
		if err != nil || d <= 0 {
			return fmt.Errorf("%s is a time, such as 20s", name)
		}
		n = int64(d)
	} else {
		var v sizeFlag
		if err := v.Set(value); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		n = int64(v)
	}
	all.Field(i).SetInt(n)
	o.limitSet[name] = true
	return nil
}

// sizeFlag is a number above 0, of bytes for instance: 4096, 64k, 10MiB.
type sizeFlag int

func (v *sizeFlag) String() string { return strconv.Itoa(int(*v)) }

func (v *sizeFlag) Set(s string) error {
	digits := strings.TrimRight(s, "kKMGiB")
	factor := map[string]int{"": 1, "B": 1, "k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9, "kB": 1e3, "KB": 1e3, "MB": 1e6, "GB": 1e9,
		"Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}[s[len(digits):]]
	n, err := strconv.Atoi(digits)
	if err != nil || n < 1 || factor == 0 || n > int(^uint(0)>>1)/factor {
		return errors.New("want a number above 0, such as 4096, 64KiB or 10MB")
	}
	*v = sizeFlag(n * factor)
	return nil
}

// listFlag is a list with commas.
type listFlag []string

func (l *listFlag) String() string { return strings.Join(*l, ",") }

func (l *listFlag) Set(s string) error {
	*l = nil
	for _, part := range strings.Split(s, ",") {
		if part = strings.TrimSpace(part); part != "" {
			*l = append(*l, part)
		}
	}
	return nil
}
