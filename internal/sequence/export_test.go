package sequence

// Changes returns the number of changes in the journal.
func Changes(s *Sequence) int { return len(s.journal.changes) }
