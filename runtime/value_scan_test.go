package runtime

import (
	"testing"

	"pgregory.net/rapid"
)

// slowValid and slowKey are ValidValue and CanonicalKey without the short cut for plain values.
func slowValid(data []byte) bool { return valueDec.Wellformed(data) == nil }

func slowKey(data []byte) bool {
	var v any
	if !slowValid(data) || valueDec.Unmarshal(data, &v) != nil || hasNaN(v) {
		return false
	}
	again, err := valueEnc.Marshal(v)
	return err == nil && string(again) == string(data)
}

// TestValueScanAgrees: the short cuts accept exactly what the decoder does, and a value is as long as it was written.
func TestValueScanAgrees(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		data := rapid.OneOf(
			rapid.SliceOfN(rapid.Byte(), 0, 12),
			rapid.Map(rapid.String(), func(s string) []byte { b, _ := EncodeValue(s); return b }),
			rapid.Map(rapid.Int64(), func(n int64) []byte { b, _ := EncodeValue(n); return b }),
			rapid.Map(rapid.Float64(), func(n float64) []byte { b, _ := EncodeValue([]any{n, map[string]any{"a": n}}); return b }),
		).Draw(t, "data")
		if got, want := ValidValue(data) == nil, slowValid(data); got != want {
			t.Fatalf("ValidValue(%x): %v, want %v", data, got, want)
		}
		if got, want := CanonicalKey(data) == nil, slowKey(data); got != want {
			t.Fatalf("CanonicalKey(%x): %v, want %v", data, got, want)
		}
		if n := valueLen(data); slowValid(data) && n != len(data) {
			t.Fatalf("valueLen(%x): %d, want %d", data, n, len(data))
		}
		tail := rapid.SliceOfN(rapid.Byte(), 0, 4).Draw(t, "tail")
		r := Reader{buf: append(data[:len(data):len(data)], tail...), format: "test"}
		if v := r.Value("v"); slowValid(data) && (string(v) != string(data) || r.Err() != nil || r.Len() != len(tail)) {
			t.Fatalf("Value: %x, %v", v, r.Err())
		}
		r = Reader{buf: data, format: "test"}
		if k := r.Key("k"); slowKey(data) != (r.Err() == nil) && len(k) == len(data) {
			t.Fatalf("Key(%x): %v", data, r.Err())
		}
	})
}
