// Command hello is the example of the README: two people edit one document, apart and at once.
package main

import (
	"fmt"

	"github.com/seed1312cc15/weft"
)

type Board struct {
	Body  weft.Text    `weft:"body"`
	Edits weft.Counter `weft:"edits"`
}

func main() {
	ann, ben := must(weft.Open[Board](nil)), must(weft.Open[Board](nil))
	ann.OnUpdate(func(u weft.Update) { must(ben.Receive(u.Data)) }) // your network goes here

	edit(ann, 0, "world")
	edit(ben, 5, "!") // Ben's connection is one-way: Ann does not see this
	edit(ann, 0, "Hello, ")
	must(ann.Receive(must(ben.SaveSince(ann.Clock())))) // here she gets what she lacks

	fmt.Printf("%s %v\n", must(ann.MarshalJSON()), ann.Digest() == ben.Digest())
}

func edit(doc *weft.Document[Board], at int, s string) {
	must(0, doc.Transact(func(tx weft.Tx) error {
		if err := doc.Root.Body.Insert(tx, at, s); err != nil {
			return err // and nothing has happened: a transaction is all or nothing
		}
		return doc.Root.Edits.Add(tx, 1)
	}))
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
