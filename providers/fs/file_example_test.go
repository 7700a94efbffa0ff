package fs_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/seed1312cc15/weft"
	"github.com/seed1312cc15/weft/providers/fs"
)

type Note struct {
	Body weft.Text `weft:"body"`
}

func ExampleOpenFile() {
	dir, _ := os.MkdirTemp("", "weft")
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "notes.weft")

	edit := func(text string) error {
		doc, err := weft.Open[Note](nil)
		if err != nil {
			return err
		}
		file, err := fs.OpenFile(doc.Runtime, path, nil)
		if err != nil {
			return err
		}
		err = doc.Transact(func(tx weft.Tx) error {
			return doc.Root.Body.Insert(tx, doc.Root.Body.Len(tx), text)
		})
		if err != nil {
			return err
		}
		if err := file.Flush(context.Background()); err != nil { // it survives a crash from here on
			return err
		}
		fmt.Println(weft.Read(doc, doc.Root.Body.String))
		return file.Close()
	}
	fmt.Println(edit("Hello"), edit(", world"))
	// Output:
	// Hello
	// Hello, world
	// <nil> <nil>
}

func ExampleOpenFolder() {
	shared, _ := os.MkdirTemp("", "weft") // what Syncthing, Dropbox or rsync copies
	defer os.RemoveAll(shared)
	ctx := context.Background()

	alice, _ := weft.Open[Note](nil)
	bob, _ := weft.Open[Note](nil)
	a, err := fs.OpenFolder(alice.Runtime, shared, &fs.FolderOptions{Interval: -1})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer a.Close()
	b, err := fs.OpenFolder(bob.Runtime, shared, &fs.FolderOptions{Interval: -1})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer b.Close()
	alice.Transact(func(tx weft.Tx) error { return alice.Root.Body.Insert(tx, 0, "from Alice") })
	fmt.Println(a.Sync(ctx), b.Sync(ctx))
	fmt.Println(weft.Read(bob, bob.Root.Body.String))
	// Output:
	// <nil> <nil>
	// from Alice
}
