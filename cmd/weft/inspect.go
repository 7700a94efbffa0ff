package main

import (
	"bytes"
	"cmp"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/seed1312cc15/weft/runtime"
	"github.com/seed1312cc15/weft/vclock"
)

// shownRows is how many replicas and objects inspect shows without -all.
const shownRows = 30

var inspectCommand = &command{
	name:  "inspect",
	args:  "FILE",
	short: "show what a file holds: clock, objects, sizes, what is pending",
	long: `
inspect shows the envelope of a saved state, a delta, a message or a bundle, and the document that it gives: its clock
(replica, number of dots: operations, and inserted elements one each), its objects (path, kind, bytes of its own state),
and what is pending: messages that wait for others ("waiting" in JSON), and what they lack. A delta gives no document without the state that it follows; its envelope is shown.`,
	setup: func(fs *flag.FlagSet) func(*console, []string) error {
		all := fs.Bool("all", false, fmt.Sprintf("show all replicas and objects, not the first %d of each", shownRows))
		return func(c *console, args []string) error { return inspect(c, *all, args) }
	},
}

// inspection is what inspect shows. Spans are exclusive at the end.
type inspection struct {
	File           string            `json:"file"`
	Kind           string            `json:"kind"`
	Bytes          int               `json:"bytes"`
	Document       string            `json:"document,omitempty"`
	Messages       int               `json:"messages,omitempty"`
	Operations     int               `json:"operations,omitempty"`
	Sender         string            `json:"sender,omitempty"`
	Start          *uint64           `json:"start,omitempty"`
	End            *uint64           `json:"end,omitempty"`
	WallTime       string            `json:"wall_time,omitempty"`
	Extensions     map[string]any    `json:"extensions,omitempty"`
	Lamport        uint64            `json:"lamport"`
	Clock          map[string]uint64 `json:"clock"`
	Base           map[string]uint64 `json:"base,omitempty"`
	CanonicalBytes int               `json:"canonical_bytes,omitempty"`
	Digest         string            `json:"digest,omitempty"`
	Objects        []object          `json:"objects"`
	Waiting        int               `json:"waiting"`
	Missing        []span            `json:"missing,omitempty"`
	Note           string            `json:"note,omitempty"`
}

type object struct {
	Path   string `json:"path"`
	Kind   string `json:"kind"`
	Bytes  int    `json:"bytes"`
	Opaque bool   `json:"opaque,omitempty"`
}

type span struct {
	Replica string `json:"replica"`
	Start   uint64 `json:"start"`
	End     uint64 `json:"end"`
}

func inspect(c *console, all bool, paths []string) error {
	if len(paths) != 1 {
		return usage("one file is inspected, these are %d", len(paths))
	}
	c.progress.set("reading %s", paths[0])
	data, err := readUpdate(paths[0])
	if err != nil {
		return err
	}
	in := inspection{File: paths[0], Objects: []object{}}
	if err := in.envelope(data); err != nil {
		return named(paths[0], err)
	}
	if err := in.document(data); err != nil {
		return named(paths[0], err)
	}
	c.progress.stop()
	if c.json {
		return writeJSON(c.out, in)
	}
	return in.print(c, all)
}

func (in *inspection) envelope(data []byte) error {
	info, err := runtime.Inspect(data)
	if err != nil {
		return err
	}
	in.Kind, in.Bytes, in.Messages, in.Operations = info.Kind.String(), info.Bytes, info.Messages, info.Ops
	in.Lamport, in.Clock = info.Lamport, clockMap(info.Clock)
	if info.Document != uuid.Nil {
		in.Document = info.Document.String()
	}
	if info.Kind == runtime.DeltaUpdate {
		in.Base = clockMap(info.Base)
	}
	if info.Kind == runtime.MessageUpdate {
		in.Sender, in.Start, in.End, in.Extensions = info.Sender.String(), &info.Start, &info.End, info.Extensions
		if info.WallTime > 0 {
			in.WallTime = time.UnixMilli(int64(info.WallTime)).UTC().Format(time.RFC3339Nano)
		}
	}
	return nil
}

// document applies the update to an empty document and describes the result.
func (in *inspection) document(data []byte) error {
	rt, err := newDocument()
	if err != nil {
		return err
	}
	_, err = rt.Receive(data)
	if errors.Is(err, runtime.ErrMissingDeps) {
		in.Note = "a delta: merge it with the state that it follows to see its objects"
		return nil
	}
	if err != nil {
		return err
	}
	for _, o := range rt.Objects() {
		in.Objects = append(in.Objects, object(o))
	}
	in.Waiting = rt.Waiting()
	in.Missing = missing(rt)
	digest := rt.Digest()
	in.Digest, in.CanonicalBytes = hex.EncodeToString(digest[:]), len(rt.Canonical())
	return nil
}

// missing lists the dots that waiting messages lack.
func missing(rt *runtime.Runtime) (out []span) {
	for _, s := range rt.Missing() {
		out = append(out, span{s.Replica.String(), s.Start, s.End})
	}
	return out
}

func clockMap(c vclock.Clock) map[string]uint64 {
	m := make(map[string]uint64, len(c))
	for id, n := range c {
		m[id.String()] = n
	}
	return m
}

func (in *inspection) print(c *console, all bool) error {
	var b bytes.Buffer
	fact := func(name string, value any) { fmt.Fprintf(&b, "%-12s%v\n", name, value) }
	fact("file", clip(in.File, 200))
	fact("kind", in.Kind)
	fact("bytes", count(in.Bytes))
	if in.CanonicalBytes > 0 {
		fact("canonical", count(in.CanonicalBytes)+" bytes")
	}
	if in.Document != "" {
		fact("document", in.Document)
	}
	if in.Messages > 0 {
		fact("messages", count(in.Messages))
		fact("operations", count(in.Operations))
	}
	if in.Sender != "" {
		fact("sender", fmt.Sprintf("%s, dots %d to %d", in.Sender, *in.Start, *in.End-1))
	}
	if in.WallTime != "" {
		fact("wall time", in.WallTime)
	}
	for _, name := range slices.Sorted(maps.Keys(in.Extensions)) {
		fact("extension", clip(name, 60)+" = "+show(in.Extensions[name]))
	}
	fact("lamport", count(in.Lamport))
	if in.Digest != "" {
		fact("digest", in.Digest)
	}
	in.printClock(&b, all)
	in.printObjects(&b, all)
	in.printPending(&b, all)
	_, err := c.out.Write(b.Bytes())
	return err
}

func (in *inspection) printClock(b *bytes.Buffer, all bool) {
	fmt.Fprintf(b, "\nclock: %s\n", plural(len(in.Clock), "replica"))
	if len(in.Clock) == 0 {
		return
	}
	t := newTable("  replica", "dots")
	if in.Base != nil {
		t.head = append(t.head, "base")
	}
	ids := make([]string, 0, len(in.Clock))
	for id := range in.Clock {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, strings.Compare)
	for _, id := range shown(ids, all) {
		cells := []string{"  " + id, count(in.Clock[id])}
		if in.Base != nil {
			cells = append(cells, count(in.Base[id]))
		}
		t.row(cells...)
	}
	t.write(b)
	more(b, len(ids), all)
}

func (in *inspection) printObjects(b *bytes.Buffer, all bool) {
	if in.Note != "" {
		fmt.Fprintf(b, "\n%s\n", in.Note)
		return
	}
	fmt.Fprintf(b, "\nobjects: %d\n", len(in.Objects))
	if len(in.Objects) == 0 {
		return
	}
	t := newTable("  path", "kind", "bytes")
	t.left[1] = true
	for _, o := range shown(in.Objects, all) {
		kind := o.Kind
		if o.Opaque {
			kind += " (not known here)"
		}
		t.row("  "+clip(o.Path, 80), clip(kind, 60), count(o.Bytes))
	}
	t.write(b)
	more(b, len(in.Objects), all)
}

func (in *inspection) printPending(b *bytes.Buffer, all bool) {
	fmt.Fprintf(b, "\npending: %s\n", plural(in.Waiting, "message"))
	if len(in.Missing) == 0 {
		return
	}
	t := newTable("  lacks of replica", "from", "to")
	for _, s := range shown(in.Missing, all) {
		t.row("  "+s.Replica, count(s.Start), count(cmp.Or(s.End, 1)-1))
	}
	t.write(b)
	more(b, len(in.Missing), all)
}

func shown[T any](s []T, all bool) []T {
	if all || len(s) <= shownRows {
		return s
	}
	return s[:shownRows]
}

func more(b *bytes.Buffer, n int, all bool) {
	if !all && n > shownRows {
		fmt.Fprintf(b, "  and %s more; -all shows them\n", count(n-shownRows))
	}
}
