package crdt_test

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/seed1312cc15/weft/crdt"
	"github.com/seed1312cc15/weft/fuzz"
)

// inShort leaves the long histories to package fuzz, which makes them for all types.
var inShort = &fuzz.Options{Ops: -1}

// span draws an index and a count of a list of length n, which is not 0.
func span(t *rapid.T, n int) (at, count int) {
	at = rapid.IntRange(0, n-1).Draw(t, "at")
	return at, rapid.IntRange(1, min(n-at, 8)).Draw(t, "count")
}

func TestCounterConverges(t *testing.T) { fuzz.Check(t, fuzz.Of[crdt.Counter]("counter"), inShort) }
func TestRegisterConverges(t *testing.T) {
	fuzz.Check(t, fuzz.Of[crdt.Register[string]]("register"), inShort)
}
func TestFlagConverges(t *testing.T) { fuzz.Check(t, fuzz.Of[crdt.Flag]("flag"), inShort) }
func TestSetConverges(t *testing.T)  { fuzz.Check(t, fuzz.Of[crdt.Set[string]]("set"), inShort) }
func TestMapConverges(t *testing.T)  { fuzz.Check(t, fuzz.Of[crdt.Map[string, string]]("map"), inShort) }
func TestTextConverges(t *testing.T) { fuzz.Check(t, fuzz.Of[crdt.Text]("text"), inShort) }
func TestListConverges(t *testing.T) { fuzz.Check(t, fuzz.Of[crdt.List[int]]("list"), inShort) }

func TestMVRegisterConverges(t *testing.T) {
	fuzz.Check(t, fuzz.Of[crdt.MVRegister[string]]("mvregister"), inShort)
}

func TestDisableWinsFlagConverges(t *testing.T) {
	fuzz.Check(t, fuzz.Of[crdt.DisableWinsFlag]("flag-dw"), inShort)
}

func TestObjectListConverges(t *testing.T) {
	fuzz.Check(t, fuzz.Of[crdt.ObjectList[crdt.Text]]("objectlist"), inShort)
}

// Values of types that have no code of their own in this package.
func TestOtherValuesConverge(t *testing.T) {
	fuzz.Check(t, fuzz.Of[others]("others"), inShort)
}

type others struct {
	Point   crdt.Register[place]                `weft:"point"`
	Float   crdt.MVRegister[float64]            `weft:"float"`
	Numbers crdt.Set[uint16]                    `weft:"numbers"`
	Points  crdt.Map[bool, []place]             `weft:"points"`
	List    crdt.List[*place]                   `weft:"list"`
	Byte    crdt.ObjectMap[byte, crdt.Set[int]] `weft:"byte"`
}

type texts = crdt.ObjectList[crdt.Text]

type place struct{ X, Y int }

func FuzzCounter(f *testing.F)  { fuzz.Fuzz(f, fuzz.Of[crdt.Counter]("counter")) }
func FuzzRegister(f *testing.F) { fuzz.Fuzz(f, fuzz.Of[crdt.Register[string]]("register")) }
func FuzzSet(f *testing.F)      { fuzz.Fuzz(f, fuzz.Of[crdt.Set[string]]("set")) }
func FuzzMap(f *testing.F)      { fuzz.Fuzz(f, fuzz.Of[crdt.Map[string, string]]("map")) }

func FuzzTextConverges(f *testing.F) { fuzz.Fuzz(f, fuzz.Of[crdt.Text]("text")) }
func FuzzListConverges(f *testing.F) { fuzz.Fuzz(f, fuzz.Of[crdt.List[int]]("list")) }

func FuzzObjectListConverges(f *testing.F) {
	fuzz.Fuzz(f, fuzz.Of[crdt.ObjectList[crdt.Text]]("objectlist"))
}
