package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/seed1312cc15/weft/crdt"
	"github.com/seed1312cc15/weft/runtime"
)

// step is one part of a path: a name or a key, and the kind that it is said to have.
type step struct {
	text string // without escapes
	key  any    // what stands behind "=": a key that is not a text
	kind string // "" is not said
}

// name returns the step as the JSON value of a document names it.
func (s step) name() string {
	if s.key != nil {
		return runtime.KeyString(s.key)
	}
	return s.text
}

// value returns the step as a key of a map.
func (s step) value() any {
	if s.key != nil {
		return s.key
	}
	return s.text
}

var unescape = strings.NewReplacer("~0", "~", "~1", "/", "~2", ":")

// parsePath returns the steps of a path, of which there is at least one.
func parsePath(path string) ([]step, error) {
	if path == "" || !utf8.ValidString(path) {
		return nil, usage("a path is a name, then keys, joined by \"/\", such as budget/fuel")
	}
	var steps []step
	for part := range strings.SplitSeq(path, "/") {
		name, kind, _ := strings.Cut(part, ":")
		s := step{text: unescape.Replace(name), kind: kind}
		if after, ok := strings.CutPrefix(name, "="); ok && len(steps) > 0 {
			key, err := parseJSON(unescape.Replace(after))
			if err != nil || key == nil {
				return nil, usage("%s: behind \"=\" stands a key as JSON, such as =12", clip(path, 60))
			}
			s.key = key
		}
		if len(steps) == 0 && name == "" {
			return nil, usage("%s: a path begins with the name of a root", clip(path, 60))
		}
		steps = append(steps, s)
	}
	return steps, nil
}

// parseJSON returns a JSON value as Go values that are stored: integers are int64.
func parseJSON(s string) (any, error) {
	d := json.NewDecoder(strings.NewReader(s))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("more than one value")
	}
	return numbers(v)
}

// numbers makes numbers of what JSON left as text.
func numbers(v any) (any, error) {
	var err error
	switch v := v.(type) {
	case json.Number:
		if n, err := strconv.ParseInt(v.String(), 10, 64); err == nil {
			return n, nil
		}
		return v.Float64()
	case []any:
		for i := range v {
			if v[i], err = numbers(v[i]); err != nil {
				return nil, err
			}
		}
	case map[string]any:
		for k := range v {
			if v[k], err = numbers(v[k]); err != nil {
				return nil, err
			}
		}
	}
	return v, nil
}

// parseValue returns a JSON value, or the text as it is where it is none.
func parseValue(s string) any {
	if v, err := parseJSON(s); err == nil {
		return v
	}
	return s
}

// splitWords splits a line as a shell does: blanks part words, '...' is taken as it is, in "..." a backslash stands before
// a quote, a backslash, or as in JSON; a # begins a comment.
func splitWords(line string) (words []string, err error) {
	for {
		line = strings.TrimLeft(line, " \t\r")
		if line == "" || line[0] == '#' {
			return words, nil
		}
		var w bytes.Buffer
		for line != "" && !strings.ContainsRune(" \t\r", rune(line[0])) {
			n, err := takeWord(&w, line)
			if err != nil {
				return nil, err
			}
			line = line[n:]
		}
		words = append(words, w.String())
	}
}

// takeWord appends one part of a word, quoted or not, and returns how long it is in the line.
func takeWord(w *bytes.Buffer, line string) (n int, err error) {
	switch line[0] {
	case '\'':
		end := strings.IndexByte(line[1:], '\'')
		if end < 0 {
			return 0, usage("a ' is not closed")
		}
		w.WriteString(line[1 : 1+end])
		return end + 2, nil
	case '"':
		for n = 1; n < len(line) && line[n] != '"'; n++ {
			if line[n] == '\\' {
				n++
			}
		}
		if n >= len(line) {
			return 0, usage("a \" is not closed")
		}
		var s string
		if err := json.Unmarshal([]byte(line[:n+1]), &s); err != nil {
			return 0, usage("%s: %v", clip(line[:n+1], 40), err)
		}
		w.WriteString(s)
		return n + 1, nil
	}
	if n = strings.IndexAny(line, " \t\r'\""); n < 0 {
		n = len(line)
	}
	w.WriteString(line[:n])
	return n, nil
}

// edit makes one edit, as one transaction.
func edit(rt *runtime.Runtime, words []string) error {
	path, err := parsePath(words[1])
	if err != nil {
		return err
	}
	kind, err := rootKind(rt, path, words[0])
	if err != nil {
		return err
	}
	root, err := rt.Root(path[0].text, kind)
	if err != nil {
		return err
	}
	return rt.Transact(func(tx runtime.Tx) error {
		e := &editor{tx: tx, at: root, name: words[1], command: words[0]}
		for i, s := range path[1:] {
			if err := e.enter(s, i == len(path)-2); err != nil {
				return err
			}
		}
		return e.do(words[2:])
	})
}

// rootKind returns the kind of the root that a path begins with: the one that is said, or the one that is there, or the one
// that a command makes.
func rootKind(rt *runtime.Runtime, path []step, command string) (string, error) {
	if path[0].kind != "" {
		return path[0].kind, nil
	}
	name, below := strconv.Quote(path[0].text), false
	for _, o := range rt.Objects() {
		root, err := strconv.QuotedPrefix(o.Path)
		if err != nil || root != name {
			continue
		}
		if o.Path == root {
			return o.Kind, nil
		}
		below = true
	}
	switch {
	case below:
		return nameSpaceKind(rt, path[0].text)
	case len(path) == 1:
		return madeBy[command], nil
	case len(path) == 2 && command == "set":
		return "map", nil
	}
	return "", usage("%s does not exist: say of which kind it is, such as %s:record", clip(path[0].text, 40), clip(path[0].text, 40))
}

// madeBy is the kind of an object that does not exist, by what is done to it.
var madeBy = map[string]string{"set": "register", "insert": "text", "delete": "text", "add": "counter"}

// nameSpaceKind returns the kind of a root that has no state of its own. A copy is asked, since to name a root under a
// wrong kind counts for as long as the runtime lives.
func nameSpaceKind(rt *runtime.Runtime, name string) (string, error) {
	state, err := rt.Save()
	if err != nil {
		return "", err
	}
	scratch, err := newDocument()
	if err != nil {
		return "", err
	}
	if err := scratch.Load(state); err != nil {
		return "", err
	}
	n, err := scratch.Root(name, crdt.Record{}.Kind())
	if err == nil && !n.Holds() {
		return crdt.LazyMap[string, crdt.Counter]{}.Kind(), nil
	}
	return crdt.Record{}.Kind(), err
}

// editor walks to what a path names.
type editor struct {
	tx      runtime.Tx
	at      *runtime.Node
	in      *step // the last step, if it is a key or an index inside of at
	name    string
	command string
}

func (e *editor) errorf(format string, args ...any) error {
	return fmt.Errorf("%s: %s", clip(e.name, 60), fmt.Sprintf(format, args...))
}

// enter goes one step down.
func (e *editor) enter(s step, last bool) error {
	switch e.at.Kind() {
	case "record":
		return e.enterName(s, s.text, last)
	case "lazymap":
		key, err := runtime.EncodeValue(s.value())
		if err != nil {
			return err
		}
		return e.enterName(s, string(key), last)
	case "map", "list":
		if !last {
			return e.errorf("a %s holds values, in which nothing can be edited alone", e.at.Kind())
		}
		e.in = &s
		return nil
	case "objectmap", "objectlist":
		if last && e.command == "delete" {
			e.in = &s
			return nil
		}
		n, err := e.made(s)
		if err != nil {
			return err
		}
		e.at = n
		return nil
	}
	return e.errorf("a %s has no parts", e.at.Kind())
}

// enterName goes to an object that exists without being made.
func (e *editor) enterName(s step, key string, last bool) (err error) {
	kind := s.kind
	if kind == "" {
		e.at.ImplicitChildren("", func(k string, c *runtime.Node) bool {
			if k == key && c.Holds() {
				kind = c.Kind()
			}
			return kind == ""
		})
	}
	if kind == "" {
		if kind = madeBy[e.command]; !last {
			return e.errorf("%s does not exist: say of which kind it is, such as %s:record", clip(s.name(), 40), clip(s.name(), 40))
		}
	}
	e.at, err = e.at.Implicit(key, kind)
	return err
}

// finders look an object up in a container, one for each kind that the object may be of.
var finders = []func(tx runtime.Tx, at *runtime.Node, s step) *runtime.Node{
	lookUp[crdt.Record], lookUp[crdt.Text], lookUp[crdt.Counter], lookUp[crdt.Register[any]], lookUp[crdt.MVRegister[any]], lookUp[crdt.Flag],
	lookUp[crdt.DisableWinsFlag], lookUp[crdt.Set[any]], lookUp[crdt.Map[any, any]], lookUp[crdt.List[any]], lookUp[crdt.LazyMap[any, crdt.Record]],
	lookUp[crdt.ObjectMap[any, crdt.Record]], lookUp[crdt.ObjectList[crdt.Record]], lookUp[crdt.ObjectSet[crdt.Record]],
}

func lookUp[O any](tx runtime.Tx, at *runtime.Node, s step) *runtime.Node {
	if m := crdt.BindTo[crdt.ObjectMap[any, O]](at); m != nil {
		if o, ok := m.Get(tx, s.value()); ok {
			return crdt.NodeOf(o)
		}
	}
	if l := crdt.BindTo[crdt.ObjectList[O]](at); l != nil {
		i, err := strconv.Atoi(s.text)
		if err != nil {
			return nil
		}
		if o, err := l.Get(tx, i); err == nil {
			return crdt.NodeOf(o)
		}
	}
	return nil
}

// made returns an object that was made in a container.
func (e *editor) made(s step) (*runtime.Node, error) {
	for _, f := range finders {
		if n := f(e.tx, e.at, s); n != nil {
			return n, nil
		}
	}
	return nil, e.errorf("the %s has no %s; objects are made by programs that know what they are", e.at.Kind(), clip(s.name(), 40))
}
