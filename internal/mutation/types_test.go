package mutation

// types are faults of the replicated types.
var types = []mutant{
	{
		name: "front-inserts-walk", file: "internal/sequence/local.go",
		find: "if s.count > 0 {\n\t\to := s.insertBefore(", put: "for h, slot := s.tree.first, 0; h != 0; h, slot = s.tree.after(h, slot) {\n\t\ts.steps++\n\t}\n\tif s.count > 0 {\n\t\to := s.insertBefore(",
		breaks:   "an insert at the front passes all that stands behind it",
		scenario: "R15", pkg: "internal/sequence", test: "TestFrontInserts",
	},
	{
		name: "delete-forgets-one-side", file: "crdt/text_op.go",
		find: "writeSpans(w, opDelete, runs)", put: "writeSpans(w, opDelete, runs[:1])",
		breaks: "a delete of text by several writers names the first run alone",
		pkg:    "crdt", test: "TestTextConverges",
	},
	{
		name: "write-names-nothing", file: "crdt/cell_state.go",
		find: "writeOver(w, opWrite, opWriteOver, c.dots(few[:0]))", put: "writeOver(w, opWrite, opWriteOver, few[:0])",
		breaks:   "a write does not say what it replaces",
		scenario: "R20", pkg: "crdt", test: "TestR20ReplacedThroughAState",
	},
	{
		name: "values-decoded-and-encoded", file: "crdt/cell_state.go",
		find:     "c.insert(writeEntry{op.Stamp(), val})",
		put:      "var v struct {\n\t\t\tName string `cbor:\"name\"`\n\t\t}\n\t\tif runtime.DecodeValue(val, &v) == nil {\n\t\t\tval, _ = runtime.EncodeValue(v)\n\t\t}\n\t\tc.insert(writeEntry{op.Stamp(), val})",
		breaks:   "a value is stored as this version decodes it, without the fields it does not know",
		scenario: "R26", pkg: "crdt", test: "TestR26UnknownFieldsSurvive",
	},
	{
		name: "lamport-ignored", file: "runtime/runtime.go",
		find: "case a.Lamport < b.Lamport:\n\t\treturn -1\n\tcase a.Lamport > b.Lamport:\n\t\treturn 1\n\t}", put: "}",
		breaks: "the winner is the greater replica, whatever the timestamps",
		pkg:    "crdt", test: "TestRegisterConverges",
	},
	{
		name: "map-merge-ignores-deletes", file: "crdt/keyed_save.go",
		find: "!ok && r.Deleted(e.Dot) {", put: "!ok && r.Deleted(e.Dot) && false {",
		breaks:   "a key that was deleted comes back with a state",
		scenario: "R2", pkg: "crdt", test: "TestR2ErasedValuesStayAway",
	},
	{
		name: "tails-cannot-be-deleted", file: "internal/sequence/visible.go",
		find: "case k > 0 && k+m == sp.n && s.giveTail(p, m, w):", put: "case k > 0 && k+m == sp.n:",
		breaks: "the end of a run cannot be deleted",
		pkg:    "internal/sequence", test: "TestGeneratedHistories",
	},
	{
		name: "counter-overflow-unchecked", file: "crdt/counter.go",
		find: "if _, err := s.value().add(n).value(); err != nil {", put: "if _, err := s.value().add(n).value(); err != nil && false {",
		breaks:   "an addition beyond int64 is accepted",
		scenario: "R13", pkg: "crdt", test: "TestR13CounterAtTheEdge",
	},
	{
		name: "counter-wraps-around", file: "crdt/counter_state.go",
		find: "if w.hi != int64(w.lo)>>63 {", put: "if false {",
		breaks:   "a sum that is out of range reads as a wrong number",
		scenario: "R13", pkg: "crdt", test: "TestR13CounterAtTheEdge",
	},
	{
		name: "reset-takes-concurrent-additions", file: "crdt/counter_state.go",
		find: "counterReset{s.dot.Seq + 1, s.total, op.Dot}", put: "counterReset{r.end, r.total, op.Dot}",
		breaks:   "a reset takes away what the receiver has seen, not what the sender saw",
		scenario: "R29", pkg: "crdt", test: "TestR29CounterReset",
	},
	{
		name: "rollback-forgets-counter-rows", file: "crdt/counter_state.go",
		find: "*c = m.one", put: "_ = m.one",
		breaks: "a rollback leaves a replica's total as the transaction left it",
		pkg:    "crdt", test: "TestCounterConverges",
	},
	{
		name: "rollback-forgets-removed-entries", file: "crdt/keyed_state.go",
		find: "k.table.insert(u.key, u.e)", put: "_ = u.e",
		breaks: "a rollback does not bring back the entries that were replaced",
		pkg:    "crdt", test: "TestMapConverges",
	},
	{
		name: "clear-removes-all", file: "crdt/keyed_state.go",
		find: "found := k.table.named(runs)", put: "runs = runs[:0]\n\tk.table.each(func(_ uint32, e writeEntry) { runs = append(runs, dotRun{e.Dot.Rep, e.Dot.Seq, e.Dot.Seq}) })\n\tfound := k.table.named(runs)",
		breaks: "a clear removes what was written concurrently too",
		pkg:    "crdt", test: "TestMapConverges",
	},
	{
		name: "archived-loses-its-place", file: "crdt/objectlist.go",
		find:     "return st.seq.IndexOf(st.place(e)), !st.shelved[e].hides(), nil",
		put:      "if st.shelved[e].hides() {\n\t\treturn 0, false, nil\n\t}\n\treturn st.seq.IndexOf(st.place(e)), true, nil",
		breaks:   "an archived element tells no place",
		scenario: "R11", pkg: "crdt", test: "TestR11ArchivedPosition",
	},
	{
		name: "archive-beats-restore", file: "crdt/objectlist_shelf.go",
		find: "return s != nil && s.once && len(s.tokens.list) == 0", put: "return s != nil && s.once",
		breaks:   "a restore does not undo an archive",
		scenario: "R11", pkg: "crdt", test: "TestR11ArchivedPosition",
	},
	{
		name: "move-of-a-dead-element-makes-no-place", file: "crdt/list_places.go",
		find:     "begin(listened)\n\tfirst, err := p.integrate(op, o)",
		put:      "for _, e := range p.elems {\n\t\tif !p.alive(e) {\n\t\t\treturn nil\n\t\t}\n\t}\n\tbegin(listened)\n\tfirst, err := p.integrate(op, o)",
		breaks:   "a move makes no places if one of its elements is deleted",
		scenario: "R28", pkg: "crdt", test: "TestR28MoveWhileDeleted",
	},
	{
		name: "later-move-wins", file: "crdt/list_places.go",
		find: "if !alive || p.loses(place, lamport, e) {", put: "if !alive {",
		breaks: "of concurrent moves the one that comes last wins",
		pkg:    "crdt", test: "TestListConverges",
	},
	{
		name: "hidden-children-forgotten", file: "crdt/objectmap_state.go",
		find: "if st.above(c, top) {", put: "if st.children[key] = c; true {\n\t\treturn\n\t}\n\tif st.above(c, top) {",
		breaks: "of concurrent sets of a key the last to come wins, and the others are not kept",
		pkg:    "crdt", test: "TestConcurrentSets",
	},
	{
		name: "delete-spares-the-child", file: "runtime/node.go",
		find: "stack = c.below(stack)", put: "_ = c",
		breaks: "what is below a deleted object stays alive",
		pkg:    "crdt", test: "TestDeleteBeatsAll",
	},
}
