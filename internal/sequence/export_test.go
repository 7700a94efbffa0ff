package sequence

// Steps returns the number of spans that scans for siblings have passed.
func Steps(s *Sequence) int { return s.steps }

// Changes returns the number of changes in the journal.
func Changes(s *Sequence) int { return len(s.journal.changes) }
