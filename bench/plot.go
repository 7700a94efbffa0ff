package main

import (
	"cmp"
	"fmt"
	"html"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// panel is one figure of one trace, for every library.
type panel struct {
	column
	trace string
}

// scale is how many units of what was measured are one of those drawn.
func (p *panel) scale() float64 {
	if p.field == "heap_bytes" || p.field == "rss_bytes" {
		return 1024
	}
	return 1
}

// plots draws the figures of the first trace of one writer that was measured, and merging of those of several.
func (r *results) plots(names []string, dir string) error {
	sequential, drawn := "", map[string][]panel{}
	for _, n := range names {
		if !r.figure("weft", "t1", n, "cpu_ms").ok {
			for _, c := range timesConcurrent[:2] {
				drawn["time"] = append(drawn["time"], panel{c, n})
			}
		} else if sequential == "" {
			sequential = n
		}
	}
	if sequential != "" {
		var times []panel
		for _, i := range []int{0, 3, 6, 8, 10} {
			times = append(times, panel{timesSequential[i], sequential})
		}
		times[2].title, times[3].title, times[4].title = "save after an edit", "load and read", "load and edit"
		drawn["time"] = append(times, drawn["time"]...)
		for _, c := range sizes[:3] {
			drawn["bytes"] = append(drawn["bytes"], panel{c, sequential})
		}
		for i, c := range sizes[3:] {
			if i%2 == 1 {
				c.title = strings.Replace(sizes[3+i-1].title, "heap", "resident", 1)
			}
			drawn["memory"] = append(drawn["memory"], panel{c, sequential})
		}
	}
	for _, p := range [][2]string{{"time", "CPU time, ms"}, {"bytes", "Bytes"}, {"memory", "Memory, KiB"}} {
		if len(drawn[p[0]]) == 0 {
			continue
		}
		if err := os.WriteFile(filepath.Join(dir, p[0]+".svg"), []byte(r.drawing(p[1], drawn[p[0]])), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// The drawing's measures, in pixels.
const (
	plotNames, plotWidth, plotValues = 96, 240, 62 // of one panel: names, dots, figures
	plotAcross                       = 2
	rowHeight, panelHead, panelFoot  = 16, 22, 30
	plotMargin, plotTop              = 16, 58
)

// drawing puts panels side by side: a dot for each library on a logarithmic axis, the best on top.
func (r *results) drawing(title string, panels []panel) string {
	var b strings.Builder
	full := plotNames + plotWidth + plotValues
	y, tallest := plotTop, 0
	panels = slices.DeleteFunc(panels, func(p panel) bool { return !p.of(r, "weft", p.trace).ok })
	for i, p := range panels {
		if i%plotAcross == 0 {
			y, tallest = y+tallest, 0
		}
		x := plotMargin + i%plotAcross*(full+plotMargin)
		tallest = max(tallest, r.panel(&b, x, y, p))
	}
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="DejaVu Sans, Verdana, sans-serif" font-size="11">
<rect width="100%%" height="100%%" fill="white"/>
<text x="%d" y="24" font-size="15" font-weight="bold">%s</text>
<text x="%d" y="42" fill="#57606a">logarithmic axes; further left is better; medians</text>
%s</svg>
`, plotMargin+plotAcross*(full+plotMargin), y+tallest, plotMargin, html.EscapeString(title), plotMargin, b.String())
}

// panel draws one figure and returns its height.
func (r *results) panel(b *strings.Builder, x, y int, p panel) int {
	type value struct {
		name  string
		value float64
	}
	var all []value
	var none []string
	for _, n := range r.names {
		f := p.of(r, n, p.trace)
		if c := r.cells[key{n, p.task, p.trace}]; f.ok && f.median > 0 {
			all = append(all, value{n, f.median})
		} else if c != nil && c.skipped != "" && !strings.HasPrefix(c.skipped, "no such") {
			none = append(none, n)
		}
	}
	slices.SortStableFunc(all, func(a, b value) int { return cmp.Compare(a.value, b.value) })
	title := p.title + ", " + p.trace
	fmt.Fprintf(b, `<text x="%d" y="%d" font-weight="bold">%s</text>`+"\n", x, y+12, html.EscapeString(title))
	low, high := math.Floor(math.Log10(all[0].value/p.scale())), math.Ceil(math.Log10(all[len(all)-1].value/p.scale()))
	high = max(high, low+1)
	at := func(v float64) float64 {
		return float64(x+plotNames) + plotWidth*(math.Log10(v/p.scale())-low)/(high-low)
	}
	top, bottom := y+panelHead, y+panelHead+rowHeight*len(all)
	for d := low; d <= high; d++ {
		v := math.Pow(10, d) * p.scale()
		fmt.Fprintf(b, `<line x1="%.1f" y1="%d" x2="%.1f" y2="%d" stroke="#d8dee4"/>`, at(v), top, at(v), bottom)
		fmt.Fprintf(b, `<text x="%.1f" y="%d" text-anchor="middle" fill="#57606a" font-size="9">%s</text>`+"\n", at(v), bottom+11, short(v/p.scale()))
	}
	for i, v := range all {
		colour, weight, radius := "#6e7781", "normal", 3.5
		if v.name == "weft" {
			colour, weight, radius = "#0969da", "bold", 5
		}
		middle := top + rowHeight*i + rowHeight/2
		fmt.Fprintf(b, `<text x="%d" y="%d" text-anchor="end" font-weight="%s" fill="%s">%s</text>`, x+plotNames-8, middle+4, weight, colour, v.name)
		fmt.Fprintf(b, `<line x1="%d" y1="%d" x2="%.1f" y2="%d" stroke="%s" stroke-width="1.5" stroke-opacity="0.45"/>`, x+plotNames, middle, at(v.value), middle, colour)
		fmt.Fprintf(b, `<circle cx="%.1f" cy="%d" r="%.1f" fill="%s"/>`, at(v.value), middle, radius, colour)
		fmt.Fprintf(b, `<text x="%.1f" y="%d" font-weight="%s" fill="%s" stroke="white" stroke-width="3" paint-order="stroke">%s</text>`+"\n", at(v.value)+9, middle+4, weight, colour, p.unit(v.value))
	}
	if len(none) > 0 {
		fmt.Fprintf(b, `<text x="%d" y="%d" fill="#57606a" font-size="9">ended or failed: %s</text>`+"\n", x+plotNames, bottom+23, strings.Join(none, ", "))
	}
	return panelHead + rowHeight*len(all) + panelFoot
}

// short writes a power of ten.
func short(v float64) string {
	switch {
	case v >= 1e6:
		return fmt.Sprintf("%gM", v/1e6)
	case v >= 1e3:
		return fmt.Sprintf("%gk", v/1e3)
	}
	return fmt.Sprintf("%g", v)
}
