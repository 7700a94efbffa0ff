package runtime_test

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/seed1312cc15/weft/runtime"
)

// Messages of one operation on one root are made from a template. Whatever the length of the operation and of the
// numbers, their bytes are those that the format says.
func TestMessageOfOneOperation(t *testing.T) {
	for _, name := range []string{"t", "text", "a name that is longer than the template copies at a stroke"} {
		r, n := openFloor(t, name)
		var got []byte
		r.OnUpdate(func(u runtime.Update) { got = u.Data })
		write := func(payload []byte, dots int) {
			t.Helper()
			err := r.Transact(func(tx runtime.Tx) error {
				w, err := tx.Begin(n)
				if err != nil {
					return err
				}
				w.Raw(payload)
				w.Commit(dots)
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		write(make([]byte, 24), 1) // so that the head has two bytes
		self := r.Replica()
		start, objects := uint64(1), bytes.Clone(got[2+2+len(self)+1:len(got)-24]) // behind sender and start
		var payload []byte
		for _, dots := range []int{1, 1, 120, 3, 1, 1, 1 << 13, 1 << 13, 1, 1, 1 << 20, 1 << 20, 1, 1} {
			for length := range 80 {
				payload = append(payload[:0], bytes.Repeat([]byte{byte(length)}, 3*length)...)
				write(payload, dots)
				want := append([]byte{0x11, 0}, self[:]...)
				want = binary.AppendUvarint(want, start)
				if dots != 1 {
					want[1] = 1 << 3
					want = binary.AppendUvarint(want, uint64(dots))
				}
				want = append(append(want, objects...), payload...)
				head := []byte{0x58, byte(len(want))}
				if len(want) < 24 {
					head = []byte{0x40 | byte(len(want))}
				} else if len(want) > 255 {
					head = []byte{0x59, byte(len(want) >> 8), byte(len(want))}
				}
				if want = append(head, want...); !bytes.Equal(got, want) {
					t.Fatalf("root %q, start %d, %d dots, operation of %d bytes:\n got %x\nwant %x", name, start, dots, len(payload), got, want)
				}
				start += uint64(dots)
			}
		}
	}
}
