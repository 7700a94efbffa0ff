//go:build !js && !wasip1 && !plan9

package fs_test

import (
	"context"
	"fmt"
	"os"

	"github.com/seed1312cc15/weft/crdt"
	"github.com/seed1312cc15/weft/providers"
	"github.com/seed1312cc15/weft/providers/fs"
	"github.com/seed1312cc15/weft/runtime"
)

// A counter that outlives the process, and writes under the same replica ID each time.
func ExampleOpen() {
	dir, err := os.MkdirTemp("", "store")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	for range 3 {
		if err := visit(context.Background(), dir); err != nil {
			panic(err)
		}
	}
	// Output:
	// visit 1, by 1 replica
	// visit 2, by 1 replica
	// visit 3, by 1 replica
}

func visit(ctx context.Context, dir string) error {
	store, err := fs.Open(dir, nil)
	if err != nil {
		return err
	}
	defer store.Close()
	id, release, err := store.Lend(ctx, "notes")
	if err != nil {
		return err
	}
	defer release()
	rt, err := runtime.New(&runtime.Options{Replica: id, Kinds: crdt.Kinds()})
	if err != nil {
		return err
	}
	visits, err := crdt.NewCounter(rt, "visits")
	if err != nil {
		return err
	}
	keeper, err := providers.Keep(ctx, rt, store, "notes", nil)
	if err != nil {
		return err
	}
	if err := rt.Transact(func(tx runtime.Tx) error { return visits.Add(tx, 1) }); err != nil {
		return err
	}
	var n int64
	if err := rt.View(func(tx runtime.Tx) error { n, err = visits.Value(tx); return err }); err != nil {
		return err
	}
	fmt.Printf("visit %d, by %d replica\n", n, len(rt.Clock()))
	return keeper.Close()
}
