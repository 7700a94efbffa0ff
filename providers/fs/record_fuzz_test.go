package fs

import (
	"bytes"
	"testing"
)

// FuzzStoreRecords checks that each of the records that the store writes about itself is read as it was written, or refused.
func FuzzStoreRecords(f *testing.F) {
	f.Add((&storeFormat{major: 1, createdBy: "weft"}).payload())
	f.Add((&bootRecord{count: 3, clean: true}).payload())
	f.Add((&snapshotHeader{through: 9, size: chunkLen + 1, chunks: 2, clock: []byte{0}}).append(nil))
	f.Add((&storeState{last: 5}).payload())
	f.Fuzz(func(t *testing.T, b []byte) {
		var format storeFormat
		if format.parse(b) == nil && !bytes.Equal(format.payload(), b) {
			t.Errorf("format %+v", format)
		}
		var boot bootRecord
		if boot.parse(b) == nil && !bytes.Equal(boot.payload(), b) {
			t.Errorf("boot %+v", boot)
		}
		var h snapshotHeader
		if h.parse(b) == nil {
			if h.decodeClock(); !bytes.Equal(h.append(nil), b) {
				t.Errorf("header %+v", h)
			}
		}
		var state storeState
		if state.parse(b) == nil && !bytes.Equal(state.payload(), b) {
			t.Errorf("state %+v", state)
		}
		if n, name, ok := parseNumberKey(b); ok && !bytes.Equal(numberKey(nil, n, string(name)), b) {
			t.Errorf("key of %q", name)
		}
	})
}
