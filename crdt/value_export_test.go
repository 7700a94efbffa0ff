package crdt

// AppendValue lets tests compare the encoding of typed values with that of the general encoder.
func AppendValue[T any](dst []byte, v *T) ([]byte, error) { return appendValue(dst, v) }
