// Package guide holds the code of docs/guide.md: every snippet there is an excerpt of the examples here, which run as
// tests. Start at board_test.go; the files follow the sections of the guide.
package guide
