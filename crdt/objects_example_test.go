package crdt_test

import (
	"errors"
	"fmt"
	"log"

	"github.com/seed1312cc15/weft/crdt"
	"github.com/seed1312cc15/weft/runtime"
)

// chapter is an object with a text, and chapters below it.
type chapter struct {
	Text crdt.Text                       `weft:"text"`
	Subs crdt.ObjectMap[string, chapter] `weft:"subs"`
}

func ExampleObjectMap() {
	doc := newDocument()
	book, err := crdt.NewObjectMap[string, chapter](doc, "book")
	if err != nil {
		log.Fatal(err)
	}
	stop := book.OnChange(func(e crdt.ObjectMapEvent[string, chapter]) {
		for _, c := range e.Changes {
			fmt.Printf("%s: there before %v, there now %v\n", c.Key, c.Before != nil, c.After != nil)
		}
	})
	defer stop()
	var intro *chapter
	write(doc, func(tx runtime.Tx) (err error) {
		intro, err = book.Set(tx, "intro", func(c *chapter) error { return c.Text.Insert(tx, 0, "Once") })
		return err
	})
	write(doc, func(tx runtime.Tx) error { return book.Delete(tx, "intro") })
	err = doc.Transact(func(tx runtime.Tx) error { return intro.Text.Insert(tx, 4, " upon a time") })
	fmt.Println(errors.Is(err, runtime.ErrDeleted))
	// Output:
	// intro: there before false, there now true
	// intro: there before true, there now false
	// true
}

func ExampleObjectMap_Create() {
	doc := newDocument()
	shapes, err := crdt.NewObjectMap[string, crdt.Counter](doc, "shapes")
	if err != nil {
		log.Fatal(err)
	}
	write(doc, func(tx runtime.Tx) error {
		_, err := shapes.Create(tx, "s1", "circle", func(size *crdt.Counter) error { return size.Add(tx, 5) })
		return err
	})
	if err := doc.View(func(tx runtime.Tx) error {
		var shape string
		_, err := shapes.Args(tx, "s1", &shape)
		fmt.Println(shape)
		return err
	}); err != nil {
		log.Fatal(err)
	}
	// Output: circle
}

func ExampleObjectSet() {
	doc := newDocument()
	notes, err := crdt.NewObjectSet[crdt.Text](doc, "notes")
	if err != nil {
		log.Fatal(err)
	}
	write(doc, func(tx runtime.Tx) error {
		for _, s := range []string{"milk", "bread", "salt"} {
			if _, err := notes.Add(tx, func(n *crdt.Text) error { return n.Insert(tx, 0, s) }); err != nil {
				return err
			}
		}
		for n := range notes.All(tx) {
			if n.String(tx) == "bread" {
				return notes.Remove(tx, n)
			}
		}
		return nil
	})
	if err := doc.View(func(tx runtime.Tx) error {
		for n := range notes.All(tx) {
			fmt.Println(n.String(tx))
		}
		return nil
	}); err != nil {
		log.Fatal(err)
	}
	// Output:
	// milk
	// salt
}

func ExampleLazyMap() {
	doc := newDocument()
	votes, err := crdt.NewLazyMap[string, crdt.Counter](doc, "votes")
	if err != nil {
		log.Fatal(err)
	}
	write(doc, func(tx runtime.Tx) error {
		yes, err := votes.At(tx, "yes")
		if err != nil {
			return err
		}
		return yes.Add(tx, 2)
	})
	if err := doc.View(func(tx runtime.Tx) error {
		if _, err := votes.At(tx, "no"); err != nil { // changes nothing
			return err
		}
		for name, c := range votes.All(tx) {
			n, err := c.Value(tx)
			if err != nil {
				return err
			}
			fmt.Println(name, n)
		}
		return nil
	}); err != nil {
		log.Fatal(err)
	}
	// Output: yes 2
}

func ExampleRecord() {
	doc := newDocument()
	form, err := crdt.NewRecord(doc, "form")
	if err != nil {
		log.Fatal(err)
	}
	for _, name := range []string{"street", "city"} { // known only at run time
		var field crdt.Text
		if err := form.Field(name, &field); err != nil {
			log.Fatal(err)
		}
		write(doc, func(tx runtime.Tx) error { return field.Insert(tx, 0, "the "+name) })
	}
	json, err := doc.MarshalJSON()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(string(json))
	// Output: {"form":{"city":"the city","street":"the street"}}
}

func ExampleBindRoots() {
	var root struct {
		Title crdt.Register[string]               `weft:"title"`
		Book  crdt.ObjectMap[string, chapter]     `weft:"book"`
		Index crdt.LazyMap[string, crdt.Set[int]] `weft:"index"`
	}
	doc := newDocument()
	if err := crdt.BindRoots(doc, &root); err != nil {
		log.Fatal(err)
	}
	write(doc, func(tx runtime.Tx) error { return root.Title.Set(tx, "Go") })
	var broken struct {
		Title string `weft:"title"`
	}
	fmt.Println(errors.Is(crdt.BindRoots(doc, &broken), crdt.ErrShape))
	// Output: true
}
