package runtime

// Looks returns how often messages that waited were looked at again.
func (r *Runtime) Looks() int { return r.waiting.looks }

// WellKnown returns the kinds whose names are coded as numbers, by code.
func WellKnown() []string { return wellKnown[:] }

// HistoryLen returns the number of messages in history.
func (r *Runtime) HistoryLen() int { return r.history.messages }

// Replicas returns the length of the tables of replicas.
func (r *Runtime) Replicas() int { return len(r.replicas) }

// DeletionRuns returns the length of the deletion record.
func (r *Runtime) DeletionRuns() int { return len(r.deletions.runs) }

// HistoryBytes returns the bytes of the messages in history, and the entries of the log beside them.
func (r *Runtime) HistoryBytes() (bytes, entries int) {
	return r.history.bytes, len(r.history.log.entries)
}
