//go:build !js

package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/seed1312cc15/weft/providers"
	"github.com/seed1312cc15/weft/providers/ws"
)

// tokenHash is the SHA-256 of a token: the file's content is kept in no other form, and looking one up takes no time that
// depends on another.
type tokenHash = [sha256.Size]byte

// grant is one line of the token file.
type grant struct {
	principal string
	access    ws.Access
	prefix    string
	expires   time.Time // zero: never
}

// tokenTable is what a token file says. Lines of one token name one principal.
type tokenTable map[tokenHash][]grant

const mostTokenBytes = 4 << 20

// readTokens reads a token file. Errors name the line, and never what stands there: it might be a token.
func readTokens(path string) (tokenTable, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	t := make(tokenTable)
	in := bufio.NewScanner(io.LimitReader(f, mostTokenBytes))
	n := 1
	for ; in.Scan(); n++ {
		line := strings.TrimSpace(in.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		if err := t.add(strings.Fields(line)); err != nil {
			return nil, fmt.Errorf("%s, line %d: %w", path, n, err)
		}
	}
	if err := in.Err(); err != nil {
		return nil, fmt.Errorf("%s, line %d: %w", path, n, err)
	}
	if len(t) == 0 {
		return nil, fmt.Errorf("%s: no tokens: nobody could come in", path)
	}
	return t, nil
}

func (t tokenTable) add(fields []string) error {
	if len(fields) < 3 {
		return errors.New("want TOKEN PRINCIPAL ACCESS")
	}
	var hash tokenHash
	token := fields[0]
	switch hashed, is := strings.CutPrefix(token, "sha256:"); {
	case is:
		if n, err := hex.Decode(hash[:], []byte(hashed[:min(len(hashed), 2*len(hash))])); err != nil || n != len(hash) || len(hashed) != 2*len(hash) {
			return errors.New("after sha256: want 64 hex digits")
		}
	case token == "-":
		hash = sha256.Sum256(nil)
	case len(token) > providers.MaxToken:
		return fmt.Errorf("a token has at most %d bytes", providers.MaxToken)
	default:
		hash = sha256.Sum256([]byte(token))
	}
	g := grant{principal: fields[1]}
	if len(g.principal) > providers.MaxPrincipal {
		return fmt.Errorf("a principal has at most %d bytes", providers.MaxPrincipal)
	}
	known := false
	for a := ws.AccessNone; a <= ws.AccessServer; a++ {
		if a.String() == fields[2] {
			g.access, known = a, true
		}
	}
	if !known {
		return errors.New("the access is none, read, write-own, write-relay or server")
	}
	for _, f := range fields[3:] {
		if err := g.option(f); err != nil {
			return err
		}
	}
	for _, other := range t[hash] {
		if other.principal != g.principal {
			return errors.New("an earlier line has this token for another principal")
		}
		if other.prefix == g.prefix {
			return errors.New("an earlier line says the same of this token and these documents, or something else")
		}
	}
	t[hash] = append(t[hash], g)
	return nil
}

func (g *grant) option(field string) error {
	name, value, _ := strings.Cut(field, "=")
	switch name {
	case "prefix":
		g.prefix = value
	case "expires":
		at, err := time.Parse(time.RFC3339, value)
		if err != nil {
			return errors.New("expires is of the form 2027-01-31T12:00:00Z")
		}
		g.expires = at
	default:
		return errors.New("after the access only prefix=NAMES and expires=TIME may stand")
	}
	return nil
}

// of returns which principal a token stands for, and until when: the end of the last of its lines.
func (t tokenTable) of(hash tokenHash, now time.Time) (p ws.Principal, ok bool) {
	for _, g := range t[hash] {
		if g.over(now) {
			continue
		}
		if !ok || !p.Expires.IsZero() && (g.expires.IsZero() || g.expires.After(p.Expires)) {
			p.Expires = g.expires
		}
		p.ID, ok = g.principal, true
	}
	p.Value = hash
	return p, ok
}

func (g *grant) over(now time.Time) bool { return !g.expires.IsZero() && !now.Before(g.expires) }

// access returns what the line with the longest prefix says.
func (t tokenTable) access(hash tokenHash, document string, now time.Time) ws.Access {
	access, longest := ws.AccessNone, -1
	for _, g := range t[hash] {
		if len(g.prefix) > longest && strings.HasPrefix(document, g.prefix) && !g.over(now) {
			access, longest = g.access, len(g.prefix)
		}
	}
	return access
}

func (t tokenTable) principals() map[string]bool {
	all := make(map[string]bool)
	for _, grants := range t {
		all[grants[0].principal] = true
	}
	return all
}

// tokens is the table in force.
type tokens struct {
	path  string
	table atomic.Pointer[tokenTable]
}

func newTokens(path string) (*tokens, error) {
	t, err := readTokens(path)
	if err != nil {
		return nil, err
	}
	k := &tokens{path: path}
	k.table.Store(&t)
	return k, nil
}

// reload reads the file anew: principals who vanished are cut off, the access of all others is looked up again. After an
// error all is as before.
func (k *tokens) reload(server *ws.Server) error {
	now, err := readTokens(k.path)
	if err != nil {
		return err
	}
	before := *k.table.Swap(&now)
	left := now.principals()
	for p := range before.principals() {
		if !left[p] {
			server.Revoke(p)
		}
	}
	server.Recheck("")
	return nil
}

func (k *tokens) authenticate(_ context.Context, _ *http.Request, token []byte) (ws.Principal, error) {
	p, ok := k.table.Load().of(sha256.Sum256(token), time.Now())
	if !ok {
		return p, errors.New("no such token")
	}
	return p, nil
}

func (k *tokens) authorize(_ context.Context, p ws.Principal, document string) (ws.Access, error) {
	hash, ok := p.Value.(tokenHash)
	if !ok {
		return ws.AccessNone, nil
	}
	return k.table.Load().access(hash, document, time.Now()), nil
}
