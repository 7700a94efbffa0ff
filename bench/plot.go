package main

import (
	"fmt"
	"html"
	"math"
	"os"
	"path/filepath"
	"strings"
)

// plots draws bars on a logarithmic scale, a group for each figure, for the first trace that was measured.
func (r *results) plots(names []string, dir string) error {
	trace := ""
	for _, n := range names {
		if r.figure("weft", "t1", n, "cpu_ms").ok {
			trace = n
			break
		}
	}
	if trace == "" {
		return nil
	}
	for _, p := range []struct {
		file, title string
		columns     []column
	}{
		{"time", "CPU time, ms, " + trace, []column{timesSequential[0], timesSequential[3], timesSequential[5], timesSequential[6], timesSequential[8]}},
		{"bytes", "bytes, " + trace, sizes[:3]},
		{"memory", "memory, KiB, " + trace, sizes[3:]},
	} {
		svg := r.bars(trace, p.title, p.columns)
		if err := os.WriteFile(filepath.Join(dir, p.file+".svg"), []byte(svg), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// The drawing's measures, in pixels.
const (
	plotLeft, plotWidth  = 230, 460
	barHeight, groupHead = 14, 26
)

func (r *results) bars(trace, title string, columns []column) string {
	var b strings.Builder
	y := 44
	for _, c := range columns {
		low, high := math.Inf(1), 0.0
		for _, n := range r.names {
			if f := c.of(r, n, trace); f.ok && f.median > 0 {
				low, high = min(low, f.median), max(high, f.median)
			}
		}
		if high == 0 {
			continue
		}
		low /= 2
		fmt.Fprintf(&b, `<text x="10" y="%d" font-weight="bold">%s</text>`+"\n", y+groupHead-10, html.EscapeString(c.title))
		y += groupHead
		for _, n := range r.names {
			f := c.of(r, n, trace)
			if !f.ok || f.median <= 0 {
				continue
			}
			w := plotWidth * math.Log(f.median/low) / math.Log(high/low)
			fill := "#9aa5b1"
			if n == "weft" {
				fill = "#1f6feb"
			}
			fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="end">%s</text>`, plotLeft-8, y+11, n)
			fmt.Fprintf(&b, `<rect x="%d" y="%d" width="%.1f" height="%d" fill="%s"/>`, plotLeft, y+1, w, barHeight-3, fill)
			fmt.Fprintf(&b, `<text x="%.1f" y="%d">%s</text>`+"\n", plotLeft+w+6, y+11, c.unit(f.median))
			y += barHeight
		}
		y += 8
	}
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="11">
<rect width="100%%" height="100%%" fill="white"/>
<text x="10" y="20" font-size="14" font-weight="bold">%s</text>
<text x="10" y="36" fill="#57606a">logarithmic scale, one for each group; shorter is better</text>
%s</svg>
`, plotLeft+plotWidth+90, y+10, html.EscapeString(title), b.String())
}
