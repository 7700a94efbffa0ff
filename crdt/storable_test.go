package crdt_test

import (
	"errors"
	"math/big"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"
	"github.com/google/uuid"

	"github.com/seed1312cc15/weft/crdt"
	"github.com/seed1312cc15/weft/runtime"
)

type (
	hidden  struct{ n int }
	skipped struct {
		Call func()   `cbor:"-"`
		Sub  chan int `json:"-"`
	}
	embeds struct {
		*skipped
		N int
	}
	linked struct {
		Next *linked
		All  map[string][]linked
	}
	calls struct {
		In [2]map[string]*struct{ Call func() }
	}
)

// MarshalBinary makes a channel that can be stored.
func (wire) MarshalBinary() ([]byte, error) { return nil, nil }

type wire chan int

// TestTypesThatCannotBeStored: a handle for values that CBOR cannot hold is refused where it is made.
func TestTypesThatCannotBeStored(t *testing.T) {
	_ = hidden{}.n
	rt := newDoc(t, 1)
	all, err := crdt.NewRecord(rt, "all")
	if err != nil {
		t.Fatal(err)
	}
	type field struct {
		Sub struct {
			Call crdt.Register[func()] `weft:"call"`
		} `weft:"sub"`
	}
	second := func(_ any, err error) error { return err }
	for want, err := range map[string]error{
		"Register[func()]: CBOR cannot hold a func(): use values of": second(crdt.NewRegister[func()](rt, "r")),
		"hold a chan int":                                  second(crdt.NewMVRegister[chan int](rt, "mv")),
		"hold a complex128":                                second(crdt.NewSet[complex128](rt, "s")),
		"hold a uintptr":                                   second(crdt.NewMap[uintptr, int](rt, "m")),
		"field Call of struct { Call":                      second(crdt.NewMap[int, calls](rt, "m")),
		"CBOR keeps nothing of a crdt_test.hidden":         second(crdt.NewList[hidden](rt, "l")),
		"cannot be read into the interface error: use any": second(crdt.NewList[[]error](rt, "l")),
		"LazyMap[chan int,":                                second(crdt.NewLazyMap[chan int, crdt.Counter](rt, "lazy")),
		"ObjectMap[chan int,":                              second(crdt.NewObjectMap[chan int, crdt.Counter](rt, "om")),
		"type crdt.List[chan int]":                         second(crdt.NewObjectMap[int, crdt.List[chan int]](rt, "om")),
		"field Call: CBOR cannot":                          second(crdt.NewObjectList[field](rt, "ol")),
		"type crdt.Register[func()]:":                      all.Field("call", new(crdt.Register[func()])),
		"struct { Call crdt.Register[func()] \"weft:\\\"call\\\"\" }, field Call": crdt.BindRoots(rt, new(field)),
	} {
		var shape *crdt.ShapeError
		if !errors.As(err, &shape) || !errors.Is(err, crdt.ErrShape) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	for name, err := range map[string]error{
		"any":              second(crdt.NewRegister[any](rt, "r")),
		"raw":              second(crdt.NewRegister[cbor.RawMessage](rt, "r")),
		"reference":        second(crdt.NewRegister[runtime.Ref](rt, "r")),
		"cursor":           second(crdt.NewRegister[crdt.Cursor](rt, "r")),
		"time":             second(crdt.NewRegister[*time.Time](rt, "r")),
		"large integer":    second(crdt.NewRegister[big.Int](rt, "r")),
		"nothing":          second(crdt.NewMap[uuid.UUID, struct{}](rt, "m")),
		"address":          second(crdt.NewSet[netip.Addr](rt, "s")),
		"fields left out":  second(crdt.NewList[embeds](rt, "l")),
		"itself":           second(crdt.NewList[linked](rt, "l")),
		"its own encoding": second(crdt.NewRegister[wire](rt, "r")),
	} {
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if len(rt.Objects()) != 0 {
		t.Errorf("the document holds %v", rt.Objects())
	}
}
