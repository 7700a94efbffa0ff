package guide_test

import (
	"errors"
	"fmt"

	"github.com/seed1312cc15/weft"
)

func Example_text() {
	doc := must(weft.Open[Board](nil))
	body := doc.Root.Body

	check(doc.Transact(func(tx weft.Tx) error {
		return errors.Join(
			body.Insert(tx, 0, "milk and eggs"),
			body.Delete(tx, 4, 4),       // "milk eggs"
			body.Splice(tx, 4, 1, ", "), // "milk, eggs"
		)
	}))
	check(doc.Transact(func(tx weft.Tx) error { return body.Replace(tx, "milk, six eggs") }))

	check(doc.View(func(tx weft.Tx) error {
		s, err := body.Slice(tx, 6, 9)
		fmt.Println(body.String(tx), body.Len(tx), s)
		return err
	}))
	// Output:
	// milk, six eggs 14 six
}

func Example_units() {
	doc := must(weft.Open[Board](nil))
	body := doc.Root.Body
	check(doc.Transact(func(tx weft.Tx) error { return body.Insert(tx, 0, "a😀z") }))

	check(doc.View(func(tx weft.Tx) error {
		fmt.Println(body.Len(tx), body.In(weft.UTF16).Len(tx), body.In(weft.Bytes).Len(tx))
		return nil
	}))

	err := doc.Transact(func(tx weft.Tx) error { return body.In(weft.UTF16).Insert(tx, 3, "!") })
	fmt.Println(weft.Read(doc, body.String), err)

	err = doc.Transact(func(tx weft.Tx) error { return body.In(weft.UTF16).Insert(tx, 2, "?") })
	fmt.Println(errors.Is(err, weft.ErrInside))
	// Output:
	// 3 4 6
	// a😀!z <nil>
	// true
}

func Example_cursor() {
	doc := must(weft.Open[Board](nil))
	body := doc.Root.Body
	write(doc, "milk eggs")

	var caret weft.Cursor
	check(doc.View(func(tx weft.Tx) (err error) {
		caret, err = body.CursorAt(tx, 4, weft.Before) // after "milk"
		return err
	}))

	check(doc.Transact(func(tx weft.Tx) error { return body.Insert(tx, 0, "fresh ") }))

	check(doc.View(func(tx weft.Tx) error {
		i, err := body.IndexOf(tx, caret)
		fmt.Println(i)
		return err
	}))
	// Output:
	// 10
}
