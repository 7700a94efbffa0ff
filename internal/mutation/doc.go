// Package mutation checks that the checks work: it plants faults into this module, one at a time, and sees to it that the
// test suite catches each. It has tests only, and leaves no trace in the code that it tests.
//
// A mutant is a patch of one snippet of source. All of them are compiled into one set of test binaries, by the -overlay flag
// of the go command, which reads other sources in the place of those on disk: a function with a fault gets a twin, its copy
// with the fault in it, and begins with a jump to that for when an environment variable names the mutant. So a test binary is
// built once for all the mutants that its tests are to catch, and one run of one test shows whether it does.
//
//	go test ./internal/mutation                                  the table, and a sample of mutants
//	go test ./internal/mutation -v -mutation.all                 every mutant, and which check caught it: a minute of CPU
//	go test ./internal/mutation -v -mutation.only=NAME           some
//	go test ./internal/mutation -run Page -update                lists them in docs/testing.md
//
// A mutant goes into the table of the layer that it breaks: core_test.go (vclock, sequence, runtime), types_test.go (crdt) or
// links_test.go (providers and below). Choose a snippet that says what is broken, as short as it can be and found once, and
// the quickest test that should notice, not one that compares golden bytes. A snippet that has moved fails TestSnippetsStand:
// find the code that does the same now.
package mutation
