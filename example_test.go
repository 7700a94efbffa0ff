package weft_test

import (
	"errors"
	"fmt"
	"log"

	"github.com/seed1312cc15/weft"
)

// Board is a document: each field is a root object.
type Board struct {
	Title weft.Register[string]              `weft:"title"`
	Body  weft.Text                          `weft:"body"`
	Tasks weft.ObjectMap[string, Task]       `weft:"tasks"`
	Best  weft.Register[weft.Ref]            `weft:"best"`
	Votes weft.LazyMap[string, weft.Counter] `weft:"votes"`
}

// Task is an object of a Board, made and deleted as a whole; it may hold tasks itself.
type Task struct {
	Name weft.Text                    `weft:"name"`
	Done weft.Flag                    `weft:"done"`
	Subs weft.ObjectMap[string, Task] `weft:"subs"`
}

func Example() {
	alice, err := weft.Open[Board](nil)
	if err != nil {
		log.Fatal(err)
	}
	bob, err := weft.Open[Board](nil)
	if err != nil {
		log.Fatal(err)
	}
	// What one writes, the other receives; here at once and without a network.
	alice.OnUpdate(func(u weft.Update) {
		if u.Local {
			if _, err := bob.Receive(u.Data, weft.From("alice")); err != nil {
				log.Fatal(err)
			}
		}
	})
	err = alice.Transact(func(tx weft.Tx) error {
		_, err := alice.Root.Tasks.Set(tx, "paint", func(t *Task) error {
			return t.Name.Insert(tx, 0, "Paint the fence")
		})
		return errors.Join(err, alice.Root.Title.Set(tx, "Home"), alice.Root.Body.Insert(tx, 0, "hello"))
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(weft.Read(bob, bob.Root.Body.String))
	json, err := bob.MarshalJSON()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(string(json))
	fmt.Println(alice.Digest() == bob.Digest())
	// Output:
	// hello
	// {"body":"hello","tasks":{"paint":{"name":"Paint the fence"}},"title":"Home"}
	// true
}

func ExampleOpen_genesis() {
	open := func() *weft.Document[Board] {
		doc, err := weft.Open(nil, func(tx weft.Tx, b *Board) error {
			_, err := b.Tasks.Set(tx, "first", func(t *Task) error { return t.Name.Insert(tx, 0, "Say hello") })
			return err
		})
		if err != nil {
			log.Fatal(err)
		}
		return doc
	}
	// Two who start offline begin with the same content, and do not have it twice when they meet.
	alice, bob := open(), open()
	state, err := alice.Save()
	if err != nil {
		log.Fatal(err)
	}
	res, err := bob.Receive(state)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(res.Applied, weft.Read(bob, bob.Root.Tasks.Len))
	// Output: 0 1
}

func ExampleRefTo() {
	doc, err := weft.Open[Board](nil)
	if err != nil {
		log.Fatal(err)
	}
	err = doc.Transact(func(tx weft.Tx) error {
		task, err := doc.Root.Tasks.Set(tx, "paint", func(t *Task) error {
			return t.Name.Insert(tx, 0, "Paint the fence")
		})
		if err != nil {
			return err
		}
		return doc.Root.Best.Set(tx, weft.RefTo(task))
	})
	if err != nil {
		log.Fatal(err)
	}
	state, err := doc.Save()
	if err != nil {
		log.Fatal(err)
	}
	other, err := weft.Open[Board](nil)
	if err != nil {
		log.Fatal(err)
	}
	if err := other.Load(state); err != nil {
		log.Fatal(err)
	}
	err = other.View(func(tx weft.Tx) error {
		ref, _, err := other.Root.Best.Get(tx)
		if err != nil {
			return err
		}
		best, err := weft.Resolve[Task](tx, ref)
		if err != nil {
			return err
		}
		fmt.Println(best.Name.String(tx))
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output: Paint the fence
}

func ExampleRoot() {
	doc, err := weft.New(nil)
	if err != nil {
		log.Fatal(err)
	}
	page, err := weft.Root[weft.Text](doc, "page 1")
	if err != nil {
		log.Fatal(err)
	}
	if err := doc.Transact(func(tx weft.Tx) error { return page.Insert(tx, 0, "by name") }); err != nil {
		log.Fatal(err)
	}
	fmt.Println(weft.Read(doc, page.String))
	// Output: by name
}

func ExampleDiff() {
	before, err := weft.Open[Board](nil)
	if err != nil {
		log.Fatal(err)
	}
	after, err := weft.Open[Board](nil)
	if err != nil {
		log.Fatal(err)
	}
	err = after.Transact(func(tx weft.Tx) error {
		_, err := after.Root.Tasks.Set(tx, "paint", func(t *Task) error { return t.Done.Enable(tx) })
		return err
	})
	if err != nil {
		log.Fatal(err)
	}
	for _, c := range weft.Diff(before.Runtime, after.Runtime) {
		fmt.Println(c)
	}
	// Output: + /tasks: {"paint":{"done":true}}
}
