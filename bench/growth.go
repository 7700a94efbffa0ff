package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// growthPoint is a line of "weft bench -growth -json".
type growthPoint struct {
	Growth    string  `json:"growth"`
	Unit      string  `json:"unit"`
	Size      float64 `json:"size"`
	BuildMS   float64 `json:"build_ms"`
	SaveMS    float64 `json:"save_ms"`
	LoadMS    float64 `json:"load_ms"`
	SaveBytes float64 `json:"save_bytes"`
	HeapBytes float64 `json:"heap_bytes"`
	Worst     float64 `json:"worst"`
}

// measureGrowth keeps what Weft says of its growth beside the other results.
func measureGrowth(o *options) error {
	out, err := exec.Command(o.weft, "bench", "-growth", "-json").Output()
	if err != nil {
		return fmt.Errorf("weft bench -growth: %w", err)
	}
	return os.WriteFile(filepath.Join(o.work, "growth.jsonl"), out, 0o644)
}

func readGrowth(o *options) (points []growthPoint, err error) {
	b, err := os.ReadFile(filepath.Join(o.work, "growth.jsonl"))
	if err != nil {
		return nil, err
	}
	for d := json.NewDecoder(bytes.NewReader(b)); d.More(); {
		var p growthPoint
		if err := d.Decode(&p); err != nil {
			return nil, err
		}
		points = append(points, p)
	}
	return points, nil
}

// growthTable writes what grew, and draws it.
func growthTable(b *strings.Builder, points []growthPoint, dir string) error {
	fmt.Fprint(b, "## Growth\n\nWeft alone, one run of `weft bench -growth`. The last column is the steepest growth of a row's figures since the row above, over that "+
		"of n log n; figures below a millisecond or 64 KiB count as that much.\n\n![growth](benchmarks/growth.svg)\n\n"+
		"| | size | making, ms | save, ms | load, ms | saved bytes | heap, KiB | ÷ n log n |\n| :-- | --: | --: | --: | --: | --: | --: | --: |\n")
	for _, p := range points {
		worst := "–"
		if p.Worst > 0 {
			worst = fmt.Sprintf("%.2f", p.Worst)
		}
		fmt.Fprintf(b, "| %s | %s %s | %s | %s | %s | %s | %s | %s |\n", p.Growth, whole(p.Size), p.Unit, ms(p.BuildMS), ms(p.SaveMS), ms(p.LoadMS),
			whole(p.SaveBytes), kib(p.HeapBytes), worst)
	}
	fmt.Fprintln(b)
	return os.WriteFile(filepath.Join(dir, "growth.svg"), []byte(growthPlot(points)), 0o644)
}

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
