//go:build race

package runtime_test

// raced says that the race detector is on: it doubles what is allocated.
const raced = true
