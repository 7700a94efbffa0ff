//go:build !js

package main

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/seed1312cc15/weft/providers"
	"github.com/seed1312cc15/weft/providers/ws"
)

// peerFlag is the flag --peer: other servers, and what to keep in sync with each.
type peerFlag []peerServer

type peerServer struct {
	url, host string
	documents []string
}

// add reads one flag: a URL, and names of documents after spaces.
func (l *peerFlag) add(s string) error {
	words := strings.Fields(s)
	if len(words) < 2 {
		return errors.New("want 'URL DOCUMENT ...': which documents are to be kept in sync has to be said")
	}
	u, err := url.Parse(words[0])
	if err != nil || u.Scheme != "ws" && u.Scheme != "wss" || u.Host == "" {
		return errors.New("want ws://HOST:PORT or wss://HOST, then documents")
	}
	for i, name := range words[1:] {
		switch {
		case len(name) > providers.MaxName:
			return errors.New("the name of a document has at most 128 bytes")
		case slices.Contains(words[1:1+i], name):
			return errors.New("a document is named twice")
		}
	}
	*l = append(*l, peerServer{words[0], u.Host, words[1:]})
	return nil
}

// links are the calls of Peer that run.
type links struct {
	end     context.CancelFunc
	running sync.WaitGroup
}

// relink ends the links and makes them anew with the token that the file holds now.
func (s *service) relink(ctx context.Context) {
	token, err := readToken(s.peerTokenFile)
	if err != nil {
		s.log.Error("weft: the token for other servers and the links stay as they were", "error", err)
		return
	}
	s.token = token
	s.links.end()
	s.links.running.Wait()
	s.startPeers(ctx)
	s.log.Info("weft: links to other servers made anew", "file", s.peerTokenFile)
}

// startPeers links this server to others until ctx ends or relink is called. What goes wrong with a link stands in the log.
func (s *service) startPeers(ctx context.Context) {
	ctx, s.links.end = context.WithCancel(ctx)
	for _, p := range s.peers {
		if s.token != nil && strings.HasPrefix(p.url, "ws:") && !loopback(p.host) && !loopbackHost(p.host) {
			s.log.Warn("weft: the token for a server goes there in the clear: give its wss:// URL", "server", p.host)
		}
		o := &ws.PeerOptions{
			Dial:  func(ctx context.Context) (providers.Link, error) { return ws.Dial(ctx, p.url, nil) },
			Token: s.token, Name: p.host[:min(len(p.host), providers.MaxPrincipal)], Documents: p.documents,
		}
		s.links.running.Go(func() { s.server.Peer(ctx, o) })
	}
}
