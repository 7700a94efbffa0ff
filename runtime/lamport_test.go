package runtime_test

import (
	"errors"
	"testing"

	"github.com/seed1312cc15/weft/runtime"
)

// The bound of timestamps is exact: one more than the greatest applied is taken, two more is not.
func TestLamportBoundIsExact(t *testing.T) {
	a := open(t, 1)
	m1, m2 := a.add("1"), a.add("2")
	for more, taken := range map[uint64]bool{1: true, 2: false} {
		b := open(t, 2)
		b.take(m1)
		_, err := b.Receive(jump(t, m2, 1+more))
		if taken && err != nil || !taken && !errors.Is(err, runtime.ErrClockJump) {
			t.Errorf("%d more than the greatest applied: %v", more, err)
		}
	}
}
