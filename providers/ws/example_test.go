package ws_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/seed1312cc15/weft"
	"github.com/seed1312cc15/weft/providers"
	"github.com/seed1312cc15/weft/providers/mem"
	"github.com/seed1312cc15/weft/providers/ws"
)

type Notes struct {
	Body weft.Text `weft:"body"`
}

// currentToken asks whoever knows the user for a token that is still good.
func currentToken(context.Context) ([]byte, error) { return []byte("ada"), nil }

func show(status string) {}

// A client of a server on this machine.
func ExampleNewClient() {
	server, err := ws.NewServer(&ws.ServerOptions{Authenticate: byToken, Authorize: ws.AllowAll, Store: mem.NewStore()})
	if err != nil {
		panic(err)
	}
	h := httptest.NewServer(server)
	defer h.Close()
	defer server.Close()
	url := "ws" + strings.TrimPrefix(h.URL, "http")

	client, err := ws.NewClient(url, &ws.ClientOptions{ClientOptions: providers.ClientOptions{
		Token: currentToken,
		Handle: func(c *providers.Client, e providers.Event) {
			if s, ok := e.(providers.StatusChanged); ok {
				show(s.Status.String())
			}
		},
	}})
	if err != nil {
		panic(err)
	}
	defer client.Close()

	doc, err := weft.Open[Notes](nil)
	if err != nil {
		panic(err)
	}
	notes, err := client.Open(doc.Runtime, "notes", nil)
	if err != nil {
		panic(err)
	}

	err = doc.Transact(func(tx weft.Tx) error { return doc.Root.Body.Insert(tx, 0, "hello") })
	if err != nil {
		panic(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := notes.Saved(ctx); err != nil {
		panic(err)
	}
	fmt.Println("unsaved:", len(notes.Unsaved()))
	// Output: unsaved: 0
}

var lost []byte

func ExampleNewClient_refused() {
	keepSafe := func(document string, work []byte) { lost = work }
	options := &providers.DocumentOptions{
		Handle: func(d *providers.Document, e providers.Event) {
			if r, ok := e.(providers.Refused); ok && !r.Code.Transient() {
				work, err := d.LocalWork()
				if err == nil && work != nil {
					keepSafe(d.Name(), work)
				}
			}
		},
	}
	_ = options
}
