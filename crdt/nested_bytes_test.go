package crdt_test

import (
	"encoding/hex"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/seed1312cc15/weft/crdt"
	"github.com/seed1312cc15/weft/runtime"
)

// TestNestedBytes pins the bytes of format version 1: the operations of the containers as they stand in messages, and
// their sections as they stand in states. They must not change.
func TestNestedBytes(t *testing.T) {
	rt, top := mustFolder(t, &runtime.Options{Replica: uuid.UUID{15: 1}})
	contains := func(what string, data []byte, parts ...string) {
		t.Helper()
		text := hex.EncodeToString(data)
		for _, p := range parts {
			if p = strings.ReplaceAll(p, " ", ""); !strings.Contains(text, p) {
				t.Errorf("%s: no %s in %s", what, p, text)
			}
		}
	}
	set := func(key string, args any) func(tx runtime.Tx) error {
		return func(tx runtime.Tx) error { _, err := top.Subs.Create(tx, key, args, nil); return err }
	}
	//                                      code kind key        [arguments] runs: replicas, replica, distance, (dots - 1)<<1 | more
	contains("set", commitTx(t, rt, set("k", nil)), "01 0e 02 61 6b 00")
	contains("set over one", commitTx(t, rt, set("k", nil)), "01 0e 02 61 6b 01 00 01 00")
	contains("set with arguments", commitTx(t, rt, set("j", true)), "02 0e 02 61 6a 01 f5 00")
	contains("delete", commitTx(t, rt, func(tx runtime.Tx) error { return top.Subs.Delete(tx, "k") }), "03 02 61 6b 01 00 02 00")
	commitTx(t, rt, set("l", nil))
	commitTx(t, rt, set("m", nil))
	contains("clear", commitTx(t, rt, func(tx runtime.Tx) error { return top.Subs.Clear(tx) }), "04 01 00 01 03 00 00")
	contains("add", commitTx(t, rt, func(tx runtime.Tx) error { _, err := top.Notes.Add(tx, nil); return err }), "01 0d")
	contains("add with arguments", commitTx(t, rt, func(tx runtime.Tx) error {
		_, err := top.Notes.Create(tx, 7, nil)
		return err
	}), "02 0d 07")
	commitTx(t, rt, func(tx runtime.Tx) error {
		if err := set("a", nil)(tx); err != nil {
			return err
		}
		return set("b", nil)(tx)
	})
	// Runs: (n-1)<<1 | arguments, replica, kind, Lamport - seq - 1, first seq, then gap, key, arguments of each.
	contains("map in a state", rt.Canonical(), "02 00 0e 00 09 02 61 61 00 02 61 62")
	contains("set in a state", rt.Canonical(), "00 00 0d 00 07", "01 00 0d 00 08 01 07")
	contains("remove", commitTx(t, rt, func(tx runtime.Tx) error {
		for n := range top.Notes.All(tx) {
			return top.Notes.Remove(tx, n)
		}
		return nil
	}), "03 01 00 04 00")
	kinds := []string{}
	for _, k := range crdt.Kinds() {
		kinds = append(kinds, k.Name)
	}
	for _, want := range []string{"record", "lazymap", "objectmap", "objectset"} {
		if !strings.Contains(strings.Join(kinds, " "), want) {
			t.Errorf("kind %s is not among %v", want, kinds)
		}
	}
}
