//go:build !js

package ws

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"
)

// FuzzRequest lets the headers of a request be anything: what limits count by is an address of the socket or of a proxy's
// header, and a page that is not listed does not come in.
func FuzzRequest(f *testing.F) {
	f.Add("https://example.com", "example.com", "192.0.2.1:5000", "198.51.100.7, 10.0.0.2")
	f.Add("null", "example.com:80", "[2001:db8::1%eth0]:1", "::ffff:10.0.0.9,,x")
	f.Add("https://EXAMPLE.com:443", "example.com:443", "10.1.2.3:1", "10.9.9.9")
	f.Add("", "", "@", "")
	listed, err := newOrigins([]string{"https://example.com"}, true)
	if err != nil {
		f.Fatal(err)
	}
	same, err := newOrigins(nil, false)
	if err != nil {
		f.Fatal(err)
	}
	proxies := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	f.Fuzz(func(t *testing.T, origin, host, remote, forwarded string) {
		r := &http.Request{Host: host, RemoteAddr: remote, Header: http.Header{"Origin": {origin}, "X-Forwarded-For": {forwarded}}}
		if listed.allow(r) != (origin == "https://example.com") {
			t.Errorf("origin %q is let in", origin)
		}
		if same.allow(r) && (host == "" || !strings.Contains(strings.ToLower(origin), strings.ToLower(host))) {
			t.Errorf("origin %q is let in to %q", origin, host)
		}
		at := address(r, proxies)
		socket, err := netip.ParseAddrPort(remote)
		switch {
		case err != nil && at.IsValid():
			t.Errorf("%q has the address %v", remote, at)
		case err == nil && (!at.IsValid() || at != at.Masked() || at.Addr().Is4In6() || at.Bits() != 32 && at.Bits() != 64):
			t.Errorf("%q has the address %v", remote, at)
		case err == nil && !proxies[0].Contains(socket.Addr().Unmap()) && !at.Contains(socket.Addr().Unmap().WithZone("")):
			t.Errorf("%q has the address %v, of a header", remote, at)
		}
	})
}
