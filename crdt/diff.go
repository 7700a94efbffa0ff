package crdt

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/seed1312cc15/weft/runtime"
)

// ChangeKind says what a Change is.
type ChangeKind uint8

// The kinds of change.
const (
	Added ChangeKind = iota + 1
	Removed
	Changed
)

// String returns "added", "removed" or "changed".
func (k ChangeKind) String() string {
	switch k {
	case Added:
		return "added"
	case Removed:
		return "removed"
	case Changed:
		return "changed"
	}
	return "invalid"
}

// Change is one difference between the values of two documents. Values are those of runtime.Runtime.Export: nil, bool,
// numbers, string, []any, map[string]any.
type Change struct {
	// Path leads from the document to the value: root name, then keys (string) and indexes (int).
	Path []any
	Kind ChangeKind
	// Before is the value in the first document, nil if it is Added; After that in the second, nil if it is Removed.
	Before, After any
}

// Pointer returns the path as a JSON Pointer (RFC 6901).
func (c Change) Pointer() string {
	var b strings.Builder
	for _, p := range c.Path {
		b.WriteByte('/')
		switch p := p.(type) {
		case string:
			b.WriteString(pointerEscapes.Replace(p))
		case int:
			b.WriteString(strconv.Itoa(p))
		}
	}
	return b.String()
}

var pointerEscapes = strings.NewReplacer("~", "~0", "/", "~1")

// String renders the change on one line: "+", "-" or "~", the path, and the values as JSON.
func (c Change) String() string {
	switch c.Kind {
	case Added:
		return fmt.Sprintf("+ %s: %s", c.Pointer(), jsonText(c.After))
	case Removed:
		return fmt.Sprintf("- %s: %s", c.Pointer(), jsonText(c.Before))
	}
	return fmt.Sprintf("~ %s: %s -> %s", c.Pointer(), jsonText(c.Before), jsonText(c.After))
}

func jsonText(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(b)
}

// Diff returns how the value of b differs from that of a, nil if it does not. It compares what people see, the JSON view
// (runtime.Runtime.Export): an object is told by its place, not by its identity, and a list by what is left of it
// between its common start and end. Whole branches that stand on one side only are one Change. The order is that of the
// paths, keys by bytes, indexes by number. a and b may be the same, and may be different documents. Each is read at one
// moment; the two moments differ. Cost: O(size of both values).
func Diff(a, b *runtime.Runtime) []Change {
	return DiffValues(a.Export(), b.Export())
}

// DiffValues is Diff for two values as Export gives them.
func DiffValues(before, after any) []Change {
	var d differ
	d.compare(before, after)
	return d.out
}

type differ struct {
	path []any
	out  []Change
}

func (d *differ) add(kind ChangeKind, before, after any) {
	d.out = append(d.out, Change{slices.Clone(d.path), kind, before, after})
}

func (d *differ) at(step any, f func()) {
	d.path = append(d.path, step)
	f()
	d.path = d.path[:len(d.path)-1]
}

func (d *differ) compare(a, b any) {
	switch a := a.(type) {
	case map[string]any:
		if b, ok := b.(map[string]any); ok {
			d.maps(a, b)
			return
		}
	case []any:
		if b, ok := b.([]any); ok {
			d.lists(a, b)
			return
		}
	}
	if !reflect.DeepEqual(a, b) {
		d.add(Changed, a, b)
	}
}

func (d *differ) maps(a, b map[string]any) {
	keys := slices.AppendSeq(slices.Collect(maps.Keys(a)), maps.Keys(b))
	slices.Sort(keys)
	for _, k := range slices.Compact(keys) {
		before, was := a[k]
		after, is := b[k]
		d.at(k, func() {
			switch {
			case !was:
				d.add(Added, nil, after)
			case !is:
				d.add(Removed, before, nil)
			default:
				d.compare(before, after)
			}
		})
	}
}

// lists leaves out what is equal at the start and at the end. Of the rest, elements at the same index are compared, and
// what one side has more of is added or removed: indexes are those of the side that has the element.
func (d *differ) lists(a, b []any) {
	start := 0
	for start < min(len(a), len(b)) && reflect.DeepEqual(a[start], b[start]) {
		start++
	}
	end := 0
	for end < min(len(a), len(b))-start && reflect.DeepEqual(a[len(a)-1-end], b[len(b)-1-end]) {
		end++
	}
	a, b = a[:len(a)-end], b[:len(b)-end]
	for i := start; i < max(len(a), len(b)); i++ {
		d.at(i, func() {
			switch {
			case i >= len(a):
				d.add(Added, nil, b[i])
			case i >= len(b):
				d.add(Removed, a[i], nil)
			default:
				d.compare(a[i], b[i])
			}
		})
	}
}
