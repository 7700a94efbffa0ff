package sequence

// Steps returns the number of spans that scans for siblings have passed.
func Steps(s *Sequence) int { return s.steps }
