package crdt

import (
	"github.com/seed1312cc15/weft/internal/sequence"
	"github.com/seed1312cc15/weft/runtime"
)

func (st *textState) Save(w *runtime.StateWriter) {
	w.Append(st.seq.AppendState)
}

func (st *textState) Merge(r *runtime.StateReader) error {
	d, err := sequence.Decode(r.Rest(), r.RepAt, sequence.Limits{})
	if err != nil {
		return err
	}
	st.seq.Mark()
	return st.seq.Load(d)
}
