package guide_test

import (
	"fmt"

	"github.com/seed1312cc15/weft"
)

// Board is the document of most examples.
type Board struct {
	Title weft.Register[string]        `weft:"title"`
	Body  weft.Text                    `weft:"body"`
	Votes weft.Counter                 `weft:"votes"`
	Tasks weft.ObjectMap[string, Task] `weft:"tasks"`
}

// Task is an object in a Board, and in another Task.
type Task struct {
	Name weft.Text                     `weft:"name"`
	Done weft.Flag                     `weft:"done"`
	Subs weft.ObjectMap[string, Task]  `weft:"subs"`
	Time weft.LazyMap[string, Minutes] `weft:"time"`
}

// Minutes is what one person spent on a task.
type Minutes struct {
	Spent weft.Counter `weft:"spent"`
}

func must[T any](v T, err error) T {
	check(err)
	return v
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

// write replaces the text of a board.
func write(doc *weft.Document[Board], s string) {
	check(doc.Transact(func(tx weft.Tx) error { return doc.Root.Body.Replace(tx, s) }))
}

// show prints boards as JSON.
func show(docs ...*weft.Document[Board]) {
	for _, d := range docs {
		fmt.Printf("%s\n", must(d.MarshalJSON()))
	}
}
