package fuzz_test

import (
	"testing"

	"github.com/seed1312cc15/weft"
	"github.com/seed1312cc15/weft/fuzz"
	"github.com/seed1312cc15/weft/runtime"
)

// What docs/testing.md and the package comment show.

type Board struct {
	Title weft.Register[string]        `weft:"title"`
	Body  weft.Text                    `weft:"body"`
	Tasks weft.ObjectMap[string, Item] `weft:"tasks"`
}

type Item struct {
	Name weft.Text `weft:"name"`
	Done weft.Flag `weft:"done"`
}

func TestBoardConverges(t *testing.T) { fuzz.Check(t, fuzz.Of[Board]("my-board"), nil) }

func FuzzBoard(f *testing.F) { fuzz.Fuzz(f, fuzz.Of[Board]("my-board")) }

// A rule of an application: a task is done only if it has a name.
var boards = &fuzz.Subject[*Board]{
	Name: "boards",
	Open: func(o *runtime.Options) (*runtime.Runtime, *Board, error) {
		doc, err := weft.Open[Board](o)
		if err != nil {
			return nil, nil, err
		}
		return doc.Runtime, doc.Root, nil
	},
	Edits: map[string]fuzz.Edit[*Board]{
		"finish": func(d *fuzz.Draw, tx weft.Tx, b *Board) (any, error) {
			key := fuzz.Pick(d, "task", []string{"buy", "cook", "eat"})
			item, err := b.Tasks.GetOrSet(tx, key, nil)
			if err != nil {
				return nil, err
			}
			if err := item.Name.Insert(tx, item.Name.Len(tx), d.Text("name", 1, 5)); err != nil {
				return nil, err
			}
			return key, item.Done.Enable(tx)
		},
		"forget": func(d *fuzz.Draw, tx weft.Tx, b *Board) (any, error) {
			if b.Tasks.Len(tx) == 0 {
				return nil, fuzz.ErrNothing
			}
			return nil, b.Tasks.Clear(tx)
		},
	},
	Examine: func(tx weft.Tx, b *Board) error {
		for key, item := range b.Tasks.All(tx) {
			if item.Done.Value(tx) && item.Name.Len(tx) == 0 {
				return errNameless(key)
			}
		}
		return nil
	},
}

type errNameless string

func (e errNameless) Error() string { return "done, and without a name: " + string(e) }

func TestBoards(t *testing.T) { fuzz.Check(t, boards, nil) }
