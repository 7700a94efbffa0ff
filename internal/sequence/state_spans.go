package sequence

import "iter"

// Spans yields the elements of a state or delta in its order, as runs of dots, with whether they are hidden.
func (st *State) Spans() iter.Seq2[IDSpan, bool] {
	return func(yield func(IDSpan, bool) bool) {
		for i := range st.runs {
			sp := st.at(i)
			if !yield(IDSpan{st.dot(i, 0), int(sp.n)}, sp.hidden()) {
				return
			}
		}
	}
}
