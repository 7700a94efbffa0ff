package sequence

type deltaState struct{}

// Events tells the owner what a Merge does. Nil functions are not called.
type Events struct{}

func (s *Sequence) Merge(st *State, covered func(ID) bool, ev Events) error { return ErrNotEmpty }
