//go:build race

package crdt_test

// raced says that the race detector is on, which allocates memory of its own and empties pools at random.
const raced = true
