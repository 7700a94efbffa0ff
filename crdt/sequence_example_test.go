package crdt_test

import (
	"fmt"
	"log"

	"github.com/seed1312cc15/weft/crdt"
	"github.com/seed1312cc15/weft/runtime"
)

// newDocument returns an empty document.
func newDocument() *runtime.Runtime {
	doc, err := runtime.New(&runtime.Options{Kinds: crdt.Kinds()})
	if err != nil {
		log.Fatal(err)
	}
	return doc
}

// write runs f as one transaction.
func write(doc *runtime.Runtime, f func(tx runtime.Tx) error) {
	if err := doc.Transact(f); err != nil {
		log.Fatal(err)
	}
}

func ExampleText() {
	doc := newDocument()
	body, err := crdt.NewText(doc, "body")
	if err != nil {
		log.Fatal(err)
	}
	write(doc, func(tx runtime.Tx) error {
		if err := body.Insert(tx, 0, "Hello wurld"); err != nil {
			return err
		}
		return body.Splice(tx, 7, 1, "o")
	})
	fmt.Println(runtime.Read(doc, body.String))
	// Output: Hello world
}

func ExampleText_In() {
	doc := newDocument()
	body, err := crdt.NewText(doc, "body")
	if err != nil {
		log.Fatal(err)
	}
	inBrowser := body.In(crdt.UTF16)
	write(doc, func(tx runtime.Tx) error {
		if err := body.Insert(tx, 0, "🚀!"); err != nil {
			return err
		}
		return inBrowser.Insert(tx, 2, " go") // behind the rocket, which takes two units there
	})
	fmt.Println(runtime.Read(doc, body.String), runtime.Read(doc, body.Len), runtime.Read(doc, inBrowser.Len))
	// Output: 🚀 go! 5 6
}

func ExampleText_Replace() {
	doc := newDocument()
	body, err := crdt.NewText(doc, "body")
	if err != nil {
		log.Fatal(err)
	}
	write(doc, func(tx runtime.Tx) error { return body.Insert(tx, 0, "the quick fox") })
	body.OnChange(func(e crdt.TextEvent) { fmt.Printf("%+v\n", e.Delta) })
	write(doc, func(tx runtime.Tx) error { return body.Replace(tx, "the quick brown fox") })
	// Output: [{Retain:10 Insert: Delete:0} {Retain:0 Insert:brown  Delete:0}]
}

func ExampleCursor() {
	doc := newDocument()
	body, err := crdt.NewText(doc, "body")
	if err != nil {
		log.Fatal(err)
	}
	write(doc, func(tx runtime.Tx) error {
		if err := body.Insert(tx, 0, "one two"); err != nil {
			return err
		}
		cursor, err := body.CursorAt(tx, 4, crdt.After) // before "two"
		if err != nil {
			return err
		}
		if err := body.Delete(tx, 0, 4); err != nil {
			return err
		}
		i, err := body.IndexOf(tx, cursor)
		fmt.Println(i)
		return err
	})
	// Output: 0
}

func ExampleList() {
	doc := newDocument()
	list, err := crdt.NewList[string](doc, "shopping")
	if err != nil {
		log.Fatal(err)
	}
	write(doc, func(tx runtime.Tx) error {
		if err := list.Append(tx, "milk", "bread", "tea"); err != nil {
			return err
		}
		if err := list.Set(tx, 1, "rye bread"); err != nil {
			return err
		}
		return list.Move(tx, 2, 0)
	})
	write(doc, func(tx runtime.Tx) error {
		values, err := list.Values(tx)
		fmt.Printf("%q\n", values)
		return err
	})
	// Output: ["tea" "milk" "rye bread"]
}

func ExampleObjectList() {
	type Task struct {
		Title crdt.Text `weft:"title"`
		Done  crdt.Flag `weft:"done"`
	}
	doc := newDocument()
	tasks, err := crdt.NewObjectList[Task](doc, "tasks")
	if err != nil {
		log.Fatal(err)
	}
	write(doc, func(tx runtime.Tx) error {
		for _, title := range []string{"write", "rest", "read"} {
			if _, err := tasks.Append(tx, func(t *Task) error { return t.Title.Insert(tx, 0, title) }); err != nil {
				return err
			}
		}
		return tasks.Archive(tx, 1, 1)
	})
	write(doc, func(tx runtime.Tx) error {
		for i, t := range tasks.All(tx) {
			fmt.Println(i, t.Title.String(tx))
		}
		for i, t := range tasks.Archived(tx) {
			fmt.Println("archived at", i, t.Title.String(tx))
		}
		return nil
	})
	// Output:
	// 0 write
	// 1 read
	// archived at 1 rest
}
