package crdt

import (
	"github.com/seed1312cc15/weft/internal/sequence"
	"github.com/seed1312cc15/weft/runtime"
)

// textState is the state of a Text.
//
//  1. seq holds every code point ever inserted, in Fugue order; it checks itself.
//  2. Between transactions the journal is closed and no change waits to be told.
type textState struct {
	seq       *sequence.Sequence
	dots      []sequence.IDSpan // scratch of one operation
	observers runtime.Observers[TextEvent]
	changes   deltaBuilder[rune] // of the open transaction, if somebody listens
}

func newTextState(n *runtime.Node) runtime.Object {
	return &textState{seq: sequence.New(n.Runtime(), true)}
}

func (st *textState) Empty() bool { return st.seq.Elements() == 0 }

func (st *textState) Rollback() {
	st.seq.Rollback(0)
	st.seq.Commit()
	st.changes.reset()
}

func (st *textState) Commit(c *runtime.Commit) {
	st.seq.Commit()
	if st.changes.active {
		if d := st.changes.take(); len(d) > 0 {
			st.observers.Emit(c, TextEvent{Meta: c.Meta(), Delta: textDelta(d)})
		}
	}
}

func (st *textState) Export(*runtime.Exporter) any {
	s, _ := st.slice(0, st.seq.Len(sequence.CodePoints))
	return s
}

func (st *textState) Check() error { return st.seq.Check() }
