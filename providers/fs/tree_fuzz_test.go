//go:build !js && !wasip1 && !plan9

package fs

import (
	"bytes"
	"errors"
	"fmt"
	"hash/fnv"
	"os"
	"path/filepath"
	"testing"

	bolt "go.etcd.io/bbolt"
)

// smallTree returns a bbolt file of small pages with some values in it: of one leaf, or with branches, long values, and
// buckets inline and not.
func smallTree(f testing.TB, values int) []byte {
	f.Helper()
	path := filepath.Join(f.TempDir(), "tree")
	db, err := bolt.Open(path, 0o600, &bolt.Options{PageSize: 1 << 10, NoFreelistSync: true, NoSync: true})
	if err != nil {
		f.Fatal(err)
	}
	err = db.Update(func(tx *bolt.Tx) error {
		for _, name := range []string{"few", "many"} {
			b, err := tx.CreateBucket([]byte(name))
			if err != nil {
				return err
			}
			for i := range values {
				if name == "few" && i > 1 {
					break
				}
				if err := b.Put(fmt.Append(nil, "key ", i), bytes.Repeat([]byte("v"), i*i%1500)); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err := errors.Join(err, db.Close()); err != nil {
		f.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	t := &tree{r: bytes.NewReader(data), size: int64(len(data))}
	if err := t.readMeta(); err != nil {
		f.Fatal(err)
	}
	return data[:int64(t.meta.pages)*t.meta.pageSize]
}

// resealMeta makes the checksums right of all that looks like a meta page.
func resealMeta(data []byte) {
	for at := 0; at+pageHeader+metaLen <= len(data) && at <= 64<<10; at = max(1<<10, 2*at) {
		p := data[at:]
		if native.Uint16(p[8:]) == metaPage {
			h := fnv.New64a()
			h.Write(p[pageHeader : pageHeader+56])
			native.PutUint64(p[pageHeader+56:], h.Sum64())
		}
	}
}

// Meta pages that are valid and contradict each other, or make no sense, are found: bbolt would take one of them.
func TestMetaPagesAgree(t *testing.T) {
	const pageSizeAt = pageHeader + 8
	for name, change := range map[string]func(first, second []byte){
		"first of another size":  func(first, _ []byte) { native.PutUint32(first[pageSizeAt:], 2<<10) },
		"second of another size": func(_, second []byte) { native.PutUint32(second[pageSizeAt:], 2<<10) },
		"no size":                func(first, _ []byte) { native.PutUint32(first[pageSizeAt:], 1<<10+1) },
		"only one, elsewhere": func(first, second []byte) {
			clear(first[:pageHeader+metaLen])
			native.PutUint32(second[pageSizeAt:], 4<<10)
		},
	} {
		data := smallTree(t, 40)
		change(data, data[1<<10:])
		resealMeta(data)
		var damage *treeError
		if _, _, err := checkTree(bytes.NewReader(data), int64(len(data))); !errors.As(err, &damage) {
			t.Errorf("%s: %v", name, err)
		}
	}
	data := smallTree(t, 40)
	native.PutUint16(data[8:], leafPage) // not under the checksum
	if _, _, err := checkTree(bytes.NewReader(data), int64(len(data))); err == nil {
		t.Error("a meta page that says that it is a leaf")
	}
}

// FuzzTree checks files past the checksums of their meta pages: what checkTree lets pass bbolt reads to its end.
func FuzzTree(f *testing.F) {
	for _, n := range []int{0, 3, 40} {
		f.Add(smallTree(f, n))
	}
	path := filepath.Join(f.TempDir(), "tree") // one for each worker: they are processes
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 64<<10 {
			return
		}
		data = bytes.Clone(data)
		resealMeta(data)
		used, pages, err := checkTree(bytes.NewReader(data), int64(len(data)))
		if err != nil {
			var damage *treeError
			if !errors.As(err, &damage) || damage.offset < 0 {
				t.Fatal(err)
			}
			return
		}
		if used > pages || pages > uint64(len(data))>>10 {
			t.Fatalf("%d pages of %d in %d bytes", used, pages, len(data))
		}
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		db, err := bolt.Open(path, 0o600, &bolt.Options{ReadOnly: true, NoFreelistSync: true})
		if err != nil {
			t.Fatalf("bbolt does not open it: %v", err)
		}
		defer db.Close()
		var walk func(b *bolt.Bucket) error
		walk = func(b *bolt.Bucket) error {
			return b.ForEach(func(k, v []byte) error {
				if v == nil {
					return walk(b.Bucket(k))
				}
				return nil
			})
		}
		err = guarded(func() error {
			return db.View(func(tx *bolt.Tx) error {
				return tx.ForEach(func(_ []byte, b *bolt.Bucket) error {
					if b == nil {
						return nil // a value among the buckets; the store looks for its own
					}
					return walk(b)
				})
			})
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}
