package providers

// Queued returns how many updates wait in this session for the peer, and their bytes: at most Options.QueueMessages and
// QueueBytes. What it is sending just now does not count. Any goroutine may call it.
func (s *Session) Queued() (messages, bytes int) {
	s.out.mu.Lock()
	defer s.out.mu.Unlock()
	return len(s.out.items), s.out.bytes
}

// Bytes returns how many bytes of packed messages the log keeps for those who are behind.
func (l *RoomLog) Bytes() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.data)
}
