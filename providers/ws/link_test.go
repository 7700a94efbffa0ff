package ws_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/seed1312cc15/weft/providers"
	"github.com/seed1312cc15/weft/providers/providertest"
	"github.com/seed1312cc15/weft/providers/ws"
)

func connect(t testing.TB) (providers.Link, providers.Link) {
	accepted := make(chan providers.Link, 1)
	over := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, nil)
		if err != nil {
			t.Error(err)
			return
		}
		accepted <- ws.NewLink(c)
		<-over
	}))
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	a, err := ws.Dial(ctx, "ws"+strings.TrimPrefix(s.URL, "http"), nil)
	if err != nil {
		t.Fatal(err)
	}
	b := <-accepted
	close(over)
	s.Close()
	return a, b
}

func TestLink(t *testing.T) { providertest.TestLink(t, connect) }
