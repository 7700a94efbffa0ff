package guide_test

import (
	"fmt"

	"github.com/seed1312cc15/weft"
)

func Example_open() {
	doc, err := weft.Open[Board](nil)
	if err != nil {
		panic(err)
	}

	err = doc.Transact(func(tx weft.Tx) error {
		if err := doc.Root.Title.Set(tx, "Shopping"); err != nil {
			return err
		}
		return doc.Root.Body.Insert(tx, 0, "milk")
	})
	if err != nil {
		panic(err)
	}

	fmt.Println(weft.Read(doc, doc.Root.Body.String))

	err = doc.View(func(tx weft.Tx) error {
		title, ok, err := doc.Root.Title.Get(tx)
		fmt.Println(title, ok, doc.Root.Body.Len(tx))
		return err
	})
	if err != nil {
		panic(err)
	}
	// Output:
	// milk
	// Shopping true 4
}
