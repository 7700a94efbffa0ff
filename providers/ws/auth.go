//go:build !js

package ws

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/seed1312cc15/weft/providers"
)

// Principal is who is at the other end of a connection.
type Principal struct {
	// ID names the principal; at most 128 bytes. It stands beside what the principal writes and shows, and limits count by
	// it. Empty: nobody in particular; there is no limit per principal then, and write-own is refused.
	ID string
	// Expires is when the connection ends with UNAUTHENTICATED, unless it ended before; zero: never.
	Expires time.Time
	// Stamp goes with the presence and the casts of this connection, so that others know who it is; at most 1 KiB; default
	// ID.
	Stamp []byte
	// Value is the application's own.
	Value any
}

// Access is what a principal may do with a document.
type Access uint8

// The levels of access.
const (
	// AccessNone is no access: FORBIDDEN.
	AccessNone Access = iota
	// AccessRead reads, shows presence and casts; an update is refused with READ_ONLY.
	AccessRead
	// AccessWriteOwn brings messages of replicas that are bound to this principal, and nothing else: who brings one first
	// under a replica ID, has it for ever. States, deltas and the messages of others are refused with FOREIGN_DOTS. A
	// client then needs its own messages in history until they are acknowledged, which is what runtimes do.
	AccessWriteOwn
	// AccessWriteRelay also brings what others wrote, as replicas do that were linked while the server was out of reach.
	AccessWriteRelay
	// AccessServer is for another server of the same operator, see Server.Peer, and for nobody else: what it says of others is
	// believed. It also brings their presence and casts, with the stamps that it gave them; UpdatesPerSecond does not hold
	// for it; and where a writer contradicts itself the document stays linked.
	AccessServer
)

func (a Access) String() string {
	if n := []string{"none", "read", "write-own", "write-relay", "server"}; int(a) < len(n) {
		return n[a]
	}
	return fmt.Sprintf("Access(%d)", uint8(a))
}

// Authenticator says who is at the other end of a new connection, by the request that made it and the token of the
// client's hello frame. It must not keep either. An error ends the connection with UNAUTHENTICATED, a
// *providers.RefusedError with its own code and reason; of any other the client learns nothing. ctx ends HelloAfter after
// the upgrade.
type Authenticator func(ctx context.Context, r *http.Request, token []byte) (Principal, error)

// Authorizer says what a principal may do with a document, which need not exist. It is asked when a document is opened,
// and again every RecheckEvery and by Server.Recheck. An error refuses the document with UNAVAILABLE, a
// *providers.RefusedError with its own code; of a document that is open, errors are passed over twice.
type Authorizer func(ctx context.Context, p Principal, document string) (Access, error)

// Anyone is an Authenticator that takes everybody in, as nobody in particular.
func Anyone(context.Context, *http.Request, []byte) (Principal, error) { return Principal{}, nil }

// AllowAll is an Authorizer that lets everybody read and write everything.
func AllowAll(context.Context, Principal, string) (Access, error) { return AccessWriteRelay, nil }

func (p *Principal) check(now time.Time) error {
	if p.Stamp == nil && p.ID != "" {
		p.Stamp = []byte(p.ID)
	}
	switch {
	case len(p.ID) > 128 || len(p.Stamp) > 1<<10:
		return fmt.Errorf("%w: a principal's ID has at most 128 bytes, its stamp 1024", providers.ErrInvalidOptions)
	case !p.Expires.IsZero() && !now.Before(p.Expires):
		return &providers.RefusedError{Code: providers.CodeUnauthenticated, Reason: "expired"}
	}
	return nil
}

// guarded calls an application's function and turns its panic into an error.
func guarded[T any](fn func() (T, error)) (v T, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("ws: panic: %v", p)
		}
	}()
	return fn()
}

// refusedBy returns what the peer is told of an error: a code of its own, or def and nothing else.
func refusedBy(err error, def providers.Code, reason string) *providers.RefusedError {
	var r *providers.RefusedError
	if errors.As(err, &r) {
		return r
	}
	return &providers.RefusedError{Code: def, Reason: reason}
}

// origins decides which web pages may connect.
type origins struct {
	any    bool
	exact  []string
	strict bool // a request without an origin is refused too
}

func newOrigins(list []string, cookies bool) (*origins, error) {
	o := &origins{strict: cookies}
	if cookies && (len(list) == 0 || slices.Contains(list, "*")) {
		return nil, fmt.Errorf("%w: with Cookies, Origins must list the pages that may connect", providers.ErrInvalidOptions)
	}
	for _, s := range list {
		if s == "*" {
			o.any = true
			continue
		}
		u, err := url.Parse(s)
		if err != nil || u.Scheme == "" || u.Host == "" || u.Scheme+"://"+u.Host != s || strings.ToLower(s) != s {
			return nil, fmt.Errorf("%w: origin %q is not of the form https://host or https://host:port, in lower case", providers.ErrInvalidOptions, s)
		}
		o.exact = append(o.exact, s)
	}
	return o, nil
}

// allow checks the Origin header, which browsers set and pages cannot. Without a list only pages of this very host may
// connect. A request without the header comes from no browser: it carries no credentials that its sender does not know.
func (o *origins) allow(r *http.Request) bool {
	all := r.Header.Values("Origin")
	switch {
	case len(all) == 0:
		return !o.strict
	case len(all) > 1:
		return false
	case o.any || slices.Contains(o.exact, all[0]):
		return true
	case len(o.exact) > 0:
		return false
	}
	u, err := url.Parse(all[0])
	return err == nil && u.Host != "" && strings.EqualFold(u.Host, r.Host)
}

// address returns whom limits by address count: the peer of the socket or, if that is a trusted proxy, the last address
// of X-Forwarded-For that is none. IPv6 counts by /64. The zero prefix stands for peers without an address, as of a Unix
// socket, which no such limit holds for.
func address(r *http.Request, proxies []netip.Prefix) netip.Prefix {
	socket, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Prefix{}
	}
	at := socket.Addr().Unmap().WithZone("")
	trusted := func(a netip.Addr) bool {
		return slices.ContainsFunc(proxies, func(p netip.Prefix) bool { return p.Contains(a) })
	}
	if trusted(at) {
		hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
		for i := len(hops) - 1; i >= 0; i-- {
			a, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
			if err != nil {
				break // what stands before cannot be trusted either
			}
			at = a.Unmap().WithZone("")
			if !trusted(at) {
				break
			}
		}
	}
	bits := 32
	if at.Is6() {
		bits = 64
	}
	p, _ := at.Prefix(bits)
	return p
}
