package main

import (
	"bytes"
	"encoding/json"
	"fmt"
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
	WorstOf   string  `json:"worst_of"`
}

func (o *options) growthFile() string { return filepath.Join(o.work, "growth.jsonl") }

// measureGrowth keeps what Weft says of its growth beside the other results, if that was not done in this run.
func measureGrowth(o *options) error {
	if _, err := os.Stat(o.growthFile()); err == nil || len(o.tasks) > 0 {
		return nil
	}
	out, err := exec.Command(o.weft, "bench", "-growth", "-json").Output()
	if err != nil {
		return fmt.Errorf("weft bench -growth: %w", err)
	}
	return os.WriteFile(o.growthFile(), out, 0o644)
}

func readGrowth(o *options) (points []growthPoint, err error) {
	b, err := os.ReadFile(o.growthFile())
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
	fmt.Fprint(b, "## Growth\n\nWeft alone, one run of `weft bench -growth`; saving and loading are the least of up to five times. The last column is the steepest "+
		"growth of a row's figures since the row above, over that of n log n; figures below a millisecond or 64 KiB count as that much. "+
		"[performance.md](performance.md) says what makes some exceed 1.\n\n![growth](benchmarks/growth.svg)\n\n"+
		"| | size | making, ms | save, ms | load, ms | saved bytes | heap, KiB | ÷ n log n |\n| :-- | --: | --: | --: | --: | --: | --: | --: |\n")
	for _, p := range points {
		worst := "–"
		if p.Worst > 0 {
			worst = fmt.Sprintf("%.2f %s", p.Worst, p.WorstOf)
		}
		fmt.Fprintf(b, "| %s | %s %s | %s | %s | %s | %s | %s | %s |\n", p.Growth, whole(p.Size), p.Unit, ms(p.BuildMS), ms(p.SaveMS), ms(p.LoadMS),
			whole(p.SaveBytes), kib(p.HeapBytes), worst)
	}
	fmt.Fprintln(b)
	return os.WriteFile(filepath.Join(dir, "growth.svg"), []byte(growthPlot(points)), 0o644)
}
