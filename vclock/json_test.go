package vclock_test

import (
	"encoding/json"
	"errors"
	"testing"

	"pgregory.net/rapid"

	"github.com/seed1312cc15/weft/vclock"
)

func TestJSON(t *testing.T) {
	value := struct{ Clock vclock.Clock }{vclock.Clock{b: 1 << 53, a: 1}}
	data, err := json.Marshal(value)
	want := `{"Clock":{"` + a.String() + `":1,"` + b.String() + `":9007199254740992}}`
	if err != nil || string(data) != want {
		t.Errorf("got %s, %v; want %s", data, err, want)
	}
	if data, err := json.Marshal(vclock.Clock(nil)); err != nil || string(data) != "{}" {
		t.Errorf("the nil clock is %s, %v; want {}", data, err)
	}
}

func TestJSONRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		clock := clocks().Draw(t, "clock")
		data, err := json.Marshal(clock)
		if err != nil {
			t.Fatal(err)
		}
		got := vclock.Clock{c: 9}
		if err := json.Unmarshal(data, &got); err != nil || !got.Equal(clock) {
			t.Fatalf("%s: %v, %v; want %v", data, got, err, clock)
		}
	})
}

func TestUnmarshalJSONRefuses(t *testing.T) {
	key := `"` + vclock.Replica{0: 0xab}.String() + `":`
	upper := `"AB000000-0000-0000-0000-000000000000":`
	for _, text := range []string{
		``, `null`, `[]`, `1`, `"x"`, `{`, `{}{}`, `{} x`, `{"x":1}`, `{` + upper + `1}`,
		`{` + key + `1`, `{` + key + `1,}`, `{` + key + `0}`, `{` + key + `-1}`, `{` + key + `1.0}`,
		`{` + key + `1e3}`, `{` + key + `"1"}`, `{` + key + `null}`, `{` + key + `{}}`, `{` + key + `01}`,
		`{` + key + `9007199254740993}`, `{` + key + `99999999999999999999}`, `{` + key + `1,` + key + `1}`,
	} {
		clock := vclock.Clock{c: 9}
		err := clock.UnmarshalJSON([]byte(text))
		var decode *vclock.DecodeError
		if !errors.As(err, &decode) || !errors.Is(err, vclock.ErrCorrupt) {
			t.Errorf("%s: error %v, want a *DecodeError of ErrCorrupt", text, err)
		}
		if !clock.Equal(vclock.Clock{c: 9}) {
			t.Errorf("%s changed the clock to %v", text, clock)
		}
	}
}

func TestUnmarshalJSONTakesAnyOrder(t *testing.T) {
	var got vclock.Clock
	text := ` { "` + b.String() + `" : 2 , "` + a.String() + `" : 1 } `
	if err := json.Unmarshal([]byte(text), &got); err != nil || !got.Equal(vclock.Clock{a: 1, b: 2}) {
		t.Errorf("%v, %v", got, err)
	}
}
