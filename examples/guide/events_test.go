package guide_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/seed1312cc15/weft"
)

func Example_events() {
	doc, other := must(weft.Open[Board](nil)), must(weft.Open[Board](nil))

	view := ""
	stop := doc.Root.Body.OnChange(func(e weft.TextEvent) {
		view = e.Apply(view)
		for _, d := range e.Delta {
			fmt.Printf("keep %d, insert %q, delete %d\n", d.Retain, d.Insert, d.Delete)
		}
	})
	defer stop()

	write(doc, "milk and eggs")
	check(other.Load(must(doc.Save())))
	check(other.Transact(func(tx weft.Tx) error { return other.Root.Body.Splice(tx, 4, 4, ", ten") }))
	must(doc.Receive(must(other.SaveSince(doc.Clock()))))

	fmt.Println(view == weft.Read(doc, doc.Root.Body.String))
	// Output:
	// keep 0, insert "milk and eggs", delete 0
	// keep 4, insert "", delete 0
	// keep 0, insert ", ten", delete 0
	// keep 0, insert "", delete 4
	// true
}

func Example_eventsOfObjects() {
	doc := must(weft.Open[Board](nil))

	names := map[string]string{}
	doc.Root.Tasks.OnChange(func(e weft.ObjectMapEvent[string, Task]) {
		for _, c := range e.Changes {
			delete(names, c.Key)
			if c.After == nil {
				continue
			}
			c.After.Name.OnChange(func(weft.TextEvent) {
				names[c.Key] = weft.Read(doc, c.After.Name.String)
			})
			names[c.Key] = weft.Read(doc, c.After.Name.String)
		}
	})

	check(doc.Transact(func(tx weft.Tx) error {
		_, err := doc.Root.Tasks.Set(tx, "t1", func(t *Task) error { return t.Name.Insert(tx, 0, "bake") })
		return err
	}))
	check(doc.Transact(func(tx weft.Tx) error {
		t, _ := doc.Root.Tasks.Get(tx, "t1")
		return t.Name.Replace(tx, "bake a cake")
	}))

	fmt.Println(strings.Join(slices.Collect(maps.Values(names)), ", "))
	// Output:
	// bake a cake
}

func Example_subscribe() {
	doc := must(weft.Open[Board](nil))
	write(doc, "milk")

	state, stop, err := doc.SaveAndSubscribe(func(u weft.Update) {
		fmt.Println("an update of", u.End-u.Start, "dots follows")
	})
	check(err)
	defer stop()

	fmt.Println("a", must(weft.KindOf(state)), "first")
	write(doc, "milk!")
	// Output:
	// a state first
	// an update of 1 dots follows
}
