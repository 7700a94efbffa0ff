package guide_test

import (
	"fmt"
	"slices"

	"github.com/google/uuid"

	"github.com/seed1312cc15/weft"
)

// Trip is a document that people will disagree about.
type Trip struct {
	City  weft.Register[string]   `weft:"city"`
	Days  weft.Map[string, int]   `weft:"days"`
	Packs weft.Set[string]        `weft:"packs"`
	Dates weft.MVRegister[string] `weft:"dates"`
	Paid  weft.Flag               `weft:"paid"`
}

// tripOf opens a Trip under a fixed replica ID, so that ties end the same way in each run. Programs leave that to Open.
func tripOf(replica byte) *weft.Document[Trip] {
	return must(weft.Open[Trip](&weft.Options{Replica: uuid.UUID{15: replica}}))
}

// meet brings two documents to the same state.
func meet[T any](a, b *weft.Document[T]) {
	check(a.Load(must(b.Save())))
	check(b.Load(must(a.Save())))
}

func Example_conflicts() {
	ann, ben := tripOf(1), tripOf(2)
	check(ann.Transact(func(tx weft.Tx) error { return ann.Root.City.Set(tx, "Oslo") }))
	check(ben.Transact(func(tx weft.Tx) error { return ben.Root.City.Set(tx, "Rome") }))
	meet(ann, ben)

	check(ann.View(func(tx weft.Tx) error {
		city, _, err := ann.Root.City.Get(tx)
		if err != nil {
			return err
		}
		others, err := ann.Root.City.Conflicts(tx)
		fmt.Println(city, others)
		return err
	}))

	check(ben.Transact(func(tx weft.Tx) error { return ben.Root.City.Set(tx, "Bern") })) // settles it
	meet(ann, ben)
	check(ann.View(func(tx weft.Tx) error {
		city, _, err := ann.Root.City.Get(tx)
		others, _ := ann.Root.City.Conflicts(tx)
		fmt.Println(city, len(others))
		return err
	}))
	// Output:
	// Rome [Oslo]
	// Bern 0
}

func Example_merge() {
	ann, ben := tripOf(1), tripOf(2)
	check(ann.Transact(func(tx weft.Tx) error { return ann.Root.Days.Set(tx, "Oslo", 3) }))
	check(ben.Transact(func(tx weft.Tx) error { return ben.Root.Days.Set(tx, "Oslo", 2) }))
	meet(ann, ben)

	days := ann.Root.Days.WithMerge(func(_ string, values []int) int { return slices.Max(values) })
	check(ann.View(func(tx weft.Tx) error {
		n, _, err := days.Get(tx, "Oslo")
		fmt.Println(n)
		return err
	}))
	// Output:
	// 3
}

func Example_removeAndAdd() {
	ann, ben := tripOf(1), tripOf(2)
	check(ann.Transact(func(tx weft.Tx) error { return ann.Root.Packs.Add(tx, "tent") }))
	meet(ann, ben)

	check(ann.Transact(func(tx weft.Tx) error { return ann.Root.Packs.Remove(tx, "tent") }))
	check(ben.Transact(func(tx weft.Tx) error { return ben.Root.Packs.Add(tx, "tent") }))
	meet(ann, ben)

	fmt.Println(weft.Read(ann, func(tx weft.Tx) bool { return ann.Root.Packs.Has(tx, "tent") }))
	// Output:
	// true
}
