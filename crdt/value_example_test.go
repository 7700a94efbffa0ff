package crdt_test

import (
	"fmt"
	"log"
	"strings"

	"github.com/seed1312cc15/weft/crdt"
	"github.com/seed1312cc15/weft/runtime"
)

// open makes a replica of the examples' document.
func open() *runtime.Runtime {
	rt, err := runtime.New(&runtime.Options{Kinds: crdt.Kinds()})
	if err != nil {
		log.Fatal(err)
	}
	return rt
}

// edit commits one transaction.
func edit(rt *runtime.Runtime, fn func(tx runtime.Tx) error) {
	if err := rt.Transact(fn); err != nil {
		log.Fatal(err)
	}
}

// exchange brings two replicas to the same state.
func exchange(a, b *runtime.Runtime) {
	for _, pair := range [][2]*runtime.Runtime{{a, b}, {b, a}} {
		delta, err := pair[0].SaveSince(pair[1].Clock())
		if err != nil {
			log.Fatal(err)
		}
		if err := pair[1].Load(delta); err != nil {
			log.Fatal(err)
		}
	}
}

func ExampleCounter() {
	here, there := open(), open()
	mine, _ := crdt.NewCounter(here, "votes")
	theirs, _ := crdt.NewCounter(there, "votes")

	edit(here, func(tx runtime.Tx) error { return mine.Add(tx, 1) })
	edit(there, func(tx runtime.Tx) error { return theirs.Add(tx, 2) })
	exchange(here, there)

	_ = here.View(func(tx runtime.Tx) error {
		v, err := mine.Value(tx)
		fmt.Println(v, err)
		return nil
	})
	// Output: 3 <nil>
}

func ExampleCounter_Reset() {
	here, there := open(), open()
	mine, _ := crdt.NewCounter(here, "votes")
	theirs, _ := crdt.NewCounter(there, "votes")

	edit(here, func(tx runtime.Tx) error { return mine.Add(tx, 1) })
	exchange(here, there)
	edit(there, func(tx runtime.Tx) error { return theirs.Reset(tx) })
	edit(here, func(tx runtime.Tx) error { return mine.Add(tx, 2) }) // the reset has not seen this
	exchange(here, there)

	_ = there.View(func(tx runtime.Tx) error {
		v, err := theirs.Value(tx)
		fmt.Println(v, err)
		return nil
	})
	// Output: 2 <nil>
}

func ExampleRegister() {
	doc := open()
	title, _ := crdt.NewRegister[string](doc, "title")
	title.OnChange(func(e crdt.RegisterEvent[string]) { fmt.Printf("%q becomes %q\n", e.Old, e.Value) })

	edit(doc, func(tx runtime.Tx) error { return title.Set(tx, "Draft") })
	edit(doc, func(tx runtime.Tx) error { return title.Set(tx, "Report") })

	_ = doc.View(func(tx runtime.Tx) error {
		v, ok, err := title.Get(tx)
		fmt.Println(v, ok, err)
		return nil
	})
	// Output:
	// "" becomes "Draft"
	// "Draft" becomes "Report"
	// Report true <nil>
}

func ExampleRegister_WithPolicy() {
	here, there := open(), open()
	mine, _ := crdt.NewRegister[int](here, "high score")
	theirs, _ := crdt.NewRegister[int](there, "high score")
	edit(here, func(tx runtime.Tx) error { return mine.Set(tx, 70) })
	edit(there, func(tx runtime.Tx) error { return theirs.Set(tx, 50) })
	exchange(here, there)

	best := theirs.WithPolicy(func(values []int) int {
		m := values[0]
		for _, v := range values {
			m = max(m, v)
		}
		return m
	})
	_ = there.View(func(tx runtime.Tx) error {
		v, ok, err := best.Get(tx)
		fmt.Println(v, ok, err)
		return nil
	})
	// Output: 70 true <nil>
}

func ExampleMVRegister() {
	here, there := open(), open()
	mine, _ := crdt.NewMVRegister[string](here, "assignee")
	theirs, _ := crdt.NewMVRegister[string](there, "assignee")
	edit(here, func(tx runtime.Tx) error { return mine.Set(tx, "Ada") })
	edit(there, func(tx runtime.Tx) error { return theirs.Set(tx, "Bob") })
	exchange(here, there)

	_ = here.View(func(tx runtime.Tx) error {
		all, err := mine.Values(tx)
		fmt.Println(len(all), "people were assigned at once", err)
		return nil
	})
	edit(here, func(tx runtime.Tx) error { return mine.Set(tx, "Ada") })
	exchange(here, there)
	_ = there.View(func(tx runtime.Tx) error {
		all, err := theirs.Values(tx)
		fmt.Println(all, err)
		return nil
	})
	// Output:
	// 2 people were assigned at once <nil>
	// [Ada] <nil>
}

func ExampleFlag() {
	here, there := open(), open()
	mine, _ := crdt.NewFlag(here, "needs review")
	theirs, _ := crdt.NewFlag(there, "needs review")
	edit(here, func(tx runtime.Tx) error { return mine.Enable(tx) })
	exchange(here, there)
	edit(here, func(tx runtime.Tx) error { return mine.Disable(tx) })
	edit(there, func(tx runtime.Tx) error { return theirs.Enable(tx) }) // at the same time: it wins
	exchange(here, there)

	fmt.Println(runtime.Read(here, mine.Value))
	// Output: true
}

func ExampleDisableWinsFlag() {
	here, there := open(), open()
	mine, _ := crdt.NewDisableWinsFlag(here, "public")
	theirs, _ := crdt.NewDisableWinsFlag(there, "public")
	edit(here, func(tx runtime.Tx) error { return mine.Enable(tx) })
	exchange(here, there)
	edit(here, func(tx runtime.Tx) error { return mine.Disable(tx) })
	edit(there, func(tx runtime.Tx) error { return theirs.Enable(tx) }) // at the same time: it loses
	exchange(here, there)

	fmt.Println(runtime.Read(here, mine.Value))
	// Output: false
}

func ExampleSet() {
	here, there := open(), open()
	mine, _ := crdt.NewSet[string](here, "tags")
	theirs, _ := crdt.NewSet[string](there, "tags")
	edit(here, func(tx runtime.Tx) error {
		for _, tag := range []string{"urgent", "bug", "old"} {
			if err := mine.Add(tx, tag); err != nil {
				return err
			}
		}
		return nil
	})
	exchange(here, there)
	edit(here, func(tx runtime.Tx) error { return mine.Clear(tx) })
	edit(there, func(tx runtime.Tx) error { return theirs.Add(tx, "bug") }) // at the same time: it stays
	exchange(here, there)

	_ = here.View(func(tx runtime.Tx) error {
		for tag := range mine.All(tx) {
			fmt.Println(tag)
		}
		return nil
	})
	// Output: bug
}

func ExampleMap() {
	doc := open()
	stock, _ := crdt.NewMap[string, int](doc, "stock")
	edit(doc, func(tx runtime.Tx) error {
		for i, fruit := range []string{"pear", "apple", "fig"} {
			if err := stock.Set(tx, fruit, 10*i); err != nil {
				return err
			}
		}
		return stock.Delete(tx, "apple")
	})

	_ = doc.View(func(tx runtime.Tx) error {
		for fruit, n := range stock.All(tx) {
			fmt.Println(fruit, n)
		}
		return nil
	})
	// Output:
	// fig 20
	// pear 0
}

func ExampleMap_WithMerge() {
	here, there := open(), open()
	mine, _ := crdt.NewMap[string, string](here, "notes")
	theirs, _ := crdt.NewMap[string, string](there, "notes")
	edit(here, func(tx runtime.Tx) error { return mine.Set(tx, "monday", "tea") })
	edit(there, func(tx runtime.Tx) error { return theirs.Set(tx, "monday", "tea") })
	exchange(here, there)

	merged := mine.WithMerge(func(day string, notes []string) string { return strings.Join(notes, " and ") })
	_ = here.View(func(tx runtime.Tx) error {
		v, _, err := merged.Get(tx, "monday")
		fmt.Println(v, err)
		return nil
	})
	// Output: tea and tea <nil>
}
