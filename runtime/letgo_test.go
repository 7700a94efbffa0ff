package runtime_test

import (
	goruntime "runtime"
	"testing"
	"weak"

	"github.com/seed1312cc15/weft/runtime"
)

// TestReceiveKeepsNoReference receives updates that are short parts of something long, which nothing may keep in memory then.
func TestReceiveKeepsNoReference(t *testing.T) {
	a := open(t, 1)
	one, two := a.add("x"), a.add("y")
	late := a.add("z")
	bundle, err := runtime.Bundle([][]byte{one, two})
	if err != nil {
		t.Fatal(err)
	}
	for name, update := range map[string][]byte{
		"message": one, "waiting": late, "bundle": bundle, "state": a.save(), "delta": a.since(nil), "garbage": one[:len(one)-1],
	} {
		t.Run(name, func(t *testing.T) {
			b := open(t, 2)
			long := make([]byte, 1<<20)
			copy(long[1000:], update)
			kept := weak.Make(&long[0])
			b.Receive(long[1000 : 1000+len(update)])
			long = nil
			for range 3 {
				goruntime.GC()
			}
			if kept.Value() != nil {
				t.Error("it is still in memory")
			}
			goruntime.KeepAlive(b)
		})
	}
}
