package plugin_test

import (
	"context"
	"fmt"
	"net"
	"testing"

	"github.com/seed1312cc15/weft/examples/plugin"
	"github.com/seed1312cc15/weft/providers"
	"github.com/seed1312cc15/weft/providers/providertest"
	"github.com/seed1312cc15/weft/runtime"
)

func connect(t testing.TB) (dialer, acceptor providers.Link) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	a, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	b, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return plugin.NewLink(a), plugin.NewLink(b)
}

func TestLink(t *testing.T) { providertest.TestLink(t, connect) }
func TestProvider(t *testing.T) {
	providertest.TestProvider(t, providertest.Provider{Connect: connect})
}

const address = "127.0.0.1:1" // where nobody listens

// dial is what makes a Client of a link.
func dial(ctx context.Context) (providers.Link, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	return plugin.NewLink(conn), nil
}

// A client over links of one's own. Nobody listens, but the document is open all the same.
func Example() {
	client, err := providers.NewClient(dial, nil)
	if err != nil {
		panic(err)
	}
	rt, err := runtime.New(nil)
	if err != nil {
		panic(err)
	}
	doc, err := client.Open(rt, "notes", nil)
	if err != nil {
		panic(err)
	}
	fmt.Println(doc.Name(), "is open")
	client.Close()
	// Output: notes is open
}
