// Package converge tests that replicas of a document converge: it drives several runtimes through random edits, failures,
// and deliveries of every kind, and compares them after each step.
//
// # Use
//
// A Subject says how to open a replica and which edits there are. H is what the edits need: a handle, or a struct of
// handles.
//
//	var counters = converge.Subject[crdt.Counter]{
//		Open: func(o *runtime.Options) (*runtime.Runtime, crdt.Counter, error) {
//			o.Kinds = crdt.Kinds()
//			rt, err := runtime.New(o)
//			if err != nil {
//				return nil, crdt.Counter{}, err
//			}
//			h, err := crdt.NewCounter(rt, "c")
//			return rt, h, err
//		},
//		Edits: map[string]converge.Edit[crdt.Counter]{
//			"add": func(t *rapid.T, tx runtime.Tx, c crdt.Counter) (any, error) {
//				n := rapid.Int64Range(-9, 9).Draw(t, "n")
//				return n, c.Add(tx, n)
//			},
//		},
//		Value: func(tx runtime.Tx, c crdt.Counter) any { return c.Value(tx) },
//	}
//
//	func TestConvergence(t *testing.T) { counters.Test(t) }
//	func FuzzConvergence(f *testing.F) { counters.Fuzz(f) }
//
// An Edit makes one operation, draws what it needs from t, and returns what it did: any value, shown in the step list and
// handed to Model. It returns ErrNothing where the state offers nothing to do; any other error fails the test. Open must
// take over the Options it is given (replica ID, history, deletion record) and may add kinds, limits and the like.
//
// # What is done
//
//   - transactions of one to four operations, and of several kinds
//   - transactions that fail, by error and by panic: the Canonical and Save bytes are the same before and after
//   - messages delivered late, in any order, twice, and in bundles of any order
//   - saved states, plain and compressed, fresh and stale
//   - deltas against any clock: ahead here, behind there; *MissingDepsError exactly where the receiver lacks the base,
//     and then nothing has changed; both ways of telling deletions
//   - restarts from a saved state under a new replica ID, from old ones too, and replicas that join late
//   - small and no history, so that messages are evicted; small and no deletion record
//
// # What is checked
//
// After every step, on every replica that the step touched:
//
//  1. Runtime.Check finds nothing.
//  2. Any two replicas whose clocks were equal at any two moments had equal Canonical bytes and equal Export.
//  3. Updates told by OnUpdate come in causal order, each once, and add up to the clock.
//  4. What Watch rebuilt from events alone equals Value, if both are set.
//  5. What Model computes from the applied transactions equals Value, if both are set.
//
// At the end everything is delivered to all: nothing waits, all clocks, Canonical bytes, Digests and Exports are equal,
// and every Save, plain, compressed or as a delta against nothing, loads into an empty runtime to the same.
//
// A failure prints the steps that led to it, shortened by rapid, with replicas named A, B, C and so on; a restarted
// replica gets a number behind its letter.
package converge
