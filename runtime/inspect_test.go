package runtime_test

import (
	"encoding/json"
	"errors"
	"fmt"
	goruntime "runtime"
	"slices"
	"strings"
	"testing"

	"github.com/seed1312cc15/weft/internal/converge/bag"
	"github.com/seed1312cc15/weft/runtime"
	"github.com/seed1312cc15/weft/vclock"
)

func TestObjects(t *testing.T) {
	a := open(t, 1)
	nested(a)
	want := []string{
		`"bag" example.com/bag false`,
		`"bag"@01000000-0000-4000-8000-000000000001:3 example.com/bag false`,
		`"bag"@01000000-0000-4000-8000-000000000001:3/"key" example.com/bag false`,
		`"bag"@01000000-0000-4000-8000-000000000001:3/"key"@01000000-0000-4000-8000-000000000001:6 example.com/bag false`,
	}
	list := func(d *doc) (out []string) {
		for _, o := range d.Objects() {
			if o.Bytes <= 0 {
				t.Errorf("%+v", o)
			}
			out = append(out, fmt.Sprint(o.Path, " ", o.Kind, " ", o.Opaque))
		}
		return out
	}
	if got := list(a); !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	r := open(t, 2, noKinds)
	r.take(a.sent...)
	for _, o := range r.Objects() {
		if !o.Opaque {
			t.Errorf("%+v", o)
		}
	}
	if n := len(r.Opaque()); n == 0 || n != len(r.Objects()) {
		t.Errorf("%d opaque of %d", n, len(r.Objects()))
	}
	if got := fmt.Sprint(r.Export()); got != "map[bag:map[$opaque:example.com/bag]]" {
		t.Errorf("export %s", got)
	}
	if n := len(open(t, 3).Objects()); n != 0 {
		t.Errorf("%d objects in an empty document", n)
	}
}

func TestNodeTells(t *testing.T) {
	a := open(t, 1)
	var made, below bag.Bag
	a.edit(func(tx runtime.Tx) (err error) {
		if made, err = a.bag.Make(tx, bag.Name); err != nil {
			return err
		}
		below, err = made.Below("key")
		return errors.Join(err, below.Add(tx, "x"))
	})
	root, m, b := a.bag.Node(), made.Node(), below.Node()
	if root.Parent() != nil || m.Parent() != root || b.Parent() != m {
		t.Errorf("parents %v, %v, %v", root.Parent(), m.Parent(), b.Parent())
	}
	if _, ok := root.Dot(); ok || root.Name() != "bag" || b.Name() != "key" {
		t.Errorf("names %q, %q", root.Name(), b.Name())
	}
	if d, ok := m.Dot(); !ok || a.Dot(d) != dotOf(a, 0) {
		t.Errorf("dot %v, %v", d, ok)
	}
	if !root.Holds() || !m.Holds() || !b.Holds() {
		t.Error("something is empty")
	}
	var keys []string
	m.ImplicitChildren(bag.Name, func(key string, c *runtime.Node) bool { keys = append(keys, key); return c == b })
	m.ImplicitChildren("example.com/other", func(key string, c *runtime.Node) bool { keys = append(keys, "other"); return true })
	if !slices.Equal(keys, []string{"key"}) {
		t.Errorf("children %v", keys)
	}
	if root.Runtime() != a.Runtime || root.Object() == nil || root.Kind() != bag.Name {
		t.Error("runtime, object or kind")
	}
	for _, want := range []string{`"bag" (example.com/bag)`, `"bag"@01000000-0000-4000-8000-000000000001:0/"key" (example.com/bag)`} {
		if root.String() != want && b.String() != want {
			t.Errorf("%v and %v, not %s", root, b, want)
		}
	}
	// More children than a list holds.
	a.edit(func(tx runtime.Tx) error {
		for i := range 50 {
			c, err := made.Below(fmt.Sprint(i))
			if err := errors.Join(err, c.Add(tx, "v")); err != nil {
				return err
			}
		}
		return nil
	})
	again, err := made.Below("33")
	if err != nil || runtime.Read(a.Runtime, again.Text) != "v" {
		t.Error("child 33 is lost")
	}
	c := open(t, 2)
	c.take(a.sent...)
	same(t, a, c)
}

func TestMarshalJSON(t *testing.T) {
	a := open(t, 1)
	nested(a)
	b, err := json.Marshal(a.Runtime)
	if err != nil || string(b) != `{"bag":["1","3",{"below":{"key":["deep",["inner"]]},"entries":["later"]}]}` {
		t.Errorf("%s, %v", b, err)
	}
}

func TestErrorsTell(t *testing.T) {
	for want, err := range map[string]error{
		"runtime: limit Depth: 9 is over 8":                          &runtime.LimitError{Name: "Depth", Got: 9, Max: 8},
		"Remove: range [3, 4) is outside of [0, 2) lines":            &runtime.RangeError{Op: "Remove", Index: 3, Len: 1, Max: 2, Unit: "lines"},
		"Remove: -1 lines from index 3 on: a count is not negative":  &runtime.RangeError{Op: "Remove", Index: 3, Len: -1, Max: 2, Unit: "lines"},
		"runtime: missing dependencies: 0 spans of dots, first none": &runtime.MissingDepsError{},
		"runtime: panic in a test: 7":                                &runtime.PanicError{Where: "a test", Value: 7},
	} {
		if err.Error() != want {
			t.Errorf("%q, want %q", err, want)
		}
	}
	for is, err := range map[error]error{
		runtime.ErrLimit: &runtime.LimitError{}, runtime.ErrRange: &runtime.RangeError{}, runtime.ErrMissingDeps: &runtime.MissingDepsError{},
		runtime.ErrInternal: &runtime.PanicError{}, runtime.ErrEquivocation: &runtime.EquivocationError{}, runtime.ErrClockJump: &runtime.ClockJumpError{},
	} {
		if !errors.Is(err, is) {
			t.Errorf("%T is not %v", err, is)
		}
	}
	need := &runtime.MissingDepsError{Need: []vclock.Span{{Replica: id(1), Start: 2, End: 5}}}
	if !strings.Contains(need.Error(), "01000000-0000-4000-8000-000000000001") {
		t.Error(need)
	}
	if e := (&runtime.EquivocationError{Dot: vclock.Dot{Replica: id(1)}, Reason: "why"}).Error(); !strings.Contains(e, "why") {
		t.Error(e)
	}
}

// A replica that knows nothing keeps each operation at a cost that does not grow with what it keeps.
func TestRelayCostIsLinear(t *testing.T) {
	cost := func(n int) float64 {
		a, r := open(t, 1), open(t, 2, noKinds)
		var ms [][]byte
		for range n {
			ms = append(ms, a.add("x"))
		}
		var before, after goruntime.MemStats
		goruntime.ReadMemStats(&before)
		for _, m := range ms {
			if _, err := r.Receive(m); err != nil {
				t.Fatal(err)
			}
		}
		goruntime.ReadMemStats(&after)
		b := open(t, 3)
		b.take(r.save())
		same(t, a, b)
		return float64(after.TotalAlloc-before.TotalAlloc) / float64(n)
	}
	if few, many := cost(500), cost(4000); many > 2*few+500 {
		t.Errorf("%.0f bytes a message for 500, %.0f for 4,000", few, many)
	}
}

// Kinds with a code instead of a name pass a replica that does not know them.
func TestRelayOfWellKnownKinds(t *testing.T) {
	texts := func(o *runtime.Options) {
		o.Kinds = []runtime.Kind{bag.Kind(bag.Options{Name: "text"}), bag.Kind(bag.Options{Name: "map"})}
	}
	a := open(t, 1, texts)
	text, err := bag.NewNamed(a.Runtime, "t", "text")
	if err != nil {
		t.Fatal(err)
	}
	a.edit(func(tx runtime.Tx) error {
		made, err := text.Make(tx, "map")
		if err != nil {
			return err
		}
		below, err := made.Below("k")
		return errors.Join(err, made.Add(tx, "x"), below.Add(tx, "y"), text.Add(tx, "z"))
	})
	a.edit(func(tx runtime.Tx) error { return text.Remove(tx, 1) })
	for name, pass := range relays {
		r := open(t, 2, noKinds)
		r.take(a.sent...)
		b := open(t, 3, texts)
		pass(t, r, b)
		same(t, a, b)
		onlyText := open(t, 4, func(o *runtime.Options) { o.Kinds = []runtime.Kind{bag.Kind(bag.Options{Name: "text"})} })
		pass(t, r, onlyText)
		c := open(t, 5, texts)
		pass(t, onlyText, c)
		if same(t, a, c); t.Failed() {
			t.Fatal(name)
		}
	}
}
