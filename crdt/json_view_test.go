package crdt_test

import (
	"encoding/json"
	"errors"
	"math"
	"math/big"
	"testing"

	"github.com/fxamacker/cbor/v2"

	"github.com/seed1312cc15/weft/crdt"
	"github.com/seed1312cc15/weft/runtime"
)

type viewed struct {
	Map    crdt.Map[any, any]                 `weft:"map"`
	Points crdt.Map[struct{ X, Y int }, bool] `weft:"points"`
	Value  crdt.Register[any]                 `weft:"value"`
	Lazy   crdt.LazyMap[any, crdt.Counter]    `weft:"lazy"`
	List   crdt.ObjectList[crdt.Counter]      `weft:"list"`
	Named  crdt.ObjectMap[any, crdt.Counter]  `weft:"named"`
	Bag    crdt.ObjectSet[crdt.Counter]       `weft:"bag"`
}

// TestJSONView holds docs/types.md, "In JSON", to its word. Each case runs often, since Go's maps have no order.
func TestJSONView(t *testing.T) {
	huge, _ := new(big.Int).SetString("18446744073709551616", 10)
	for name, c := range map[string]struct {
		edit func(tx runtime.Tx, v *viewed) error
		want string
	}{
		"keys that are no texts": {func(tx runtime.Tx, v *viewed) error {
			return errors.Join(v.Map.Set(tx, 1.5, 1), v.Map.Set(tx, true, 2), v.Map.Set(tx, nil, 3), v.Map.Set(tx, math.Inf(1), 4),
				v.Map.Set(tx, "a<b", 5), v.Points.Set(tx, struct{ X, Y int }{1, 2}, true))
		}, `{"map":{"1.5":1,"a\u003cb":5,"null":3,"true":2,"{\"$float\":\"+Inf\"}":4},"points":{"{\"X\":1,\"Y\":2}":true}}`},
		"keys that read alike": {func(tx runtime.Tx, v *viewed) error {
			_, err := v.Named.Set(tx, "7", nil)
			_, also := v.Named.Set(tx, 7, nil)
			return errors.Join(err, also, v.Map.Set(tx, 7, "number"), v.Map.Set(tx, "7", "text"), v.Map.Set(tx, "7 (6137)", "longer"))
		}, `{"map":{"7":"number","7 (6137)":"text","7 (6137) (683720283631333729)":"longer"},"named":{"7":0,"7 (6137)":0}}`},
		"keys inside of a value that read alike": {func(tx runtime.Tx, v *viewed) error {
			return v.Value.Set(tx, map[any]any{7: "number", "7": "text", "\xc3\xa4": []any{map[any]any{true: 1, "true": 2}}})
		}, `{"value":{"7":"number","7 (6137)":"text","ä":[{"true":2,"true (f5)":1}]}}`},
		"values": {func(tx runtime.Tx, v *viewed) error {
			return v.Value.Set(tx, []any{[]byte("x"), math.NaN(), huge, nil, map[any]any{cbor.ByteString("\xff"): 1}})
		}, `{"value":[{"$bytes":"eA=="},{"$float":"NaN"},18446744073709551616,null,{"{\"$bytes\":\"/w==\"}":1}]}`},
		"arguments": {func(tx runtime.Tx, v *viewed) error {
			_, err := v.List.Create(tx, 0, "first", nil)
			_, plain := v.List.Append(tx, nil)
			_, named := v.Named.Create(tx, "k", 2, nil)
			_, bag := v.Bag.Create(tx, 3, nil)
			return errors.Join(err, plain, named, bag)
		}, `{"bag":[{"$args":3,"$value":0}],"list":[{"$args":"first","$value":0},0],"named":{"k":{"$args":2,"$value":0}}}`},
	} {
		t.Run(name, func(t *testing.T) {
			rt, err := runtime.New(&runtime.Options{Kinds: crdt.Kinds()})
			if err != nil {
				t.Fatal(err)
			}
			var v viewed
			if err := crdt.BindRoots(rt, &v); err != nil {
				t.Fatal(err)
			}
			commitTx(t, rt, func(tx runtime.Tx) error { return c.edit(tx, &v) })
			for range 20 {
				got, err := json.Marshal(rt)
				if err != nil || string(got) != c.want {
					t.Fatalf("%s, %v\nwant %s", got, err, c.want)
				}
			}
		})
	}
}

// TestKeysOfTheJSONView: no two keys of a map become one, however their owner chose them.
func TestKeysOfTheJSONView(t *testing.T) {
	rt, err := runtime.New(&runtime.Options{Kinds: crdt.Kinds()})
	if err != nil {
		t.Fatal(err)
	}
	m, err := crdt.NewMap[any, int](rt, "m")
	if err != nil {
		t.Fatal(err)
	}
	keys := []any{"1", 1, "1 (text string)", "1 (float)", 1.0}
	commitTx(t, rt, func(tx runtime.Tx) error {
		for i, k := range keys {
			if err := m.Set(tx, k, i); err != nil {
				return err
			}
		}
		return nil
	})
	if got := rt.Export()["m"].(map[string]any); len(got) != len(keys) {
		t.Errorf("%d keys of %d: %v", len(got), len(keys), got)
	}
}
