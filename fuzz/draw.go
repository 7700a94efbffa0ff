package fuzz

import (
	"encoding/json"
	"math/rand/v2"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"pgregory.net/rapid"
)

// Draw is where an Edit takes what it chooses: from rapid, from a generator of pseudo-random numbers, or from a script.
// Whatever is drawn is noted under its label, a word, and stands in the script of a run that fails: "insert at=3
// text=hello".
//
// When a script is replayed each method returns what the script has under the label. Since scripts are edited and
// shortened, what does not fit is made to fit: a number outside of the range becomes the nearest inside; what is missing
// becomes the simplest. So an Edit can rely on the ranges that it asks for.
//
// A Draw is valid until the Edit returns, and belongs to one goroutine.
type Draw struct {
	src  source // nil: a replay
	line *line  // what is written or read; nil: nothing is noted
	used []bool // replay: args of line that were read
	kit  *kit   // of a Subject made by Of
}

// source gives numbers from 0 to most.
type source interface {
	number(label string, most uint64) uint64
}

type rapidSource struct{ t *rapid.T }

func (s rapidSource) number(label string, most uint64) uint64 {
	return rapid.Uint64Range(0, most).Draw(s.t, label)
}

type randSource struct{ r *rand.Rand }

func (s randSource) number(_ string, most uint64) uint64 {
	if most+1 == 0 {
		return s.r.Uint64()
	}
	return s.r.Uint64N(most + 1)
}

// FromRapid returns a Draw that takes its choices from t, for an Edit in a test of one's own.
func FromRapid(t *rapid.T) *Draw { return &Draw{src: rapidSource{t}} }

// FromRand returns a Draw that takes its choices from r, for an Edit in a program of one's own.
func FromRand(r *rand.Rand) *Draw { return &Draw{src: randSource{r}} }

// skipped is the panic that ends a step of a script that makes no sense (any more).
type skipped struct{}

func skip() { panic(skipped{}) }

func (d *Draw) replay() bool { return d.src == nil }

// token returns the next value of the script under label.
func (d *Draw) token(label string) (string, bool) {
	if len(d.used) < len(d.line.args) {
		d.used = make([]bool, len(d.line.args))
	}
	for i, a := range d.line.args {
		if a.label == label && !d.used[i] {
			d.used[i] = true
			return a.value, true
		}
	}
	return "", false
}

// note writes down what was drawn.
func (d *Draw) note(label, value string) {
	if d.src != nil && d.line != nil {
		d.line.args = append(d.line.args, arg{label, value})
	}
}

func (d *Draw) noting() bool { return d.line != nil && d.src != nil }

// index draws without a note.
func (d *Draw) index(label string, n int) int { return int(d.src.number(label, uint64(n-1))) }

// Int64 returns a number from lo to hi.
func (d *Draw) Int64(label string, lo, hi int64) int64 {
	if hi < lo {
		panic("fuzz: an empty range for " + label)
	}
	if !d.replay() {
		v := lo + int64(d.src.number(label, uint64(hi)-uint64(lo)))
		if d.noting() {
			d.note(label, strconv.FormatInt(v, 10))
		}
		return v
	}
	t, ok := d.token(label)
	v, err := strconv.ParseInt(t, 10, 64)
	if !ok || err != nil {
		v = 0
	}
	return min(max(v, lo), hi)
}

// Int returns a number from lo to hi.
func (d *Draw) Int(label string, lo, hi int) int { return int(d.Int64(label, int64(lo), int64(hi))) }

// Bool returns false or true.
func (d *Draw) Bool(label string) bool { return Pick(d, label, []string{"false", "true"}) == "true" }

// Pick returns one of several words or strings, which there must be. A script that names another ends the step.
func Pick[S ~string](d *Draw, label string, from []S) S {
	if !d.replay() {
		v := from[d.index(label, len(from))]
		d.note(label, string(v))
		return v
	}
	t, ok := d.token(label)
	if !ok {
		return from[0]
	}
	if !slices.Contains(from, S(t)) {
		skip()
	}
	return S(t)
}

// runes are what texts consist of: most of one byte in UTF-8, some of two to four, one that combines.
var runes = []rune("abcdefgh xyz\nABé世🚀́")

// Text returns valid UTF-8 of least to most code points; that of a script may be longer.
func (d *Draw) Text(label string, least, most int) string {
	if !d.replay() {
		var b strings.Builder
		for n := least + d.index(label, most-least+1); n > 0; n-- {
			b.WriteRune(runes[d.index(label, len(runes))])
		}
		s := b.String()
		d.note(label, s)
		return s
	}
	t, _ := d.token(label)
	s := []rune(strings.ToValidUTF8(t, "?"))
	for len(s) < least {
		s = append(s, 'a')
	}
	return string(s)
}

// words are drawn for strings that are not texts: keys, elements, values. Some are long, so that they are not kept
// inline by anything; few enough that writers meet.
var words = []string{"", "a", "b", "c", "key", "word", "🚀", "a string that is longer than twenty-four bytes", "key 1", "key 2", "key 3", "key 4"}

// Any returns a small value of a type: what a Register[T], Map[K, V] and the like may hold. In a script it is a word for
// strings, else JSON.
func (d *Draw) Any(label string, t reflect.Type) any {
	if t.Kind() == reflect.String {
		v := reflect.New(t).Elem()
		if d.replay() {
			s, _ := d.token(label)
			v.SetString(strings.ToValidUTF8(s, "?"))
		} else {
			v.SetString(words[d.index(label, len(words))])
			d.note(label, v.String())
		}
		return v.Interface()
	}
	v := reflect.New(t)
	if d.replay() {
		s, _ := d.token(label)
		if json.Unmarshal([]byte(s), v.Interface()) != nil {
			v.Elem().SetZero()
		}
		return v.Elem().Interface()
	}
	d.fill(label, v.Elem(), 0)
	switch k := t.Kind(); {
	case k <= reflect.Float64 && !d.noting():
	default:
		// What is replayed is what JSON keeps of the value: it is taken here too, so that both are the same.
		text, err := json.Marshal(v.Interface())
		if err != nil {
			break
		}
		v = reflect.New(t)
		if json.Unmarshal(text, v.Interface()) != nil {
			v.Elem().SetZero()
		}
		d.note(label, string(text))
	}
	return v.Elem().Interface()
}

// fill sets v, to the depth that values of tests need.
func (d *Draw) fill(label string, v reflect.Value, depth int) {
	if v.Type() == reflect.TypeFor[time.Time]() {
		v.Set(reflect.ValueOf(time.Unix(int64(d.index(label, 1000)), 0).UTC()))
		return
	}
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(d.index(label, 2) == 1)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(int64(d.index(label, 21)) - 10)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(uint64(d.index(label, 21)))
	case reflect.Float32, reflect.Float64:
		v.SetFloat(float64(d.index(label, 41))/4 - 5)
	case reflect.String:
		v.SetString(words[d.index(label, len(words))])
	case reflect.Pointer:
		if d.index(label, 2) == 1 && depth < 3 {
			v.Set(reflect.New(v.Type().Elem()))
			d.fill(label, v.Elem(), depth+1)
		}
	case reflect.Slice:
		if n := d.index(label, 3); n > 0 && depth < 3 {
			v.Set(reflect.MakeSlice(v.Type(), n, n))
			for i := range n {
				d.fill(label, v.Index(i), depth+1)
			}
		}
	case reflect.Array:
		for i := range v.Len() {
			d.fill(label, v.Index(i), depth+1)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() && depth < 3 {
				d.fill(label, v.Field(i), depth+1)
			}
		}
	case reflect.Interface:
		if v.NumMethod() == 0 {
			v.Set(reflect.ValueOf(words[d.index(label, len(words))]))
		}
	}
}

// Value is Any for a type that is known: fuzz.Value[int](d, "n").
func Value[T any](d *Draw, label string) T {
	v, _ := d.Any(label, reflect.TypeFor[T]()).(T)
	return v
}
