//go:build !js

package main_test

import (
	"encoding/json"
	"testing"
)

// TestBenchServerScenarios runs each scenario in small. Goals of speed mean nothing then; but nothing may be lost, and each
// figure must be there.
func TestBenchServerScenarios(t *testing.T) {
	for _, c := range []struct {
		scenario string
		flags    []string
		want     map[string][2]float64 // at least, at most
	}{
		{"L1", []string{"--clients", "40", "--documents", "4", "--duration", "100ms"},
			map[string][2]float64{"RSS a connection": {-1e6, 1e6}, "connections lost": {0, 0}}},
		{"L2", []string{"--clients", "40", "--documents", "4", "--duration", "1s"},
			map[string][2]float64{"deliveries": {50, 500}, "delivery p99": {0.001, 1e5}, "acknowledgement p99": {0.001, 1e5},
				"replicas compared": {2, 2}, "deliveries lost": {0, 0}, "replicas that differ": {0, 0}}},
		{"L3", []string{"--clients", "26", "--duration", "1s"},
			map[string][2]float64{"deliveries": {50, 800}, "replicas compared": {2, 2}, "deliveries lost": {0, 0}}},
		{"L4", []string{"--clients", "10", "--scale", "0.1"},
			map[string][2]float64{"states encoded": {1, 1}, "state": {0.4, 0.7}, "replicas that differ": {0, 0}}},
		{"L5", []string{"--clients", "4", "--documents", "30"},
			map[string][2]float64{"documents not opened": {0, 0}, "documents still loaded": {0, 0}, "opened": {1, 200}}},
		{"L6", []string{"--clients", "10", "--duration", "500ms"},
			map[string][2]float64{"frames with presence a receiver": {0.1, 21}, "values a receiver": {1, 120}}},
		{"L7", []string{"--clients", "40", "--documents", "4", "--duration", "500ms"},
			map[string][2]float64{"clients that stand still": {4, 4}, "deliveries lost": {0, 0}, "replicas that differ": {0, 0}}},
		{"L8", []string{"--clients", "16", "--documents", "20", "--duration", "300ms"},
			map[string][2]float64{"store": {1, 1e7}, "bare log": {1, 1e7}}},
	} {
		t.Run(c.scenario, func(t *testing.T) {
			t.Parallel()
			b := newBox(t)
			args := append([]string{"bench-server", "--json", "--pin=false", "--runs", "1", "--warmup", "100ms", "--data", b.dir, "--scenario", c.scenario}, c.flags...)
			out, _ := b.run(0, args...)
			var r struct {
				Scenario string
				OK       bool
				Figures  []struct {
					Name  string
					Value float64
				}
			}
			if err := json.Unmarshal([]byte(out), &r); err != nil {
				t.Fatalf("%v in %s", err, out)
			}
			if r.Scenario != c.scenario || !r.OK {
				t.Errorf("scenario %s, ok %v: %s", r.Scenario, r.OK, out)
			}
			got := make(map[string]float64)
			for _, f := range r.Figures {
				got[f.Name] = f.Value
			}
			for name, bounds := range c.want {
				v, ok := got[name]
				if !ok || v < bounds[0] || v > bounds[1] {
					t.Errorf("%s is %v (there: %v), outside of [%v, %v]", name, v, ok, bounds[0], bounds[1])
				}
			}
		})
	}
}
