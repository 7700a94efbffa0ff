package trace

const (
	keyKind = iota
	keyAgents
	keyStart
	keyEnd
	keyTxns
)

const (
	keyParents = iota
	keyAgent
	keyPatches
)

var (
	traceKeys = []string{"kind", "numAgents", "startContent", "endContent", "txns"}
	txnKeys   = []string{"parents", "agent", "patches"}
)

func decode(data []byte, line int, limits Limits) (*Trace, error) {
	d := &decoder{scanner: scanner{b: data, line: line, txn: -1, patch: -1}, plain: -1, graph: -1}
	t := d.trace()
	if d.err != nil {
		return nil, d.err
	}
	if err := t.validate(limits); err != nil {
		err.Line = line
		return nil, err
	}
	return t, nil
}

// decoder turns the JSON of one trace into a Trace. "kind" may come last, so what depends on it is checked at the end.
type decoder struct {
	scanner
	plain int // first transaction without both of parents and agent, or -1
	graph int // first transaction with one of them, or -1
}

func (d *decoder) trace() *Trace {
	t := &Trace{}
	var kind string
	seen := d.object(traceKeys, func(k int) {
		switch k {
		case keyKind:
			kind = d.str()
		case keyAgents:
			t.Agents = d.int()
		case keyStart:
			t.Start = d.str()
		case keyEnd:
			t.End = d.str()
		case keyTxns:
			d.array(func(i int) {
				d.txn = i
				t.Txns = append(t.Txns, d.readTxn())
			})
			if d.err == nil {
				d.txn = -1
			}
		}
	})
	d.end()
	d.need(seen, traceKeys, keyEnd)
	d.need(seen, traceKeys, keyTxns)
	switch kind {
	case "concurrent":
		t.Concurrent = true
		d.need(seen, traceKeys, keyAgents)
		d.refuse(d.plain, "a transaction of a concurrent trace needs parents and agent")
	case "", "sequential":
		if seen&(1<<keyAgents) != 0 {
			d.fail("numAgents in a sequential trace")
		}
		t.Agents = 1
		d.refuse(d.graph, "parents or agent in a sequential trace")
	default:
		d.field = "kind"
		d.fail("neither concurrent nor sequential")
	}
	return t
}

// refuse fails at transaction i if there is one.
func (d *decoder) refuse(i int, detail string) {
	if i >= 0 && d.err == nil {
		d.txn = i
		d.fail(detail)
	}
}

func (d *decoder) readTxn() Txn {
	var txn Txn
	seen := d.object(txnKeys, func(k int) {
		switch k {
		case keyParents:
			d.array(func(int) { txn.Parents = append(txn.Parents, d.int()) })
		case keyAgent:
			txn.Agent = d.int()
		case keyPatches:
			d.array(func(i int) {
				d.patch = i
				txn.Patches = append(txn.Patches, d.readPatch())
			})
			if d.err == nil {
				d.patch = -1
			}
		}
	})
	d.need(seen, txnKeys, keyPatches)
	const both = 1<<keyParents | 1<<keyAgent
	if seen&both != both && d.plain < 0 {
		d.plain = d.txn
	}
	if seen&both != 0 && d.graph < 0 {
		d.graph = d.txn
	}
	return txn
}

func (d *decoder) readPatch() Patch {
	var p Patch
	d.expect('[')
	p.Pos = d.int()
	d.expect(',')
	p.Deleted = d.int()
	d.expect(',')
	p.Inserted = d.str()
	d.expect(']')
	return p
}
