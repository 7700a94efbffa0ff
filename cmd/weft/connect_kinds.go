package main

import (
	"strconv"

	"github.com/seed1312cc15/weft/crdt"
)

// do makes the edit at the place that was reached.
func (e *editor) do(args []string) error {
	switch e.command {
	case "set":
		return e.set(parseValue(args[0]), args[0])
	case "insert":
		return e.insert(args[0], args[1])
	case "add":
		return e.add(args[0])
	}
	return e.delete(args)
}

func (e *editor) cannot() error { return e.errorf("there is no %q for a %s", e.command, e.at.Kind()) }

func (e *editor) set(value any, text string) error {
	if r := crdt.BindTo[crdt.Register[any]](e.at); r != nil {
		return r.Set(e.tx, value)
	}
	if r := crdt.BindTo[crdt.MVRegister[any]](e.at); r != nil {
		return r.Set(e.tx, value)
	}
	if m := crdt.BindTo[crdt.Map[any, any]](e.at); m != nil && e.in != nil {
		return m.Set(e.tx, e.in.value(), value)
	}
	if l := crdt.BindTo[crdt.List[any]](e.at); l != nil && e.in != nil {
		i, err := e.index(e.in.text, l.Len(e.tx))
		if err != nil {
			return err
		}
		return l.Set(e.tx, i, value)
	}
	if t := crdt.BindTo[crdt.Text](e.at); t != nil {
		return t.Replace(e.tx, text)
	}
	on, is := value.(bool)
	if f := crdt.BindTo[crdt.Flag](e.at); f != nil && is {
		return enable(f.Enable, f.Disable, on)(e.tx)
	}
	if f := crdt.BindTo[crdt.DisableWinsFlag](e.at); f != nil && is {
		return enable(f.Enable, f.Disable, on)(e.tx)
	}
	return e.cannot()
}

func enable[F any](yes, no F, on bool) F {
	if on {
		return yes
	}
	return no
}

func (e *editor) insert(at, text string) error {
	if e.in != nil {
		return e.cannot()
	}
	if t := crdt.BindTo[crdt.Text](e.at); t != nil {
		i, err := e.index(at, t.Len(e.tx))
		if err != nil {
			return err
		}
		return t.Insert(e.tx, i, text)
	}
	if l := crdt.BindTo[crdt.List[any]](e.at); l != nil {
		i, err := e.index(at, l.Len(e.tx))
		if err != nil {
			return err
		}
		return l.Insert(e.tx, i, parseValue(text))
	}
	return e.cannot()
}

func (e *editor) add(arg string) error {
	if c := crdt.BindTo[crdt.Counter](e.at); c != nil {
		n, err := strconv.ParseInt(arg, 10, 64)
		if err != nil {
			return e.errorf("%s is no whole number", clip(arg, 40))
		}
		return c.Add(e.tx, n)
	}
	if s := crdt.BindTo[crdt.Set[any]](e.at); s != nil {
		return s.Add(e.tx, parseValue(arg))
	}
	return e.cannot()
}

func (e *editor) delete(args []string) error {
	switch {
	case e.in != nil && len(args) == 0:
		return e.deleteKey()
	case e.in == nil && len(args) == 2:
		return e.deleteRange(args[0], args[1])
	case e.in != nil:
		return e.cannot()
	}
	if s := crdt.BindTo[crdt.Set[any]](e.at); s != nil && len(args) == 1 {
		return s.Remove(e.tx, parseValue(args[0]))
	}
	if r := crdt.BindTo[crdt.Register[any]](e.at); r != nil && len(args) == 0 {
		return r.Clear(e.tx)
	}
	if r := crdt.BindTo[crdt.MVRegister[any]](e.at); r != nil && len(args) == 0 {
		return r.Clear(e.tx)
	}
	return e.cannot()
}

// deleteKey deletes a key of a map or an element of a list.
func (e *editor) deleteKey() error {
	if m := crdt.BindTo[crdt.Map[any, any]](e.at); m != nil {
		return m.Delete(e.tx, e.in.value())
	}
	if m := crdt.BindTo[crdt.ObjectMap[any, crdt.Record]](e.at); m != nil {
		return m.Delete(e.tx, e.in.value())
	}
	return e.deleteRange(e.in.text, "1")
}

func (e *editor) deleteRange(at, count string) error {
	n, err := strconv.Atoi(count)
	if err != nil || n < 0 {
		return e.errorf("%s is no count", clip(count, 40))
	}
	i, err := e.index(at, -1)
	if err != nil {
		return err
	}
	if t := crdt.BindTo[crdt.Text](e.at); t != nil {
		return t.Delete(e.tx, i, n)
	}
	if l := crdt.BindTo[crdt.List[any]](e.at); l != nil {
		return l.Delete(e.tx, i, n)
	}
	if l := crdt.BindTo[crdt.ObjectList[crdt.Record]](e.at); l != nil {
		return l.Delete(e.tx, i, n)
	}
	return e.cannot()
}

// index returns a number, or the end where there may be one.
func (e *editor) index(s string, end int) (int, error) {
	if s == "end" && end >= 0 {
		return end, nil
	}
	i, err := strconv.Atoi(s)
	if err != nil {
		return 0, e.errorf("%s is no index", clip(s, 40))
	}
	return i, nil
}
