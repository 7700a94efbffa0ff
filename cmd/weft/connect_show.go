package main

import (
	"encoding/hex"
	"fmt"
	"strconv"

	"github.com/seed1312cc15/weft/crdt"
	"github.com/seed1312cc15/weft/providers"
	"github.com/seed1312cc15/weft/runtime"
)

func (t *terminal) print(args []string) error {
	var value any = t.rt.Export()
	if len(args) == 1 {
		path, err := parsePath(args[0])
		if err != nil {
			return err
		}
		for _, step := range path {
			if value = valueAt(value, step.name()); value == nil {
				return fmt.Errorf("%s: the document has nothing there", clip(args[0], 60))
			}
		}
	}
	return writeValue(t.c, value)
}

// valueAt returns what a value as Export gives it has under a key or an index, nil for nothing.
func valueAt(value any, key string) any {
	switch v := value.(type) {
	case map[string]any:
		return v[key]
	case []any:
		if i, err := strconv.Atoi(key); err == nil && i >= 0 && i < len(v) {
			return v[i]
		}
	}
	return nil
}

// change is what watch writes for each one.
type change struct {
	Path   string `json:"path"`
	Change string `json:"change"`
	Before any    `json:"before,omitempty"`
	After  any    `json:"after,omitempty"`
}

// watch writes the value, and then how it changes, until a signal or after a number of changes.
func (t *terminal) watch(args []string) error {
	left := -1
	if len(args) == 1 {
		n, err := strconv.Atoi(args[0])
		if err != nil || n < 1 {
			return usage("watch takes a number above 0")
		}
		left = n
	}
	changed := make(chan struct{}, 1)
	defer t.rt.OnUpdate(func(runtime.Update) {
		select {
		case changed <- struct{}{}:
		default:
		}
	})()
	value := t.rt.Export()
	if err := writeJSON(t.c.out, map[string]any{"value": value}); err != nil {
		return err
	}
	for {
		select {
		case <-changed:
		case err := <-t.stopped:
			return t.explain(err)
		case <-t.forever.Done():
			return nil
		}
		next := t.rt.Export()
		for _, d := range crdt.DiffValues(value, next) {
			if err := writeJSON(t.c.out, change{Path: d.Pointer(), Change: d.Kind.String(), Before: d.Before, After: d.After}); err != nil {
				return err
			}
			if left--; left == 0 {
				return nil
			}
		}
		value = next
	}
}

// documentStatus is what status prints.
type documentStatus struct {
	Document string `json:"document"`
	Status   string `json:"status"`
	Access   string `json:"access"`
	Acks     string `json:"acknowledges"`
	Replicas int    `json:"replicas"`
	Dots     uint64 `json:"dots"`
	Objects  int    `json:"objects"`
	Unsaved  uint64 `json:"unsaved"`
	Digest   string `json:"digest"`
}

func (t *terminal) status() error {
	status, _ := t.doc.Status()
	s := documentStatus{Document: t.doc.Name(), Status: status.String(), Access: "write", Acks: providers.NoAcks.String(), Objects: len(t.rt.Objects())}
	if o := t.opened.Load(); o != nil {
		s.Acks = o.Level.String()
		if o.ReadOnly {
			s.Access = "read"
		}
	}
	clock := t.rt.Clock()
	s.Replicas = len(clock)
	for _, n := range clock {
		s.Dots += n
	}
	for _, span := range t.doc.Unsaved() {
		s.Unsaved += span.End - span.Start
	}
	digest := t.rt.Digest()
	s.Digest = hex.EncodeToString(digest[:])
	return writeValue(t.c, s)
}
