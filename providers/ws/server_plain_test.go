//go:build !js

package ws_test

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/seed1312cc15/weft/providers"
	"github.com/seed1312cc15/weft/providers/ws"
)

// TestUncompressedForManyWhoJoin has many ask for the state as it is: it is made once.
func TestUncompressedForManyWhoJoin(t *testing.T) {
	s, url := serve(t, func(o *ws.ServerOptions) { o.Runtime.History.Off = true })
	a := join(t, url, peerOptions{token: "a"}).synced()
	words, text := strings.Fields("not all those who wander are lost the old that is strong does not wither"), ""
	for r := rand.New(rand.NewPCG(1, 2)); len(text) < 100_000; {
		text += words[r.IntN(len(words))] + " "
	}
	a.insert(text)
	a.saved()
	o := peerOptions{options: providers.Options{Uncompressed: true}, plain: true}
	o.token = "b"
	first := join(t, url, o).synced()
	was := s.Plain("doc")
	for range 5 {
		equal(t, first, join(t, url, o).synced())
	}
	if now := s.Plain("doc"); len(was) < 100_000 || &was[0] != &now[0] {
		t.Errorf("%d bytes, then others", len(was))
	}
	b := join(t, url, peerOptions{token: "c", plain: true}).synced()
	equal(t, a, b)
}
