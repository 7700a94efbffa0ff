package main

import (
	"os"
	"strings"
	"testing"
)

func Example() {
	main()
	// Output: {"body":"Hello, world!","edits":3} true
}

// TestReadme keeps the README's example the one that runs here.
func TestReadme(t *testing.T) {
	source, err := os.ReadFile("main.go")
	if err != nil {
		t.Fatal(err)
	}
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, program, found := strings.Cut(strings.ReplaceAll(string(source), "\r\n", "\n"), "package main\n")
	if !found {
		t.Fatal("main.go has no package clause")
	}
	if !strings.Contains(strings.ReplaceAll(string(readme), "\r\n", "\n"), "```go\npackage main\n"+program+"```\n") {
		t.Error("the example in README.md is not examples/hello/main.go")
	}
}
