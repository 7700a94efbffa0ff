package runtime

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/seed1312cc15/weft/vclock"
)

// cell is the least object there is: it counts its operations.
type cell struct {
	Journal
	n   uint64
	err error
}

func (c *cell) Apply(op *Op) error {
	op.Rest()
	c.n++
	c.Undo(func() { c.n-- })
	if c.n > 1 {
		op.Removed(LocalDot{op.Dot.Rep, op.Dot.Seq - 1}, 1)
	}
	return nil
}
func (c *cell) Empty() bool                 { return c.n == 0 }
func (c *cell) Save(w *StateWriter)         { w.Uvarint(c.n) }
func (c *cell) Dots(func(LocalDot, uint64)) {}
func (c *cell) Merge(r *StateReader) error  { c.n = r.Uvarint("n"); return r.Done() }
func (c *cell) Commit(*Commit)              { c.Forget() }
func (c *cell) Export(*Exporter) any        { return c.n }
func (c *cell) Check() error                { return c.err }

// patient is a document with a bit of everything for Check to look at.
func patient(t *testing.T) (*Runtime, *Node) {
	t.Helper()
	open := func(id byte) (*Runtime, *Node) {
		r, err := New(&Options{Replica: uuid.UUID{0: id}, Kinds: []Kind{{Name: "test/cell", New: func(*Node) Object { return &cell{} }}}})
		if err != nil {
			t.Fatal(err)
		}
		n, err := r.Root("cell", "test/cell")
		if err != nil {
			t.Fatal(err)
		}
		return r, n
	}
	edit := func(r *Runtime, n *Node) {
		err := r.Transact(func(tx Tx) error {
			w, err := tx.Begin(n)
			if err != nil {
				return err
			}
			w.Byte(1)
			return w.Apply(1)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	r, n := open(1)
	for range 3 {
		edit(r, n)
	}
	below, err := n.Implicit("key", "test/cell")
	if err != nil {
		t.Fatal(err)
	}
	edit(r, below)
	o, on := open(2)
	edit(o, on)
	edit(o, on)
	ms, err := o.MessagesSince(nil)
	if err != nil {
		t.Fatal(err)
	}
	if res, err := r.Receive(ms[1]); err != nil || res.Waiting != 1 {
		t.Fatal(res, err)
	}
	if err := r.Check(); err != nil {
		t.Fatal(err)
	}
	return r, n
}

// Check finds each invariant that is broken.
func TestCheckFindsDamage(t *testing.T) {
	for name, c := range map[string]struct {
		want   string
		damage func(r *Runtime, n *Node)
	}{
		"table too long":       {"tables of", func(r *Runtime, n *Node) { r.next = append(r.next, 0) }},
		"replica twice":        {"not at its index", func(r *Runtime, n *Node) { r.repOf[r.replicas[0]] = 7 }},
		"clock beyond 2^53":    {"clock of", func(r *Runtime, n *Node) { r.next[0] = maxEnd + 1 }},
		"writers":              {"are counted", func(r *Runtime, n *Node) { r.writers++ }},
		"lamport":              {"invariant 3", func(r *Runtime, n *Node) { r.lamport = 99 }},
		"no heads":             {"invariant 2", func(r *Runtime, n *Node) { r.heads.remove(0) }},
		"head astray":          {"invariant 2", func(r *Runtime, n *Node) { r.heads.at[0] = 5 }},
		"waits for nothing":    {"invariant 4", func(r *Runtime, n *Node) { r.waiting.lacking[r.replicas[0]] = r.waiting.lacking[uuid.UUID{0: 2}] }},
		"waiting, not indexed": {"not in the index", func(r *Runtime, n *Node) { r.waiting.byDot = map[vclock.Dot]*waitingMessage{} }},
		"waiting bytes":        {"waiting room", func(r *Runtime, n *Node) { r.waiting.bytes++ }},
		"waiting origins":      {"waiting room", func(r *Runtime, n *Node) { r.waiting.origins[nil]++ }},
		"history sum":          {"history:", func(r *Runtime, n *Node) { r.history.bytes++ }},
		"history beyond":       {"history of", func(r *Runtime, n *Node) { r.next[0]--; r.lamport = 0 }},
		"history block":        {"block ends", func(r *Runtime, n *Node) { r.history.of[0][0].end-- }},
		"root renamed":         {"another name", func(r *Runtime, n *Node) { n.nodeName = &nodeName{r, n.kind, "x"} }},
		"made astray": {"another dot", func(r *Runtime, n *Node) {
			m := r.newMade(LocalDot{0, 1}, n.kind)
			r.made.put(m)
			m.class = classRoot
		}},
		"made without container": {"no container", func(r *Runtime, n *Node) {
			r.made.put(r.newMade(LocalDot{0, 1}, n.kind))
		}},
		"dead":        {"not alive", func(r *Runtime, n *Node) { n.state = deleted }},
		"no state":    {"no state", func(r *Runtime, n *Node) { n.obj = nil }},
		"object":      {"on purpose", func(r *Runtime, n *Node) { n.obj.(*cell).err = errors.New("on purpose") }},
		"opaques":     {"are counted", func(r *Runtime, n *Node) { r.opaques++ }},
		"touched":     {"touched objects", func(r *Runtime, n *Node) { r.touched = append(r.touched, n) }},
		"journal":     {"journal entries", func(r *Runtime, n *Node) { r.journal = append(r.journal, undoRecord{}) }},
		"deletions":   {"deletion record", func(r *Runtime, n *Node) { r.deletions.max = 0 }},
		"open record": {"deletions", func(r *Runtime, n *Node) { r.deletions.open = append(r.deletions.open, deletion{}) }},
		"broken":      {"panic in test", func(r *Runtime, n *Node) { r.broken = &PanicError{"test", 1} }},
	} {
		t.Run(name, func(t *testing.T) {
			r, n := patient(t)
			c.damage(r, n)
			err := r.Check()
			if err == nil || !strings.Contains(err.Error(), c.want) || !errors.Is(err, ErrInternal) {
				t.Errorf("Check found %v, want %q", err, c.want)
			}
		})
	}
}
