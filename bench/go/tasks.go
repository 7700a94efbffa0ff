package main

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"time"
)

// job is one task of one library on one trace.
type job struct {
	library
	name, trace string
	out         line
}

type recorded struct {
	Kind       string
	EndContent string
	NumAgents  int
	Txns       []struct {
		Parents []int
		Agent   int
		Patches [][3]any
	}
}

func (j *job) readTrace() *recorded {
	z := must(gzip.NewReader(bytes.NewReader(must(os.ReadFile(filepath.Join(os.Getenv("TRACES"), j.trace+".json.gz"))))))
	t := &recorded{}
	check(json.NewDecoder(z).Decode(t) == nil, "not a trace")
	return t
}

func (t *recorded) ops() (out []op) {
	for _, x := range t.Txns {
		for _, p := range x.Patches {
			out = append(out, patch(p))
		}
	}
	return out
}

func patch(p [3]any) op {
	return op{Text: &textEdit{At: int(p[0].(float64)), Delete: int(p[1].(float64)), Insert: p[2].(string)}}
}

func (j *job) file(suffix string) string {
	dir := filepath.Join(os.Getenv("WORK"), j.name)
	check(os.MkdirAll(dir, 0o755) == nil, "cannot write into WORK")
	return filepath.Join(dir, j.trace+suffix)
}

func (j *job) readMessages() (out [][]byte) {
	b := must(os.ReadFile(j.file(".messages")))
	for len(b) > 0 {
		n := binary.LittleEndian.Uint32(b)
		out = append(out, slices.Clone(b[4:4+n]))
		b = b[4+n:]
	}
	return out
}

func number(s string) int { return must(strconv.Atoi(s)) }

func total(messages [][]byte) (n int) {
	for _, m := range messages {
		n += len(m)
	}
	return n
}

// timed puts the time of f in.
func (j *job) timed(f func()) {
	begin := time.Now()
	j.out["cpu_ms"] = ms(timed(f))
	j.out["ms"] = ms(time.Since(begin))
}

// compare tells of another order of concurrent inserts; the length must be right.
func (j *job) compare(t *recorded, text string) {
	if text == t.EndContent {
		return
	}
	check(t.Kind == "concurrent" && len(text) == len(t.EndContent), "the text is not the trace's")
	j.out["different"] = true
}

// saved measures the first save, and later ones after an edit each.
func (j *job) saved(d replica) {
	var state []byte
	j.out["save_ms"] = ms(timed(func() { state = d.save() }))
	j.sized(state)
	var all []time.Duration
	for begin := cpu(); len(all) < 6 && cpu()-begin < enough; {
		d.edit([]op{{Text: &textEdit{Insert: "x"}}})
		all = append(all, timed(func() { d.save() }))
	}
	j.out["save_again_ms"] = ms(median(all))
}

func (j *job) local(emits bool) {
	ops, end := j.readTrace().ops(), j.readTrace()
	end.Txns = nil
	messages, sum := 0, 0
	before := j.memory()
	var d replica
	var text string
	j.timed(func() {
		d = j.create(0, emits)
		for i := range ops {
			if m := d.edit(ops[i : i+1]); m != nil {
				messages++
				sum += len(m)
			}
		}
		text = d.text()
	})
	j.compare(end, text)
	text = ""
	j.grown(before)
	runtime.KeepAlive(ops)
	runtime.KeepAlive(end)
	j.out["messages"], j.out["message_bytes"] = messages, sum
	j.saved(d)
}

func (j *job) atOnce() {
	t := j.readTrace()
	ops := t.ops()
	before := j.memory()
	var d replica
	var message []byte
	var text string
	j.timed(func() {
		d = j.create(0, true)
		message = d.edit(ops)
		text = d.text()
	})
	j.compare(t, text)
	j.out["messages"], j.out["message_bytes"] = 1, len(message)
	message, text = nil, ""
	j.grown(before)
	runtime.KeepAlive(ops)
	runtime.KeepAlive(t)
	j.saved(d)
}

// prepare writes messages and state. In a concurrent trace each agent writes where it knows exactly the ancestors; its
// replica is there from its first transaction to its last.
func (j *job) prepare() {
	t := j.readTrace()
	replicas := make([]replica, max(t.NumAgents, 1))
	known := make([]map[int]bool, len(replicas))
	last := make([]int, len(replicas))
	for i, x := range t.Txns {
		last[x.Agent] = i
	}
	made := make([][][]byte, len(t.Txns))
	var written replica
	for i, x := range t.Txns {
		if replicas[x.Agent] == nil {
			replicas[x.Agent], known[x.Agent] = j.create(x.Agent, true), map[int]bool{}
		}
		r := replicas[x.Agent]
		var lacks []int
		for stack := slices.Clone(x.Parents); len(stack) > 0; {
			p := stack[len(stack)-1]
			stack = stack[:len(stack)-1]
			if known[x.Agent][p] {
				continue
			}
			known[x.Agent][p] = true
			lacks = append(lacks, p)
			stack = append(stack, t.Txns[p].Parents...)
		}
		slices.Sort(lacks)
		var inbox [][]byte
		for _, p := range lacks {
			inbox = append(inbox, made[p]...)
		}
		if len(inbox) == 1 {
			r.apply(inbox[0])
		} else if len(inbox) > 1 {
			r.applyBatch(inbox)
		}
		for _, p := range x.Patches {
			made[i] = append(made[i], r.edit([]op{patch(p)}))
		}
		known[x.Agent][i] = true
		if i == last[x.Agent] {
			written, replicas[x.Agent] = r, nil
		}
	}
	messages := slices.Concat(made...)
	var all []byte
	for _, m := range messages {
		all = binary.LittleEndian.AppendUint32(all, uint32(len(m)))
		all = append(all, m...)
	}
	check(os.WriteFile(j.file(".messages"), all, 0o644) == nil, "cannot write the messages")
	d := written
	if t.Kind == "concurrent" {
		d = j.create(1_000_000, false)
		d.applyBatch(messages)
	}
	j.compare(t, d.text())
	check(os.WriteFile(j.file(".state"), d.save(), 0o644) == nil, "cannot write the state")
}

func (j *job) remote(batch bool) {
	t := j.readTrace()
	t.Txns = nil
	before := j.memory()
	messages := j.readMessages() // after the first look at the memory and gone before the next: neither counts them
	j.out["messages"], j.out["message_bytes"] = len(messages), total(messages)
	var d replica
	var text string
	j.timed(func() {
		d = j.create(1_000_000, false)
		if batch {
			d.applyBatch(messages)
		} else {
			for _, m := range messages {
				d.apply(m)
			}
		}
		text = d.text()
	})
	j.compare(t, text)
	messages, text = nil, ""
	j.grown(before)
	runtime.KeepAlive(t)
	j.saved(d)
}

func (j *job) reload() {
	t := j.readTrace()
	t.Txns = nil
	before := j.memory()
	state := must(os.ReadFile(j.file(".state")))
	var d replica
	var text string
	load := func() { d = j.load(1_000_000, state); text = d.text() }
	j.timed(load)
	j.compare(t, text)
	j.sized(state)
	state, text = nil, ""
	j.grown(before)
	runtime.KeepAlive(d)
	runtime.KeepAlive(t)
	state = must(os.ReadFile(j.file(".state")))
	j.out["warm_ms"] = again(6, load)
}

func (j *job) first() {
	middle := len(j.readTrace().EndContent) / 2
	state := must(os.ReadFile(j.file(".state")))
	edit := func() {
		d := j.load(1_000_000, state)
		j.out["message_bytes"] = len(d.edit([]op{{Text: &textEdit{At: middle, Insert: "x"}}}))
	}
	j.timed(edit)
	j.out["messages"], j.out["warm_ms"] = 1, again(6, edit)
}

// diverge lets two replicas of one state make edits of their own and exchange them: at first, and again with fresh ones.
func (j *job) diverge(edits int) {
	state := must(os.ReadFile(j.file(".state")))
	var script struct{ A, B []textEdit }
	check(json.Unmarshal(must(os.ReadFile(filepath.Join(os.Getenv("WORK"), "delta-"+j.trace+".json"))), &script) == nil, "no edits")
	exchange := func() time.Duration {
		var pair [2]replica
		for i, edit := range [][]textEdit{script.A, script.B} {
			pair[i] = j.load(1_000_001+i, state)
			pair[i].mark()
			for k := range edit[:edits] {
				pair[i].edit([]op{{Text: &edit[k]}})
			}
		}
		var a, b []byte
		same := false
		d := timed(func() {
			a, b = pair[0].since(), pair[1].since()
			pair[0].apply(b)
			pair[1].apply(a)
			same = pair[0].text() == pair[1].text()
		})
		check(same, "the two differ after the exchange")
		j.out["messages"], j.out["message_bytes"] = 2, len(a)+len(b)
		return d
	}
	begin := cpu()
	j.out["cpu_ms"] = ms(exchange())
	j.repeat(begin, exchange)
}

// repeat does a whole task up to six times more, as long as all takes no more than enough, and puts the median in.
func (j *job) repeat(begin time.Duration, task func() time.Duration) {
	var all []time.Duration
	for one := cpu() - begin; len(all) < 6 && cpu()-begin+one < enough; {
		all = append(all, task())
	}
	if len(all) > 0 {
		j.out["warm_ms"] = ms(median(all))
	}
}
