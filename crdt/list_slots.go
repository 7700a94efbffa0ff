package crdt

// slots holds something for some of the places of a list, by local number: the zero value for the others. Places that hold
// nothing cost next to nothing, so that a list of tombstones takes no memory for what they held.
type slots[T any] struct{ pages []*[slotPage]T }

// slotPage is small enough that one element among tombstones does not cost much more than itself, and great enough that
// the pages' own table does not count.
const slotPage = 64

func (s *slots[T]) at(l lid) (v T) {
	if i := int(l / slotPage); i < len(s.pages) && s.pages[i] != nil {
		v = s.pages[i][l%slotPage]
	}
	return v
}

func (s *slots[T]) set(l lid, v T) {
	i := int(l / slotPage)
	if n := i + 1 - len(s.pages); n > 0 {
		s.pages = append(s.pages, make([]*[slotPage]T, n)...)
	}
	if s.pages[i] == nil {
		s.pages[i] = new([slotPage]T)
	}
	s.pages[i][l%slotPage] = v
}

// cut makes the places from end on hold nothing.
func (s *slots[T]) cut(end lid) {
	full := int(end / slotPage)
	if full >= len(s.pages) {
		return
	}
	if p := s.pages[full]; p != nil && end%slotPage > 0 {
		clear(p[end%slotPage:])
		full++
	}
	clear(s.pages[full:])
	s.pages = s.pages[:full]
}

// all yields what the places hold, in the order of their local numbers, and the zero value for some that hold nothing.
func (s *slots[T]) all(yield func(l lid, v T) bool) {
	for i, p := range s.pages {
		if p == nil {
			continue
		}
		for k, v := range p {
			if !yield(lid(i*slotPage+k), v) {
				return
			}
		}
	}
}
