package guide_test

import (
	"errors"
	"fmt"

	"github.com/seed1312cc15/weft"
)

func Example_nested() {
	doc := must(weft.Open[Board](nil))

	err := doc.Transact(func(tx weft.Tx) error {
		cake, err := doc.Root.Tasks.Set(tx, "cake", func(t *Task) error {
			return t.Name.Insert(tx, 0, "bake a cake")
		})
		if err != nil {
			return err
		}
		_, err = cake.Subs.Set(tx, "eggs", func(t *Task) error {
			return errors.Join(t.Name.Insert(tx, 0, "buy eggs"), t.Done.Enable(tx))
		})
		return err
	})
	check(err)

	check(doc.View(func(tx weft.Tx) error {
		for key, task := range doc.Root.Tasks.All(tx) {
			fmt.Println(key, task.Name.String(tx), task.Done.Value(tx))
			eggs, ok := task.Subs.Get(tx, "eggs")
			fmt.Println(ok, eggs.Name.String(tx), eggs.Done.Value(tx))
		}
		return nil
	}))
	show(doc)
	// Output:
	// cake bake a cake false
	// true buy eggs true
	// {"tasks":{"cake":{"name":"bake a cake","subs":{"eggs":{"done":true,"name":"buy eggs"}}}}}
}

func Example_delete() {
	ann, ben := must(weft.Open[Board](nil)), must(weft.Open[Board](nil))
	check(ann.Transact(func(tx weft.Tx) error {
		_, err := ann.Root.Tasks.Set(tx, "cake", nil)
		return err
	}))
	check(ben.Load(must(ann.Save())))

	var cake *Task
	check(ben.Transact(func(tx weft.Tx) error {
		cake, _ = ben.Root.Tasks.Get(tx, "cake")
		return cake.Name.Insert(tx, 0, "bake a cake")
	}))
	check(ann.Transact(func(tx weft.Tx) error { return ann.Root.Tasks.Delete(tx, "cake") })) // at the same time

	check(ann.Load(must(ben.Save())))
	check(ben.Load(must(ann.Save())))
	show(ann, ben)

	err := ben.Transact(func(tx weft.Tx) error { return cake.Done.Enable(tx) })
	fmt.Println(errors.Is(err, weft.ErrDeleted))
	// Output:
	// {}
	// {}
	// true
}

func Example_lazyMap() {
	ann, ben := must(weft.Open[Board](nil)), must(weft.Open[Board](nil))
	check(ann.Transact(func(tx weft.Tx) error {
		_, err := ann.Root.Tasks.Set(tx, "cake", nil)
		return err
	}))
	check(ben.Load(must(ann.Save())))

	spend := func(doc *weft.Document[Board], minutes int64) {
		check(doc.Transact(func(tx weft.Tx) error {
			task, _ := doc.Root.Tasks.Get(tx, "cake")
			carl, err := task.Time.At(tx, "carl") // exists without being made
			if err != nil {
				return err
			}
			return carl.Spent.Add(tx, minutes)
		}))
	}
	spend(ann, 20)
	spend(ben, 15)

	check(ann.Load(must(ben.Save())))
	show(ann)
	// Output:
	// {"tasks":{"cake":{"time":{"carl":{"spent":35}}}}}
}

// Column is a column of a card board.
type Column struct {
	Cards weft.ObjectList[Card] `weft:"cards"`
}

// Card is one card of it.
type Card struct {
	Text weft.Text `weft:"text"`
}

func Example_list() {
	doc := must(weft.Open[Column](nil))
	cards := doc.Root.Cards
	titles := func(tx weft.Tx) (out []string) {
		for _, c := range cards.All(tx) {
			out = append(out, c.Text.String(tx))
		}
		return out
	}

	check(doc.Transact(func(tx weft.Tx) error {
		for _, s := range []string{"cake", "tea", "milk"} {
			_, err := cards.Append(tx, func(c *Card) error { return c.Text.Insert(tx, 0, s) })
			if err != nil {
				return err
			}
		}
		return cards.Move(tx, 2, 0) // the last one to the front
	}))
	fmt.Println(weft.Read(doc, titles))

	var tea *Card
	check(doc.Transact(func(tx weft.Tx) (err error) {
		if tea, err = cards.Get(tx, 2); err != nil {
			return err
		}
		return cards.Archive(tx, 2, 1)
	}))
	fmt.Println(weft.Read(doc, titles))

	check(doc.Transact(func(tx weft.Tx) error { return cards.Restore(tx, tea) }))
	fmt.Println(weft.Read(doc, titles))
	// Output:
	// [milk cake tea]
	// [milk cake]
	// [milk cake tea]
}

// Note is an object that knows itself: the embedded Record is the handle of the object that the fields are part of.
type Note struct {
	weft.Record
	Text weft.Text               `weft:"text"`
	Next weft.Register[weft.Ref] `weft:"next"`
}

// Notes is a document of notes that point to each other.
type Notes struct {
	All weft.ObjectSet[Note] `weft:"all"`
}

func Example_ref() {
	doc := must(weft.Open[Notes](nil))
	check(doc.Transact(func(tx weft.Tx) error {
		second, err := doc.Root.All.Add(tx, func(n *Note) error { return n.Text.Insert(tx, 0, "second") })
		if err != nil {
			return err
		}
		_, err = doc.Root.All.Add(tx, func(n *Note) error { return n.Next.Set(tx, second.Ref()) })
		return err
	}))

	check(doc.View(func(tx weft.Tx) error {
		for n := range doc.Root.All.All(tx) {
			ref, ok, err := n.Next.Get(tx)
			if err != nil || !ok {
				continue
			}
			next, err := weft.Resolve[Note](tx, ref)
			if err != nil {
				return err // ErrDeleted: it is gone
			}
			fmt.Println(next.Text.String(tx))
		}
		return nil
	}))
	// Output:
	// second
}
