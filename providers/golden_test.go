package providers_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/fxamacker/cbor/v2"

	"github.com/seed1312cc15/weft/providers"
	"github.com/seed1312cc15/weft/runtime"
)

var update = flag.Bool("update", false, "write golden files anew")

const protocolPage = "../docs/protocol.md"

// exchange returns the lines of section 9 of the protocol page.
func exchange(t *testing.T) string {
	var b strings.Builder
	a, c := newNode(t, 1, runtime.Options{}), newNode(t, 2, runtime.Options{})
	w := newWire(t, a, c, nil, nil)
	w.log = func(from int, f []byte) {
		text, err := cbor.Diagnose(f)
		if err != nil {
			t.Fatal(err)
		}
		ft, _, _ := providers.PeekFrame(f)
		fmt.Fprintf(&b, "%s %v\n", [2]string{"A -> B", "B -> A"}[from], ft)
		for hex := fmt.Sprintf("%x", f); hex != ""; hex = hex[min(96, len(hex)):] {
			fmt.Fprintf(&b, "  %s\n", hex[:min(96, len(hex))])
		}
		fmt.Fprintf(&b, "  %s\n", text)
	}
	a.insert(t, 0, "hi")
	w.open(t, 0, "notes")
	w.run(t)
	a.insert(t, 2, "!")
	w.run(t)
	c.remove(t, 0, 1)
	w.run(t)
	w.ends[0].Session("notes").Close()
	w.run(t)
	w.ends[0].End(providers.CodeNone, "done")
	w.run(t)
	equal(t, a, c)
	return b.String()
}

// TestGoldenExchange keeps the example of the protocol page true.
func TestGoldenExchange(t *testing.T) {
	const begin, end = "<!-- exchange -->\n", "<!-- end of exchange -->\n"
	page, err := os.ReadFile(protocolPage)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := strings.Cut(string(page), begin)
	old, tail, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatal("the marks are gone")
	}
	text := "```\n" + exchange(t) + "```\n"
	switch {
	case *update:
		if err := os.WriteFile(protocolPage, []byte(head+begin+text+end+tail), 0o644); err != nil {
			t.Fatal(err)
		}
	case text != old:
		t.Errorf("the page shows another exchange; if the bytes were meant to change, run with -update:\n%s", text)
	}
}

// TestCodesAreOnThePage compares the table of codes with the constants.
func TestCodesAreOnThePage(t *testing.T) {
	page, err := os.ReadFile(protocolPage)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for c := range providers.Code(700) {
		if strings.HasPrefix(c.String(), "CODE_") {
			continue
		}
		n++
		if !bytes.Contains(page, fmt.Appendf(nil, "\n| %d | %v | ", c, c)) {
			t.Errorf("%d %v is not on the page", c, c)
		}
	}
	if n != 28 {
		t.Errorf("%d codes", n)
	}
}
