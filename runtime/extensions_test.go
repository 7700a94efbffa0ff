package runtime_test

import (
	"errors"
	"reflect"
	"testing"

	"github.com/seed1312cc15/weft/runtime"
)

func TestExtensions(t *testing.T) {
	a, b := open(t, 1), open(t, 2)
	var sent [][]byte
	a.OnUpdate(func(u runtime.Update) { sent = append(sent, u.Data) })
	var got []map[string]any
	b.OnUpdate(func(u runtime.Update) { got = append(got, u.Extensions()) })
	add := func(opts ...runtime.TxOption) {
		t.Helper()
		if err := a.Transact(func(tx runtime.Tx) error { return a.bag.Add(tx, "x") }, opts...); err != nil {
			t.Fatal(err)
		}
	}
	said := map[string]any{"author": "Ann", "app": map[string]any{"name": "notes", "parts": []any{true}}}
	add()
	add(runtime.Extensions(said), runtime.From("here"))
	add() // says nothing again
	add(runtime.Extensions(nil))
	bundle, err := runtime.Bundle(sent)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Receive(bundle); err != nil {
		t.Fatal(err)
	}
	if want := []map[string]any{nil, said, nil, nil}; !reflect.DeepEqual(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if a.Digest() != b.Digest() {
		t.Error("the documents differ")
	}
	kept, err := b.MessagesSince(nil)
	if err != nil || !reflect.DeepEqual(kept, sent) {
		t.Errorf("history gives other messages, %v", err)
	}
	before := a.Canonical()
	err = a.Transact(func(tx runtime.Tx) error { t.Error("it ran"); return nil }, runtime.Extensions(map[string]any{"f": func() {}}))
	if err == nil || string(a.Canonical()) != string(before) {
		t.Error(err)
	}
	add()
	if n := len(sent); runtime.Update.Extensions(runtime.Update{Data: sent[n-1]}) != nil {
		t.Error("the failed transaction's option stays")
	}
	var limit *runtime.LimitError
	err = a.Transact(func(tx runtime.Tx) error { return a.bag.Add(tx, "x") }, runtime.Extensions(map[string]any{"big": make([]byte, 2<<20)}))
	if !errors.As(err, &limit) || limit.Name != "MessageBytes" {
		t.Error(err)
	}
}
