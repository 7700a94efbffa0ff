package runtime_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	goruntime "runtime"
	"slices"
	"strings"
	"testing"

	"github.com/seed1312cc15/weft/runtime"
)

// badUpdates are well-formed updates, each spoilt in one way: what it is, and what its error must be, and name.
func badUpdates(t *testing.T) []badUpdate {
	a := open(t, 1, func(o *runtime.Options) { o.Document = id(7) })
	a.add("one")
	a.add("two", "three")
	good := map[string][]byte{
		"message": a.sent[1], "bundle": mustBundle(t, a.sent), "state": a.save(), "delta": a.since(nil),
		"compressed state": a.save(runtime.Compressed(2)),
	}
	var all []badUpdate
	spoil := func(kind, how string, data []byte, is error, names string) {
		all = append(all, badUpdate{kind + ", " + how, data, is, names})
	}
	for kind, u := range good {
		spoil(kind, "truncated", u[:len(u)-1], runtime.ErrCorrupt, "1 bytes are missing")
		spoil(kind, "wrong document", u, runtime.ErrWrongDocument, id(7).String())
		version := bytes.Clone(u)
		version[bytes.IndexByte(u, firstBytes[kind])] += 0x10
		spoil(kind, "wrong version", reseal(version), runtime.ErrVersion, "unsupported format version")
		if kind != "message" { // what has no checksum: TestBitFlipsOfMessages
			flipped := bytes.Clone(u)
			flipped[len(u)/2] ^= 4
			spoil(kind, "a bit flipped", flipped, runtime.ErrChecksum, "checksum")
		}
		limit := map[string]string{"message": "MessageBytes", "bundle": "BundleBytes"}[kind]
		if limit == "" {
			limit = "StateBytes"
		}
		spoil(kind, "oversized", u, runtime.ErrLimit, "limit "+limit)
	}
	one := id(1)
	deep := []byte{1 | 13<<3, 0}
	for range 600 {
		deep = append(deep, 1|2<<1|13<<3, 0, 0)
	}
	deep[len(deep)-3] &^= 1
	w := parse(t, open(t, 1).add("x"))
	w.objects = deep
	spoil("message", "deeply nested", w.encode(), runtime.ErrLimit, "limit Depth")
	w = parse(t, open(t, 1).add("x"))
	w.table = []wireDot{{id(2), 0}, {id(2), 1}}
	w.deps, w.flags = 2, w.flags|1
	spoil("message", "a replica twice", w.encode(), runtime.ErrCorrupt, "message: ")
	huge := binary.AppendUvarint(nil, 1<<61)
	content := append(append([]byte{0x11, 1}, one[:]...), 0)
	spoil("message", "a huge count", bstrOf(append(content, huge...)), runtime.ErrCorrupt, "dependencies at byte")

	bundle := func(n uint64, packed ...any) []byte {
		b := binary.AppendUvarint([]byte{0x12, 0}, n)
		for _, p := range packed {
			switch p := p.(type) {
			case int:
				b = append(b, byte(p))
			case []byte:
				b = append(b, p...)
			}
		}
		return append([]byte{0xda, 'w', 'e', 'f', 't'}, bstrOf(append(b, crc(b)...))...)
	}
	two := id(2)
	table := []byte{0, 3, 13 << 3, 1, 't'} // an object table: its number, and as bytes
	spoil("bundle", "deeply nested", bundle(1, 0, one[:], 0, 0, binary.AppendUvarint(nil, uint64(len(deep))), deep, 1, 0x21), runtime.ErrLimit, "limit Depth")
	spoil("bundle", "a replica twice", bundle(1, 0, one[:], 1, 1, 2, 3, two[:], 0, 3, 1, 0, table, 1, 0x21), runtime.ErrCorrupt, "message: ")
	spoil("bundle", "a huge count", bundle(1<<61, 0, one[:], 0, table, 1, 0x21), runtime.ErrCorrupt, "bundle: messages at byte")

	for _, kind := range []string{"state", "delta"} {
		head := append([]byte{1}, one[:]...) // one replica with one dot; a delta has it beyond its base
		head = append(head, 1)
		if kind == "delta" {
			head = append(head, 1, 0)
		}
		head = append(head, 1, 0, 1, 1, 13) // one head, timestamp 1, kind text
		with := func(parts ...[]byte) []byte {
			p := stateParts{head: []byte{firstBytes[kind], 0, 0}, canonical: append(slices.Clone(head), slices.Concat(parts...)...)}
			return p.encode()
		}
		chain := append(binary.AppendUvarint(nil, 601), 4, 0)
		for i := range 600 {
			if chain = append(chain, 4|2, 1); i == 0 {
				chain = append(chain, 0, 0) // a new key, empty
			} else {
				chain = append(chain, 1)
			}
		}
		spoil(kind, "deeply nested", with(chain), runtime.ErrLimit, "limit Depth")
		spoil(kind, "an object twice", with([]byte{2, 4, 1, 'n', 4, 1, 'n'}), runtime.ErrCorrupt, "order of objects at byte")
		spoil(kind, "a huge count", with(huge), runtime.ErrCorrupt, "objects at byte")
		p := stateParts{head: []byte{firstBytes[kind], 0, 0}, canonical: huge}
		spoil(kind, "huge numbers of replicas", p.encode(), runtime.ErrCorrupt, "replicas at byte")
	}
	return all
}

var firstBytes = map[string]byte{"message": 0x11, "bundle": 0x12, "state": 0x13, "compressed state": 0x13, "delta": 0x14}

type badUpdate struct {
	name  string
	data  []byte
	is    error
	names string // is in its text
}

// TestBadInput: what is wrong with an update is told by a typed error that says what and where, nothing has changed, and
// little was allocated.
func TestBadInput(t *testing.T) {
	for _, b := range badUpdates(t) {
		t.Run(b.name, func(t *testing.T) {
			r := open(t, 9, func(o *runtime.Options) {
				if strings.HasSuffix(b.name, "oversized") {
					o.Limits.MessageBytes, o.Limits.BundleBytes, o.Limits.StateBytes = 50, 50, 50
				}
				if strings.HasSuffix(b.name, "wrong document") {
					o.Document = id(8)
				}
			})
			// Something to lose, but for the limits of this test.
			r.edit(func(tx runtime.Tx) error { return r.bag.Add(tx, "") })
			err := r.refuse(b.data)
			if !errors.Is(err, b.is) || !strings.Contains(err.Error(), b.names) {
				t.Errorf("%v, want %s", err, b.names)
			}
			if again := r.refuse(b.data); again.Error() != err.Error() {
				t.Errorf("the second time: %v, not %v", again, err)
			}
			var before, after goruntime.MemStats
			goruntime.ReadMemStats(&before)
			_, _ = r.Receive(b.data)
			goruntime.ReadMemStats(&after)
			if n := after.TotalAlloc - before.TotalAlloc; !raced && n > 64*uint64(len(b.data))+64<<10 {
				t.Errorf("%d bytes allocated for %d", n, len(b.data))
			}
		})
	}
}
