package simulation

import (
	"errors"
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"sync"

	"github.com/seed1312cc15/weft/crdt"
	"github.com/seed1312cc15/weft/fuzz"
	"github.com/seed1312cc15/weft/runtime"
)

// Sheet is a small document of several types.
type Sheet struct {
	Body  crdt.Text                  `weft:"body"`
	Cells crdt.Map[string, int]      `weft:"cells"`
	Votes crdt.Counter               `weft:"votes"`
	Rows  crdt.ObjectList[crdt.Text] `weft:"rows"`
}

// schema is what a document holds, and how it is edited.
type schema struct {
	name string
	open func(o *runtime.Options) (*runtime.Runtime, editor, error)
}

// editor makes one operation; it returns its name.
type editor func(r *rand.Rand, tx runtime.Tx) (string, error)

func schemaOf[H any](s *fuzz.Subject[H]) *schema {
	var names []string
	for name := range s.Edits {
		names = append(names, name)
	}
	slices.Sort(names)
	return &schema{s.Name, func(o *runtime.Options) (*runtime.Runtime, editor, error) {
		rt, h, err := s.Open(o)
		return rt, func(r *rand.Rand, tx runtime.Tx) (string, error) {
			name := names[r.IntN(len(names))]
			_, err := s.Edits[name](fuzz.FromRand(r), tx, h)
			if errors.Is(err, fuzz.ErrNothing) {
				err = nil
			}
			return name, err
		}, err
	}}
}

var schemas = sync.OnceValue(func() []*schema {
	return []*schema{
		schemaOf(fuzz.Of[Sheet]("sheet")), schemaOf(fuzz.Of[crdt.Text]("text")), schemaOf(fuzz.Of[Sheet]("sheet")),
		schemaOf(fuzz.Of[fuzz.Board]("board")),
	}
})

func stack() []byte { return debug.Stack() }
