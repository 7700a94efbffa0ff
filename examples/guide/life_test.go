package guide_test

import (
	"errors"
	"fmt"

	"github.com/google/uuid"

	"github.com/seed1312cc15/weft"
	"github.com/seed1312cc15/weft/runtime"
)

func Example_genesis() {
	open := func() *weft.Document[Board] {
		return must(weft.Open(nil, func(tx weft.Tx, b *Board) error {
			return b.Title.Set(tx, "Untitled")
		}))
	}

	ann, ben := open(), open()
	fmt.Println(ann.Digest() == ben.Digest())
	meet(ann, ben)
	show(ann)
	// Output:
	// true
	// {"title":"Untitled"}
}

func Example_documentID() {
	a := must(weft.Open[Board](&weft.Options{Document: uuid.MustParse("6f0c2e8e-0f55-4b5e-a2b1-0d6d0a6f3d01")}))
	b := must(weft.Open[Board](&weft.Options{Document: uuid.MustParse("6f0c2e8e-0f55-4b5e-a2b1-0d6d0a6f3d02")}))
	write(a, "milk")

	_, err := b.Receive(must(a.Save()))
	fmt.Println(errors.Is(err, weft.ErrWrongDocument))
	// Output:
	// true
}

// BoardV1 is what an older program knows of a Board.
type BoardV1 struct {
	Title weft.Register[string] `weft:"title"`
}

func Example_newField() {
	doc := must(weft.Open[Board](nil))
	write(doc, "milk")

	old := must(weft.Open[BoardV1](nil))
	check(old.Load(must(doc.Save())))
	check(old.Transact(func(tx weft.Tx) error { return old.Root.Title.Set(tx, "Shopping") }))

	check(doc.Load(must(old.Save())))
	show(doc)
	// Output:
	// {"body":"milk","title":"Shopping"}
}

// Person is a value: it is written and read as a whole.
type Person struct {
	Name string `cbor:"name"`
	Mail string `cbor:"mail,omitempty"`
}

// Team holds values of a struct type.
type Team struct {
	Members weft.Map[string, Person] `weft:"members"`
}

func Example_values() {
	doc := must(weft.Open[Team](nil))
	check(doc.Transact(func(tx weft.Tx) error {
		return doc.Root.Members.Set(tx, "ann", Person{Name: "Ann", Mail: "ann@example.com"})
	}))
	fmt.Printf("%s\n", must(doc.MarshalJSON()))
	// Output:
	// {"members":{"ann":{"mail":"ann@example.com","name":"Ann"}}}
}

func Example_relay() {
	doc := must(weft.Open[Board](nil))
	write(doc, "milk")

	relay := must(runtime.New(nil)) // knows no kind of object at all
	must(relay.Receive(must(doc.Save())))
	fmt.Println(len(relay.Opaque()), "kept whole")

	later := must(weft.Open[Board](nil))
	check(later.Load(must(relay.Save())))
	show(later)
	// Output:
	// 1 kept whole
	// {"body":"milk"}
}

func Example_generic() {
	doc := must(weft.Open[Board](nil))
	write(doc, "milk")
	saved := must(doc.Save())

	rt := must(weft.New(nil))
	check(rt.Load(saved))
	fmt.Printf("%s\n", must(rt.MarshalJSON()))
	for _, o := range rt.Objects() {
		fmt.Println(o.Kind, o.Path)
	}

	body := must(weft.Root[weft.Text](rt, "body"))
	check(rt.Transact(func(tx weft.Tx) error { return body.Insert(tx, 4, "!") }))
	fmt.Println(weft.Read(rt, body.String))
	// Output:
	// {"body":"milk"}
	// text "body"
	// milk!
}
