package main

import (
	"fmt"
	"math"
	"strings"
)

var series = []struct {
	name, colour string
	of           func(growthPoint) float64
}{
	{"making", "#1f6feb", func(p growthPoint) float64 { return p.BuildMS }},
	{"save", "#bf8700", func(p growthPoint) float64 { return p.SaveMS }},
	{"load", "#cf222e", func(p growthPoint) float64 { return p.LoadMS }},
	{"saved bytes", "#1a7f37", func(p growthPoint) float64 { return p.SaveBytes }},
	{"heap", "#8250df", func(p growthPoint) float64 { return p.HeapBytes }},
}

const panelWidth, panelHeight, panelsAcross = 220, 190, 3

// growthPlot draws a panel for each growth: every figure relative to its first, both axes logarithmic, n log n in grey.
func growthPlot(points []growthPoint) string {
	var b strings.Builder
	for i, s := range series {
		fmt.Fprintf(&b, `<text x="%d" y="36" fill="%s">%s</text>`, 10+90*i, s.colour, s.name)
	}
	fmt.Fprintf(&b, `<text x="%d" y="36" fill="#8c959f">n log n</text>`+"\n", 10+90*len(series))
	var groups [][]growthPoint
	for i, p := range points {
		if i == 0 || p.Growth != points[i-1].Growth {
			groups = append(groups, nil)
		}
		groups[len(groups)-1] = append(groups[len(groups)-1], p)
	}
	for i, g := range groups {
		x, y := 20+i%panelsAcross*(panelWidth+20), 60+i/panelsAcross*(panelHeight+30)
		fmt.Fprintf(&b, `<text x="%d" y="%d" font-weight="bold">%s</text>`, x, y-4, g[0].Growth)
		fmt.Fprintf(&b, `<rect x="%d" y="%d" width="%d" height="%d" fill="none" stroke="#d0d7de"/>`+"\n", x, y, panelWidth, panelHeight)
		first := g[0]
		fair := func(p growthPoint) float64 { return p.Size * math.Log(p.Size) }
		b.WriteString(line(x, y, g, "#8c959f", fair, fair(first)))
		for _, s := range series {
			b.WriteString(line(x, y, g, s.colour, s.of, s.of(first)))
		}
	}
	rows := (len(groups) + panelsAcross - 1) / panelsAcross
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="11">
<rect width="100%%" height="100%%" fill="white"/>
<text x="10" y="18" font-size="14" font-weight="bold">Growth from 1 to 100 times the work, relative to the first; both axes logarithmic, to 300 times</text>
%s</svg>
`, 40+panelsAcross*(panelWidth+20), 70+rows*(panelHeight+30), b.String())
}

// line draws one figure of a panel whose left edge is 1 and right edge 100, bottom 0.3 and top 300.
func line(x, y int, points []growthPoint, colour string, of func(growthPoint) float64, first float64) string {
	var at []string
	for _, p := range points {
		across := math.Log10(p.Size/points[0].Size) / 2
		up := (math.Log10(max(of(p), 1e-9)/max(first, 1e-9)) + 0.5) / 3
		at = append(at, fmt.Sprintf("%.1f,%.1f", float64(x)+across*panelWidth, float64(y)+panelHeight*(1-min(max(up, 0), 1))))
	}
	return fmt.Sprintf(`<polyline points="%s" fill="none" stroke="%s" stroke-width="2"/>`+"\n", strings.Join(at, " "), colour)
}
