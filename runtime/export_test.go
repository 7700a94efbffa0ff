package runtime

// Looks returns how often messages that waited were looked at again.
func (r *Runtime) Looks() int { return r.waiting.looks }
