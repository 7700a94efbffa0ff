package runtime

// Bundle puts messages into one piece that Receive takes; each keeps its bounds and its bytes (see Packer). The messages
// are usually those of MessagesSince; they are applied in the order given.
func Bundle(messages [][]byte) ([]byte, error) {
	var p Packer
	out := appendUvarint([]byte{formatBundle, 0}, uint64(len(messages)))
	for _, m := range messages {
		var err error
		if out, err = p.Append(out, m); err != nil {
			return nil, err
		}
	}
	return sealed(appendChecksum(out, out)), nil
}

// SplitBundle returns the messages of a bundle, byte for byte as they went in. It is the inverse of Bundle.
func SplitBundle(data []byte) ([][]byte, error) {
	lim := DefaultLimits()
	return splitBundle(data, &lim)
}

// openBundle tests the checksum and returns the packed messages of a bundle and how many they are.
func openBundle(data []byte, lim *Limits) (content, rest []byte, n int, err error) {
	if len(data) > lim.BundleBytes {
		return nil, nil, 0, &LimitError{"BundleBytes", uint64(len(data)), uint64(lim.BundleBytes)}
	}
	if content, err = bstr(data[min(len(data), len(magic)):], "bundle"); err != nil {
		return nil, nil, 0, err
	}
	rd := Reader{buf: content, format: "bundle"}
	if rd.Byte("format") != formatBundle || rd.Uvarint("features") != 0 {
		rd.Fail("format", ErrVersion)
	}
	if rd.err != nil {
		return nil, nil, 0, rd.err
	}
	sum := Reader{buf: content, off: max(rd.off, len(content)-4), format: "bundle"}
	if sum.checksum("checksum", 0); sum.err != nil {
		return nil, nil, 0, sum.err
	}
	rd.buf = content[:len(content)-4]
	n = rd.Count("messages", 5)
	return content, rd.Rest(), n, rd.err
}

// splitBundle rebuilds no more than Limits.DecodedBytes: sharing tables must not be a way to blow up.
func splitBundle(data []byte, lim *Limits) ([][]byte, error) {
	content, rest, n, err := openBundle(data, lim)
	if err != nil {
		return nil, err
	}
	var u Unpacker
	out, budget := make([][]byte, 0, n), lim.DecodedBytes
	for range n {
		var m []byte
		if m, rest, err = u.Next(rest); err != nil {
			return nil, err
		}
		if budget -= len(m); budget < 0 {
			return nil, &LimitError{"DecodedBytes", uint64(lim.DecodedBytes) + 1, uint64(lim.DecodedBytes)}
		}
		out = append(out, m)
	}
	if len(rest) != 0 {
		return nil, &DecodeError{Format: "bundle", Offset: len(content) - 4 - len(rest), Field: "end", Err: ErrCorrupt}
	}
	return out, nil
}

// receiveBundle applies the messages of a bundle one by one. The whole bundle is decoded first.
func (r *Runtime) receiveBundle(data []byte, origin any) (Result, error) {
	var res Result
	content, packed, n, err := openBundle(data, r.bounds())
	if err != nil {
		return res, err
	}
	b := bundleReader{lim: r.bounds()}
	if err := b.test(packed, len(content)-4-len(packed), n); err != nil {
		return res, err
	}
	err = b.each(r, packed, n, func(m *message) error { return r.receiveParsed(m, origin, &res) })
	return res, err
}
