package fuzz

import (
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"pgregory.net/rapid"
)

// caught calls fn and returns the failure that ends it, or what it panics with.
func caught(fn func()) (err error) {
	defer func() {
		switch v := recover().(type) {
		case nil:
		case failure:
			err = fmt.Errorf("%s", v.text)
		default:
			err = fmt.Errorf("panic: %v\n%s", v, debug.Stack())
		}
	}()
	fn()
	return nil
}

// plan says which steps a run makes.
type plan struct {
	replicas int // at first, at least
	weight   func(s *step) int
	last     string // a step at the end, if not empty
}

var (
	short = plan{replicas: 2, weight: func(s *step) int { return s.short }}
	long  = plan{replicas: 3, weight: func(s *step) int { return s.long }}
)

// random makes one history from a seed.
func (s *subject) random(seed uint64, n int, p plan, m mode) (*world, error) {
	w := newWorld(s, m)
	d := &Draw{src: randSource{rand.New(rand.NewPCG(seed, 0x77656674))}}
	err := caught(func() {
		w.begin(d, p)
		deck := p.deck()
		for range n {
			w.do(deck[d.index("step", len(deck))], d)
		}
		w.end(d, p)
	})
	return w, err
}

// deck holds each step as often as its weight says.
func (p plan) deck() (out []*step) {
	for i := range steps {
		for range p.weight(&steps[i]) {
			out = append(out, &steps[i])
		}
	}
	return out
}

func (w *world) begin(d *Draw, p plan) {
	for range p.replicas + d.index("replicas", 2) {
		w.do(stepNamed("join"), d)
	}
}

func (w *world) end(d *Draw, p plan) {
	if p.last != "" {
		w.do(stepNamed(p.last), d)
	}
	d.line = nil
	w.finish(d)
}

// property makes one history as rapid wants it.
func (w *world) property(t *rapid.T, p plan) {
	d := &Draw{src: rapidSource{t}}
	w.watchRapid(t, func() { w.begin(d, p) })
	actions := make(map[string]func(*rapid.T))
	for i, st := range p.deck() {
		actions[fmt.Sprintf("%s %d", st.name, i)] = func(t *rapid.T) {
			w.watchRapid(t, func() {
				d.src = rapidSource{t}
				if !w.do(st, d) {
					t.Skip("nothing to do")
				}
			})
		}
	}
	t.Repeat(actions)
	w.watchRapid(t, func() { w.end(d, p) })
}

// watchRapid turns failures into those of rapid, and lets its own panics pass.
func (w *world) watchRapid(t *rapid.T, fn func()) {
	defer func() {
		v := recover()
		if f, ok := v.(failure); ok {
			t.Fatalf("%s", f.text)
		}
		if v != nil {
			panic(v)
		}
	}()
	fn()
}

// replay makes the steps of a script. A line that makes no sense any more is left out.
func (s *subject) replay(sc *script, m mode, after func(w *world, l *line, done bool)) (*world, error) {
	w := newWorld(s, m)
	err := caught(func() {
		for _, l := range sc.steps {
			st := stepNamed(l.name)
			w.current = l
			w.tracef("")
			done := st != nil && w.do(st, &Draw{})
			if after != nil {
				after(w, l, done)
			}
		}
		w.current = &line{name: "deliver-all"}
		w.tracef("")
		w.finish(&Draw{line: w.current})
	})
	return w, err
}

// thorough is how scripts are replayed.
var thorough = mode{every: 1, full: true}

// shrink returns a shorter script that fails too, and how it fails. It takes as long as most says.
func (s *subject) shrink(sc *script, m mode, most time.Duration) (*script, error) {
	_, err := s.replay(sc, m, nil)
	if err == nil {
		return sc, nil
	}
	x := shrinker{s: s, mode: m, until: time.Now().Add(most), best: sc, err: err, law: strings.HasPrefix(err.Error(), "law: ")}
	for again := true; again; {
		again = x.dropSteps()
		again = x.dropOps() || again
		again = x.simplify() || again
	}
	return x.best, x.err
}

type shrinker struct {
	s     *subject
	mode  mode
	until time.Time
	best  *script
	err   error
	law   bool // a law was broken: what is shorter has to break one too
}

// try replaces best by a script that fails.
func (x *shrinker) try(steps []*line) bool {
	if time.Now().After(x.until) {
		return false
	}
	sc := &script{schema: x.best.schema, steps: steps}
	if _, err := x.s.replay(sc, x.mode, nil); err != nil && (!x.law || strings.HasPrefix(err.Error(), "law: ")) {
		x.best, x.err = sc, err
		return true
	}
	return false
}

// dropSteps leaves out runs of steps, long ones first.
func (x *shrinker) dropSteps() (changed bool) {
	for size := len(x.best.steps) / 2; size > 0; size /= 2 {
		for end := len(x.best.steps); end > 0; end -= size {
			from := max(0, end-size)
			if end <= len(x.best.steps) && x.try(slices.Delete(slices.Clone(x.best.steps), from, end)) {
				changed = true
			}
		}
	}
	return changed
}

// with returns the steps of best with step i replaced.
func (x *shrinker) with(i int, l *line) []*line {
	out := slices.Clone(x.best.steps)
	out[i] = l
	return out
}

func (x *shrinker) dropOps() (changed bool) {
	for i := range x.best.steps {
		for k := len(x.best.steps[i].ops) - 1; k >= 0; k-- {
			l := *x.best.steps[i]
			l.ops = slices.Delete(slices.Clone(l.ops), k, k+1)
			changed = x.try(x.with(i, &l)) || changed
		}
	}
	return changed
}

// simplify leaves out arguments, makes numbers smaller and strings shorter.
func (x *shrinker) simplify() (changed bool) {
	for i := range x.best.steps {
		for k := range x.best.steps[i].ops {
			changed = x.simplifyLine(func(op *line) []*line {
				l := *x.best.steps[i]
				l.ops = slices.Clone(l.ops)
				l.ops[k] = op
				return x.with(i, &l)
			}, func() *line { return x.best.steps[i].ops[k] }) || changed
		}
		changed = x.simplifyLine(func(l *line) []*line { return x.with(i, l) }, func() *line { return x.best.steps[i] }) || changed
	}
	return changed
}

func (x *shrinker) simplifyLine(with func(*line) []*line, now func() *line) (changed bool) {
	for k := len(now().args) - 1; k >= 0; k-- {
		a := now().args[k]
		for _, v := range simpler(a) {
			l := *now()
			l.args = slices.Clone(l.args)
			if v == nil {
				l.args = slices.Delete(l.args, k, k+1)
			} else {
				l.args[k].value = *v
			}
			if x.try(with(&l)) {
				changed = true
				break
			}
		}
	}
	return changed
}

// simpler returns what to try in place of an argument; nil: nothing.
func simpler(a arg) (out []*string) {
	add := func(s string) { out = append(out, &s) }
	if a.label == "message" {
		return []*string{nil}
	}
	if n, err := strconv.ParseInt(a.value, 10, 64); err == nil {
		for _, v := range []int64{0, n / 2, n - 1} {
			if v >= 0 && v < n || v <= 0 && v > n {
				add(strconv.FormatInt(v, 10))
			}
		}
		return out
	}
	if r := []rune(a.value); len(r) > 1 && !isWord(a.value) {
		add(string(r[:len(r)/2]))
		add(string(r[len(r)/2:]))
	}
	return out
}
