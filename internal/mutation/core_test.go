package mutation

// A mutant is a fault, as a patch of one snippet of a function, and the test that is to catch it.
type mutant struct {
	name   string
	file   string // from the top of the module
	find   string // stands there once
	put    string
	breaks string
	// scenario is one of R1 to R32, that of docs/testing.md, empty for faults of other kinds.
	scenario string
	pkg      string // whose test catches it
	test     string
	needs    string // a program without which the test is skipped
}

// sample are the packages whose mutants every run catches: they are quick to build.
var sample = []string{"vclock", "internal/sequence"}

// core are faults of clocks, of the sequence and of the runtime.
var core = []mutant{
	{
		name: "diff-off-by-one", file: "vclock/clock.go",
		find: "start := other[r]; start < end", put: "start := other[r]; start+1 < end",
		breaks: "the difference of two clocks leaves out a span of one dot",
		pkg:    "vclock", test: "TestDiffThenAddIsMerge",
	},
	{
		name: "meet-with-zero-entries", file: "vclock/clock.go",
		find: "end = min(end, other[r]); end > 0", put: "end = min(end, other[r]); end >= 0",
		breaks: "the meet of two clocks has entries that are zero",
		pkg:    "vclock", test: "TestMergeAndMinAreALattice",
	},
	{
		name: "equal-is-less", file: "vclock/clock.go",
		find: "less = less || end < theirs", put: "less = less || end <= theirs",
		breaks: "equal entries make a clock compare as less",
		pkg:    "vclock", test: "TestCompareAgreesWithCovers",
	},
	{
		name: "siblings-descend", file: "internal/sequence/integrate.go",
		find: "if s.compareIDs(id, s.IDOf(e.first)) < 0 {", put: "if s.compareIDs(id, s.IDOf(e.first)) > 0 {",
		breaks: "concurrent right siblings stand in descending order",
		pkg:    "internal/sequence", test: "TestGeneratedHistories",
	},
	{
		name: "left-siblings-descend", file: "internal/sequence/integrate.go",
		find: "if s.compareIDs(s.IDOf(w.elem), id) < 0 {", put: "if s.compareIDs(s.IDOf(w.elem), id) > 0 {",
		breaks: "concurrent left siblings stand in descending order",
		pkg:    "internal/sequence", test: "TestGeneratedHistories",
	},
	{
		name: "crowd-out-of-order", file: "internal/sequence/siblings.go",
		find: "for prev := parent; h != 0; h, slot = s.tree.after(h, slot) {", put: "for prev := parent; h != 0 && prev == parent; h, slot = s.tree.after(h, slot) {",
		breaks: "the index of many siblings lacks some of them",
		pkg:    "internal/sequence", test: "TestCrowds",
	},
	{
		name: "left-child-joins-run", file: "internal/sequence/span.go",
		find: "return next.first == sp.first+sp.n && next.parent == sp.last() && next.flags&flagLeft == 0", put: "return next.first == sp.first+sp.n",
		breaks:   "neighbours with consecutive dots become one run, whoever their parents are",
		scenario: "R18", pkg: "internal/sequence", test: "TestR18",
	},
	{
		name: "merge-ignores-deletions", file: "internal/sequence/merge.go",
		find: "if m.st.at(i).hidden() && !m.ev.KeepVisibility {", put: "if false {",
		breaks:   "a merge leaves visible what the other side has deleted",
		scenario: "R17", pkg: "internal/sequence", test: "TestR17",
	},
	{
		name: "rollback-forgets-deletes", file: "internal/sequence/journal.go",
		find: "s.show(p, k, m, c.off+s.shown(c, done))", put: "_, _, _ = p, k, m+done",
		breaks: "a rollback does not bring back what was deleted",
		pkg:    "internal/sequence", test: "TestConvergence",
	},
	{
		name: "surrogates-count-once", file: "internal/sequence/content.go",
		find: "default:\n\t\t\tw.vis++\n\t\t\tw.u16++", put: "default:\n\t\t\tw.vis++",
		breaks:   "a code point beyond 16 bits counts as one UTF-16 unit",
		scenario: "R6", pkg: "crdt", test: "TestR6CodePointsBeyond16Bits",
	},

	{
		name: "no-causal-check", file: "runtime/receive.go",
		find: "for i := range m.table {\n\t\tif e := &m.table[i]; r.nextOf(e.id) < e.end {", put: "for i := range m.table {\n\t\tif e := &m.table[i]; r.nextOf(e.id) < e.end && false {",
		breaks: "a message is applied before what it depends on",
		pkg:    "runtime", test: "TestAnyOrderWithDuplicates",
	},
	{
		name: "loaded-heads-forgotten", file: "runtime/state_load.go",
		find: "if r.next[rep] < l.end[rep] {", put: "if r.next[rep] < l.end[rep] && false {",
		breaks:   "an edit after a load does not depend on what was loaded",
		scenario: "R1", pkg: "runtime", test: "TestR1MessageWaitsForWhatAStateBrought",
	},
	{
		name: "heads-not-maximal", file: "runtime/commit_local.go",
		find: "if r.next[d] <= ends[i] {", put: "if r.next[d] < ends[i] {",
		breaks: "dependencies that another one covers stay in the table",
		pkg:    "runtime", test: "TestDependenciesSurviveLoad",
	},
	{
		name: "duplicates-apply-again", file: "runtime/receive.go",
		find: "if m.end() <= have {", put: "if m.end() < have {",
		breaks: "the last message of a replica is not known for a duplicate",
		pkg:    "runtime", test: "TestDuplicates",
	},
	{
		name: "rollback-of-received-missing", file: "runtime/receive.go",
		find:     "r.rollback()\n\t\tif v != nil {\n\t\t\terr = &PanicError{\"applying a message\", v}",
		put:      "r.endTx()\n\t\tif v != nil {\n\t\t\terr = &PanicError{\"applying a message\", v}",
		breaks:   "a fault in the middle of a message leaves its first operations applied",
		scenario: "R4", pkg: "runtime", test: "TestR4FaultThenRedelivery",
	},
	{
		name: "rollback-forgets-made-objects", file: "runtime/transact.go",
		find: "r.journal[i].undo(r)", put: "_ = r.journal[i]",
		breaks: "a rollback leaves the objects that the transaction made",
		pkg:    "runtime", test: "TestFailedTransactionLeavesNothing",
	},
	{
		name: "rollback-forgets-opaque", file: "runtime/transact.go",
		find: "n.opaque().rollback(r)", put: "_ = n.opaque",
		breaks: "a rollback leaves what an object of unknown kind took in",
		pkg:    "runtime", test: "TestRollbackOfOpaque",
	},
	{
		name: "rolled-back-is-deleted", file: "runtime/node.go",
		find: "c.state = rolledBack", put: "c.state = alive",
		breaks:   "a handle of a transaction that was rolled back goes on as if nothing had been",
		scenario: "R30", pkg: "crdt", test: "TestR30RolledBackHandles",
	},
	{
		name: "checksums-ignored", file: "runtime/state_open.go",
		find:     "if r.err == nil && binary.LittleEndian.Uint32(sum) != crc32.Checksum(r.buf[from:at], castagnoli) {",
		put:      "if r.err == nil && binary.LittleEndian.Uint32(sum) != crc32.Checksum(r.buf[from:at], castagnoli) && false {",
		breaks:   "a state whose checksum is wrong is loaded",
		scenario: "R5", pkg: "runtime", test: "TestR5BitFlips",
	},
	{
		name: "long-names-cut", file: "runtime/state_save.go",
		find: "s.uvarint(uint64(len(n.key)))", put: "s.uvarint(uint64(uint8(len(n.key))))",
		breaks:   "the length of a name is written as one byte",
		scenario: "R8", pkg: "runtime", test: "TestR8NamesInAnyScript",
	},
	{
		name: "unknown-operations-dropped", file: "runtime/opaque.go",
		find: "o.ops = append(doubled(o.ops), op)\n\to.count(r, true)", put: "o.count(r, true)",
		breaks:   "operations on objects of unknown kinds are not kept",
		scenario: "R9", pkg: "runtime", test: "TestR9RelayThatKnowsNothing",
	},
	{
		name: "parts-under-one-clock", file: "runtime/opaque.go",
		find: "ops = slices.Clone(ops)\n", put: "ops = slices.Clone(ops)\n\tfor i := range parts {\n\t\tours = joinClocks(ours, parts[i].end)\n\t}\n",
		breaks:   "parts of an object of unknown kind are merged under one clock, not each under its own",
		scenario: "R22", pkg: "runtime", test: "TestR22PartsUnderTheirOwnClocks",
	},
	{
		name: "newer-operation-dropped", file: "runtime/receive.go",
		find:     "r.makeOpaque(n, dot, r.next)\n\t\tn.ownOpaque().keep(r, opaqueOp{dot, f.dots, m.lamport + seq - m.start, f.payload, reps, ends})",
		put:      "",
		breaks:   "an operation of a newer version is skipped",
		scenario: "R22", pkg: "runtime", test: "TestR22NewerOperation",
	},
	{
		name: "zero-entries-in-clocks", file: "runtime/runtime.go",
		find: "if n > 0 {\n\t\t\tc[r.replicas[i]] = n", put: "if n >= 0 {\n\t\t\tc[r.replicas[i]] = n",
		breaks:   "a document's clock has entries of replicas that wrote nothing",
		scenario: "R14", pkg: "runtime", test: "TestR14NoZeroEntries",
	},
	{
		name: "woken-too-early", file: "runtime/waiting.go",
		find: "m.lacks = lacks.Seq\n", put: "m.lacks = lacks.Seq - min(lacks.Seq, 3)\n",
		breaks:   "a message that waits is looked at again and again before what it lacks has come",
		scenario: "R16", pkg: "runtime", test: "TestR16ReverseOrderIsLinear",
	},
	{
		name: "deletion-record-claims-all", file: "runtime/deletions.go",
		find: "if !within(r.floor, base) {", put: "if false {",
		breaks:   "a delta names the deletions that are on record also where the record does not reach back to its base",
		scenario: "R19", pkg: "runtime", test: "TestR19DeltasAgainstAnyClock",
	},
	{
		name: "deletion-record-loses-runs", file: "runtime/deletions.go",
		find: "r.raise(gone[i].by.Rep, gone[i].byEnd())", put: "_ = gone[i]",
		breaks: "the deletion record drops its oldest runs and does not say so",
		pkg:    "runtime", test: "TestR19DeltasAgainstAnyClock",
	},
	{
		name: "deletion-runs-join-too-much", file: "runtime/deletions.go",
		find: "case (d.n == 1 || d.shape == shapeUp) && e.target.Seq == d.target.Seq+d.n:", put: "case (d.n == 1 || d.shape == shapeUp) && e.target.Seq >= d.target.Seq+d.n:",
		breaks: "the deletion record joins deletions that have gaps between them",
		pkg:    "runtime", test: "TestR19DeltasAgainstAnyClock",
	},
	{
		name: "missing-dependencies-ignored", file: "runtime/state_load.go",
		find: "if need != nil {", put: "if need != nil && false {",
		breaks: "a delta is merged by a replica that does not hold its base",
		pkg:    "runtime", test: "TestMissingDepsLeaveTheDocument",
	},
	{
		name: "unlisted-objects-kept", file: "runtime/state_load.go",
		find: "if l.base != nil && !l.h.live {", put: "if true {",
		breaks:   "what an object holds stays where the other side has emptied it",
		scenario: "R2", pkg: "runtime", test: "TestR2RemovedStaysRemoved",
	},
	{
		name: "merge-ignores-removals", file: "runtime/state_reader.go",
		find: "case !covers(r.base, d):\n\t\treturn true", put: "case !covers(r.base, d):\n\t\treturn false",
		breaks:   "a merge keeps every entry that the other side has seen and removed",
		scenario: "R3", pkg: "runtime", test: "TestR3NoResurrection",
	},
	{
		name: "lamport-bound-off", file: "runtime/receive.go",
		find: "if m.lamport > r.lamport+1 {", put: "if m.lamport > r.lamport+2 {",
		breaks: "a timestamp may be one beyond what its sender can have seen",
		pkg:    "runtime", test: "TestLamportBoundIsExact",
	},
	{
		name: "lamport-of-states-unchecked", file: "runtime/state_open.go",
		find: "h.lamport > sum || ", put: "",
		breaks: "a state's timestamp may be beyond the sum of its clock",
		pkg:    "runtime", test: "TestBadStates",
	},
	{
		name: "lamport-before-dependencies", file: "runtime/receive.go",
		find:     "if lacks, waits := r.lacks(m, have); woken",
		put:      "if m.lamport > r.lamport+1 {\n\t\treturn messageRefused, none, &ClockJumpError{first, m.lamport, r.lamport + 1}\n\t}\n\tif lacks, waits := r.lacks(m, have); woken",
		breaks:   "the bound of timestamps is checked before the dependencies are there",
		scenario: "R27", pkg: "runtime", test: "TestR27SecondMessageBeforeTheFirst",
	},
	{
		name: "equivocation-unchecked", file: "runtime/receive.go",
		find: "ok && !bytes.Equal(kept, m.bytes()) {", put: "ok && kept == nil {",
		breaks: "another message under a known dot passes for a duplicate",
		pkg:    "runtime", test: "TestEquivocation",
	},
	{
		name: "forged-name-is-blamed", file: "runtime/receive.go",
		find: "if !answers(r, woken) && !r.restoring", put: "if (answers(r, woken) || !answers(r, woken)) && !r.restoring",
		breaks: "at a server, the writer that a forged transaction names is silenced",
		pkg:    "runtime", test: "TestFirstHop",
	},
	{
		name: "stored-forgery-is-blamed", file: "runtime/receive.go",
		find: "(woken == nil || !woken.restored)", put: "true",
		breaks: "a forged message that waits in a stored state silences the writer that it names, whose work is stored behind it",
		pkg:    "runtime", test: "TestRestoreOfAForgedMessageThatWaits",
	},
	{
		name: "panic-ends-events", file: "runtime/transact.go",
		find: "r.events.postpone()", put: "_ = r",
		breaks: "after a transaction that took a new replica ID and panicked nobody hears of anything",
		pkg:    "runtime", test: "TestPanicAfterReplicaChange",
	},
	{
		name: "anybody-closes-objects", file: "runtime/receive.go",
		find: "if r.answers {", put: "if false {",
		breaks: "at a server, an operation code that somebody made up closes an object to all",
		pkg:    "runtime", test: "TestFirstHop",
	},
	{
		name: "states-close-objects", file: "runtime/state_load.go",
		find: "r.answers = r.firstHop", put: "r.answers = false",
		breaks: "at a server, a state with an operation code that somebody made up closes an object to all",
		pkg:    "crdt", test: "TestNewerOperationsAtTheFirstHop",
	},
	{
		name: "own-dots-from-elsewhere", file: "runtime/receive.go",
		find: "if rep != r.self {\n\t\treturn nil", put: "if rep == r.self || rep != r.self {\n\t\treturn nil",
		breaks:   "a runtime that meets its own dots beyond its clock keeps its replica ID",
		scenario: "R31", pkg: "runtime", test: "TestR31OwnDotsBeyondTheClock",
	},
	{
		name: "own-dots-that-others-name", file: "runtime/receive.go",
		find: "case e.id != r.replicas[r.self] || e.end <= r.next[r.self]:", put: "case e.id != r.replicas[r.self] || e.end > 0:",
		breaks:   "a runtime goes on under its replica ID though others depend on dots of it beyond its clock",
		scenario: "R31", pkg: "runtime", test: "TestR31OthersDependOnOwnDots",
	},
	{
		name: "state-within-a-transaction", file: "runtime/state_save.go",
		find: "s.uvarint(r.next[rep])\n", put: "s.uvarint(max(r.next[rep], 2) - 1)\n",
		breaks:   "the clock of a saved state ends inside of its last transaction",
		scenario: "R24", pkg: "runtime", test: "TestR24StateBetweenTwoTransactions",
	},
	{
		name: "waiting-is-canonical", file: "runtime/state_save.go",
		find: "return r.newSaver(nil).canonical(nil)", put: "return append(r.newSaver(nil).canonical(nil), byte(len(r.waiting.byDot)))",
		breaks:   "the canonical bytes tell how many messages wait",
		scenario: "R25", pkg: "runtime", test: "TestR25WaitingMessagesAreNotCanonical",
	},
	{
		name: "replicas-in-order-of-arrival", file: "runtime/state_save.go",
		find: "slices.SortFunc(s.reps, r.CompareReplicas)", put: "slices.Sort(s.reps)",
		breaks: "the canonical bytes list replicas in the order in which they came up here",
		pkg:    "runtime", test: "TestAnyOrderWithDuplicates",
	},
	{
		name: "kinds-share-a-name", file: "runtime/node.go",
		find:     "n := r.roots[key]\n",
		put:      "n := r.roots[key]\n\tfor other, x := range r.roots {\n\t\tif other.name == name {\n\t\t\tn = x\n\t\t}\n\t}\n",
		breaks:   "two kinds under one name are one object",
		scenario: "R21", pkg: "runtime", test: "TestR21TwoKindsUnderOneName",
	},
	{
		name: "objects-in-any-order", file: "runtime/state_load.go",
		find:   "strings.Compare(w.key, o.key), strings.Compare(w.kind, o.kind)) >= 0 {",
		put:    "strings.Compare(w.key, o.key), strings.Compare(w.kind, o.kind)) > 1 {",
		breaks: "a state that lists an object twice is loaded",
		pkg:    "runtime", test: "TestBadInput",
	},
	{
		name: "dead-content-stays", file: "internal/sequence/content.go",
		find:   "if d := s.dead(); d > compactFloor &&",
		put:    "if d := s.dead(); d > 1<<30 &&",
		breaks: "a text keeps the content of everything that was ever deleted",
		pkg:    "internal/sequence", test: "TestDeadContentGoes",
	},
	{
		name: "objects-resolved-at-once", file: "runtime/receive.go",
		find:     "n, err := r.resolveOne(m, f.object, nodes, reps)",
		put:      "for j := range m.objects {\n\t\t\tif seq == m.start {\n\t\t\t\t_, _ = r.resolveOne(m, j, nodes, reps)\n\t\t\t}\n\t\t}\n\t\tn, err := nodes[f.object], error(nil)",
		breaks:   "an operation does not find the child that an earlier one of its transaction made",
		scenario: "R23", pkg: "runtime", test: "TestR23EditOfWhatTheTransactionMade",
	},
	{
		name: "nonsense-is-refused", file: "runtime/receive.go",
		find:     "case errors.Is(err, ErrInvalidOp), errors.Is(err, ErrCorrupt):\n\t\tif len(r.problems) < maxProblems {\n\t\t\tr.noteProblem(Problem{Dot: r.Dot(dot), Object: n.String(), Err: err})\n\t\t}\n",
		put:      "",
		breaks:   "a payload that does not decode refuses its message",
		scenario: "R23", pkg: "runtime", test: "TestR23NonsenseHasNoEffect",
	},
	{
		name: "event-before-commit", file: "runtime/transact.go",
		find:   "err = r.commitLocal()\n",
		put:    "if err = r.commitLocal(); r.events.owned {\n\t\t\tr.deliver(&r.events.direct)\n\t\t\tr.events.direct = queuedEvent{}\n\t\t}\n",
		breaks: "events run while the document is still locked",
		pkg:    "runtime", test: "TestHandlersMayTransact",
	},
	{
		name: "event-of-what-was-refused", file: "runtime/commit_local.go",
		find:   "return &LimitError{\"MessageBytes\", uint64(len(data)), uint64(r.limits.MessageBytes)}",
		put:    "r.commits++\n\t\tr.pushLocal(data, nil)\n\t\treturn &LimitError{\"MessageBytes\", uint64(len(data)), uint64(r.limits.MessageBytes)}",
		breaks: "a transaction that is too large is rolled back and told all the same",
		pkg:    "runtime", test: "TestLimitsAtCommit",
	},
	{
		name: "gap-before-subscription", file: "runtime/events.go",
		find: "x := &subscriber[E]{fn: fn, from: r.commits + 1}", put: "x := &subscriber[E]{fn: fn, from: r.commits + 2}",
		breaks: "a subscriber misses the first commit",
		pkg:    "runtime", test: "TestSaveAndSubscribeHasNoGap",
	},
	{
		name: "history-drops-unacknowledged", file: "runtime/history.go",
		find: "for h.over() && len(h.of[rep]) > 0 && h.of[rep][0].end <= acked {", put: "for h.over() && len(h.of[rep]) > 0 {",
		breaks: "history drops own messages that nobody has acknowledged",
		pkg:    "runtime", test: "TestHistoryBounds",
	},
	{
		name: "messages-since-with-a-gap", file: "runtime/history.go",
		find: "if first && m.start != have {", put: "if first && m.start > have {",
		breaks: "what history gives for a clock begins inside of a transaction",
		pkg:    "runtime", test: "TestMessagesSince",
	},
	{
		name: "packed-one-dependency-too-few", file: "runtime/stream_log.go",
		find: "for i := from; i < s; i++ {", put: "for i := from + 1; i < s; i++ {",
		breaks: "a packed stream predicts one dependency too few",
		pkg:    "runtime", test: "TestHundredTypists",
	},
	{
		name: "packed-timestamp-off", file: "runtime/unpack.go",
		find: "u.log.timestamp(u.deps, lamport)", put: "u.log.timestamp(u.deps, lamport+1)",
		breaks: "the receiver of a packed stream predicts another timestamp than its sender",
		pkg:    "runtime", test: "TestPackedStreams",
	},
	{
		name: "limits-not-checked", file: "runtime/commit_local.go",
		find: "case tx.dots > uint64(r.limits.MessageDots):", put: "case false:",
		breaks:   "a transaction may have more dots than the limit says",
		scenario: "R7", pkg: "runtime", test: "TestLimitsAtCommit",
	},
}

// notPlanted says why a scenario has no mutant.
var notPlanted = map[string]string{}
