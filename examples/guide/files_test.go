package guide_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	goruntime "runtime"

	"github.com/seed1312cc15/weft"
)

// openFile opens the board in a file, or a new one if there is none.
func openFile(path string) (*weft.Document[Board], error) {
	doc, err := weft.Open[Board](nil)
	if err != nil {
		return nil, err
	}
	data, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return doc, nil
	case err != nil:
		return nil, err
	}
	return doc, doc.Load(data)
}

// saveFile puts the board into a file.
func saveFile(path string, doc *weft.Document[Board]) error {
	data, err := doc.Save(weft.Compressed(1))
	if err != nil {
		return err
	}
	return replaceFile(path, data)
}

// replaceFile gives the file at path new content, all of it or, if the machine stops meanwhile, nothing of it.
func replaceFile(path string, data []byte) error {
	dir := filepath.Dir(path)
	temp, err := os.CreateTemp(dir, ".weft-*")
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name()) // in vain once it has been renamed
	_, err = temp.Write(data)
	if err == nil {
		err = temp.Sync() // before the rename, or the name may come to stand for an empty file
	}
	if cerr := temp.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(temp.Name(), path)
	}
	if err == nil {
		err = syncDir(dir)
	}
	return err
}

// syncDir makes a rename in dir durable. Windows needs no such thing, and has none.
func syncDir(dir string) error {
	if goruntime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func Example_file() {
	dir := must(os.MkdirTemp("", "guide"))
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "board.weft")

	doc := must(openFile(path))
	write(doc, "milk")
	check(saveFile(path, doc))

	again := must(openFile(path))
	show(again)
	fmt.Println(again.Replica() == doc.Replica())
	// Output:
	// {"body":"milk"}
	// false
}
