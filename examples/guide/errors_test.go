package guide_test

import (
	"errors"
	"fmt"

	"github.com/seed1312cc15/weft"
)

func Example_rollback() {
	doc := must(weft.Open[Board](nil))
	write(doc, "milk")

	errTooLong := errors.New("too long")
	err := doc.Transact(func(tx weft.Tx) error {
		if err := doc.Root.Body.Insert(tx, 4, " and eggs"); err != nil {
			return err
		}
		if doc.Root.Body.Len(tx) > 10 {
			return errTooLong
		}
		return nil
	})

	fmt.Println(err, err == errTooLong)
	fmt.Println(weft.Read(doc, doc.Root.Body.String))
	// Output:
	// too long true
	// milk
}

func Example_typedErrors() {
	doc := must(weft.Open[Board](nil))

	err := doc.Transact(func(tx weft.Tx) error { return doc.Root.Body.Insert(tx, 7, "!") })
	var bad *weft.RangeError
	if errors.As(err, &bad) {
		fmt.Println(bad.Index, bad.Max, bad.Unit)
	}

	_, err = doc.Receive([]byte("noise"))
	fmt.Println(errors.Is(err, weft.ErrCorrupt))
	// Output:
	// 7 0 code points
	// true
}

func Example_limits() {
	doc := must(weft.Open[Board](&weft.Options{Limits: weft.Limits{MessageBytes: 1000}}))

	err := doc.Transact(func(tx weft.Tx) error { return doc.Root.Body.Insert(tx, 0, string(make([]byte, 2000))) })

	var over *weft.LimitError
	if errors.As(err, &over) {
		fmt.Println(over.Name, over.Max)
	}
	// Output:
	// MessageBytes 1000
}
