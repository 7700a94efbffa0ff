// Package fuzz is the convergence kit: with it you prove, as far as tests can, that documents of your schema, or a type of
// your own, converge; and with it Weft proves its own. docs/testing.md is the guide to it.
//
// # Use
//
// Of makes a Subject of any struct of handles, nested too; the operations on the types of package crdt come with it, and
// so do their values, views rebuilt from events, and models:
//
//	func TestBoardConverges(t *testing.T) { fuzz.Check(t, fuzz.Of[Board]("my-board"), nil) }
//
// Handled makes a HandleType of a type of your own, for Of; Laws checks its laws one by one. A Subject written by hand can
// drive a document in any other way. Fuzz lets the fuzzer choose.
//
// # What is done
//
//   - transactions of a few operations, in long histories also of many, and of several kinds
//   - transactions that fail, by error and by panic: the Canonical and Save bytes are the same before and after
//   - messages delivered late, in any order, twice, and in bundles of any order
//   - saved states, plain, compressed and canonical, fresh and stale
//   - deltas against any clock: ahead here, behind there; *runtime.MissingDepsError exactly where the receiver lacks the
//     base, and then nothing has changed; both ways of telling deletions
//   - restarts from a saved state under a new replica ID, from old ones too; restarts from disk (a providers.Store of
//     package mem, with log and snapshots) under the same one
//   - replicas that join late, leave, and are offline for a while
//   - small and no history, so that messages are evicted; small and no deletion record
//
// # What is checked
//
// After every step, in long histories after every 16, on every replica that was touched:
//
//  1. Runtime.Check finds nothing, no handler has panicked.
//  2. Replicas whose clocks are equal have equal Canonical bytes and equal Export; in short histories also those whose
//     clocks were equal at two different moments.
//  3. Updates told by OnUpdate come in causal order, each once, and add up to the clock.
//  4. What Watch rebuilt from events alone equals Value, if both are set.
//  5. What Model computes from the applied transactions equals Value, if both are set; in long histories at the end of
//     those that are not too long.
//
// At the end everything is delivered to all: nothing waits, all clocks, Canonical bytes, Digests and Exports are equal,
// and every Save, plain, compressed, canonical or as a delta against nothing, loads into an empty runtime to the same.
//
// # When it fails
//
// Whatever is drawn is noted under a label, so every history is a script: text that can be read, edited and replayed. A
// failure is shortened, logged, and written to testdata/scripts, from where every later Check replays it first.
//
// # Where things are
//
// subject.go, shape.go: what is tested, and types by reflection; values.go, containers.go: operations, values and views of
// the types of package crdt; model.go: their models, with the list order in internal/plain; draw.go, script.go: choices and
// their text; world.go, steps.go, states.go: a history; laws.go; run.go: rapid, the generator, replay, shortening; check.go,
// replay.go: what users call; schemas.go: schemas that have a name.
package fuzz
