package docs_test

import (
	"github.com/seed1312cc15/weft"
	"github.com/seed1312cc15/weft/crdt"
	"github.com/seed1312cc15/weft/runtime"
)

// What the package comments show, so that the compiler sees it too.

type Board struct {
	Title weft.Register[string]        `weft:"title"`
	Body  weft.Text                    `weft:"body"`
	Tasks weft.ObjectMap[string, Task] `weft:"tasks"`
}

type Task struct {
	Name weft.Text                    `weft:"name"`
	Done weft.Flag                    `weft:"done"`
	Subs weft.ObjectMap[string, Task] `weft:"subs"`
}

func packageWeft(send func([]byte), peer any, data []byte) (any, error) {
	doc, err := weft.Open[Board](nil)
	err = doc.Transact(func(tx weft.Tx) error {
		return doc.Root.Body.Insert(tx, 0, "hello")
	})
	s := weft.Read(doc, doc.Root.Body.String)
	stop := doc.OnUpdate(func(u weft.Update) { send(u.Data) })
	res, err := doc.Receive(data, weft.From(peer))
	stop()
	return []any{s, res}, err
}

func packageCRDT() error {
	var doc, _ = runtime.New(&runtime.Options{Kinds: crdt.Kinds()})
	votes, err := crdt.NewCounter(doc, "votes")
	err = doc.Transact(func(tx runtime.Tx) error { return votes.Add(tx, 1) })
	return err
}

var _, _ = packageWeft, packageCRDT
