package sequence

// Changes returns the number of changes in the journal.
func Changes(s *Sequence) int { return len(s.journal.changes) }

// ContentBytes returns the bytes of content that are kept, dead ones included.
func ContentBytes(s *Sequence) int { return len(s.content) }
