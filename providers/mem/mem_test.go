package mem_test

import (
	"errors"
	"testing"

	"github.com/seed1312cc15/weft/providers"
	"github.com/seed1312cc15/weft/providers/mem"
	"github.com/seed1312cc15/weft/providers/providertest"
)

func TestMain(m *testing.M) { providertest.Main(m) }

func connect(testing.TB) (providers.Link, providers.Link) { return mem.Pipe() }

type backend struct{ s *mem.Store }

func (b *backend) Store() providers.Store { return b.s }
func (b *backend) Crash(testing.TB)       { b.s = b.s.Reopen() }
func (b *backend) Damage(_ testing.TB, document string, position uint64) bool {
	b.s.Damage(document, position)
	return true
}

func open(testing.TB) providertest.Backend { return &backend{mem.NewStore()} }

func TestLink(t *testing.T)  { providertest.TestLink(t, connect) }
func TestStore(t *testing.T) { providertest.TestStore(t, open) }

func TestFail(t *testing.T) {
	s := mem.NewStore()
	s.Fail(providers.ErrStoreFull)
	if _, err := s.Append(t.Context(), []providers.Record{{Document: "d", Data: []byte("x")}}); !errors.Is(err, providers.ErrStoreFull) {
		t.Error(err)
	}
	s.Fail(nil)
	if _, err := s.Append(t.Context(), []providers.Record{{Document: "d", Data: []byte("x")}}); err != nil {
		t.Error(err)
	}
}

func TestProvider(t *testing.T) {
	providertest.TestProvider(t, providertest.Provider{Connect: connect, Open: open})
}
