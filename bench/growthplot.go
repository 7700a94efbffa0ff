package main

import (
	"fmt"
	"html"
	"math"
	"strings"
)

var series = []struct {
	name, colour string
	of           func(growthPoint) float64
}{
	{"making", "#0969da", func(p growthPoint) float64 { return p.BuildMS }},
	{"save", "#bf8700", func(p growthPoint) float64 { return p.SaveMS }},
	{"load", "#cf222e", func(p growthPoint) float64 { return p.LoadMS }},
	{"saved bytes", "#1a7f37", func(p growthPoint) float64 { return p.SaveBytes }},
	{"heap", "#8250df", func(p growthPoint) float64 { return p.HeapBytes }},
}

// A panel goes from 0.3 to 300 times, in pixels.
const (
	panelWidth, panelHeight, panelsAcross = 230, 200, 3
	growthLeft, growthTop, growthGap      = 44, 84, 54
)

// growthPlot draws a panel for each growth: every figure relative to its first, both axes logarithmic, n log n dashed.
func growthPlot(points []growthPoint) string {
	var b strings.Builder
	x := 16
	for _, s := range series {
		fmt.Fprintf(&b, `<line x1="%d" y1="47" x2="%d" y2="47" stroke="%s" stroke-width="2.5"/><text x="%d" y="51">%s</text>`, x, x+18, s.colour, x+24, s.name)
		x += 50 + 7*len(s.name)
	}
	fmt.Fprintf(&b, `<line x1="%d" y1="47" x2="%d" y2="47" stroke="#6e7781" stroke-dasharray="4 3"/><text x="%d" y="51">n log n</text>`+"\n", x, x+18, x+24)
	var groups [][]growthPoint
	for i, p := range points {
		if i == 0 || p.Growth != points[i-1].Growth {
			groups = append(groups, nil)
		}
		groups[len(groups)-1] = append(groups[len(groups)-1], p)
	}
	for i, g := range groups {
		growthPanel(&b, growthLeft+i%panelsAcross*(panelWidth+growthGap), growthTop+i/panelsAcross*(panelHeight+growthGap), g)
	}
	rows := (len(groups) + panelsAcross - 1) / panelsAcross
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="DejaVu Sans, Verdana, sans-serif" font-size="11">
<rect width="100%%" height="100%%" fill="white"/>
<text x="16" y="24" font-size="15" font-weight="bold">Growth, times the first; logarithmic axes</text>
%s</svg>
`, growthLeft+panelsAcross*(panelWidth+growthGap)-16, growthTop+rows*(panelHeight+growthGap)-8, b.String())
}

func growthPanel(b *strings.Builder, x, y int, g []growthPoint) {
	fmt.Fprintf(b, `<text x="%d" y="%d" font-weight="bold" font-size="10.5">%s</text>`+"\n", x, y-8, html.EscapeString(g[0].Growth))
	for _, v := range []float64{1, 10, 100} {
		at := float64(y) + panelHeight*(1-height(v))
		fmt.Fprintf(b, `<line x1="%d" y1="%.1f" x2="%d" y2="%.1f" stroke="#e6eaef"/>`, x, at, x+panelWidth, at)
		fmt.Fprintf(b, `<text x="%d" y="%.1f" text-anchor="end" fill="#57606a" font-size="9">%g×</text>`, x-5, at+3, v)
	}
	for i, p := range g {
		anchor := []string{"start", "middle", "end"}[min(i, 2)]
		fmt.Fprintf(b, `<text x="%.1f" y="%d" text-anchor="%s" fill="#57606a" font-size="9">%s</text>`, float64(x)+across(g, p)*panelWidth, y+panelHeight+12, anchor, whole(p.Size))
	}
	fmt.Fprintf(b, `<text x="%d" y="%d" text-anchor="middle" fill="#57606a" font-size="9">%s</text>`, x+panelWidth/2, y+panelHeight+25, g[0].Unit)
	fmt.Fprintf(b, `<rect x="%d" y="%d" width="%d" height="%d" fill="none" stroke="#d0d7de"/>`+"\n", x, y, panelWidth, panelHeight)
	fair := func(p growthPoint) float64 { return p.Size * math.Log(p.Size) }
	b.WriteString(line(x, y, g, `stroke="#6e7781" stroke-dasharray="4 3"`, fair))
	for _, s := range series {
		b.WriteString(line(x, y, g, fmt.Sprintf(`stroke="%s" stroke-width="2"`, s.colour), s.of))
	}
}

// across is where a size stands, from 0 for the first to 1 for 100 times.
func across(g []growthPoint, p growthPoint) float64 { return math.Log10(p.Size/g[0].Size) / 2 }

// height is where a multiple of the first stands, from 0 for 0.3 to 1 for 300.
func height(times float64) float64 { return min(max((math.Log10(times)+0.5)/3, 0), 1) }

func line(x, y int, g []growthPoint, style string, of func(growthPoint) float64) string {
	var at []string
	for _, p := range g {
		up := height(max(of(p), 1e-9) / max(of(g[0]), 1e-9))
		at = append(at, fmt.Sprintf("%.1f,%.1f", float64(x)+across(g, p)*panelWidth, float64(y)+panelHeight*(1-up)))
	}
	return fmt.Sprintf(`<polyline points="%s" fill="none" %s/>`+"\n", strings.Join(at, " "), style)
}
