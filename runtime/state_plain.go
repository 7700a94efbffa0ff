package runtime

// Uncompressed returns a saved state or delta with its sections as they are, for a reader without Zstandard; data itself if
// they are so already. Nothing is decoded beyond that. Errors: *DecodeError, *LimitError, by the default limits.
func Uncompressed(data []byte) ([]byte, error) {
	lim := DefaultLimits()
	switch kind, err := KindOf(data); {
	case err != nil:
		return nil, err
	case kind != StateUpdate && kind != DeltaUpdate:
		return nil, &DecodeError{Format: "state", Field: "format", Err: ErrCorrupt}
	}
	content, err := bstr(data[len(magic):], "state")
	if err != nil {
		return nil, err
	}
	rd := Reader{buf: content, format: "state"}
	rd.Byte("format")
	if rd.Uvarint("features") != 0 {
		rd.Fail("features", ErrVersion)
	}
	flags := rd.Byte("flags")
	if flags&^stateKnown != 0 {
		rd.Fail("flags", ErrVersion)
	}
	if flags&stateDocument != 0 {
		rd.Take("document", 16)
	}
	if rd.err != nil {
		return nil, rd.err
	}
	if flags&stateZstd == 0 {
		return data, nil
	}
	head := rd.off
	canonical, local := inflate(&rd, &lim)
	if rd.err != nil {
		return nil, rd.err
	}
	out := make([]byte, head, head+len(canonical)+len(local)+32)
	copy(out, content)
	out[2] = flags &^ stateZstd
	return sealed(appendSections(out, canonical, local)), nil
}

// appendSections writes both sections as they are, with a checksum each, after the head of a state.
func appendSections(content, canonical, local []byte) []byte {
	content = appendUvarint(content, uint64(len(canonical)))
	content = append(content, canonical...)
	content = appendChecksum(content, content)
	at := len(content)
	content = appendUvarint(content, uint64(len(local)))
	content = append(content, local...)
	return appendChecksum(content, content[at:])
}
