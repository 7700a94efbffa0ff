package main

import "slices"

// cell is what one library took for one task on one trace, over the repeats.
type cell struct {
	rows      []row
	skipped   string
	different bool
}

// results holds every cell that was measured.
type results struct {
	header
	cells map[key]*cell
	rows  []row
	names []string // peers that ran, in the order of the list
}

func readResults(path string) (*results, error) {
	h, rows, err := readRecord(path)
	if err != nil {
		return nil, err
	}
	r := &results{header: h, cells: map[key]*cell{}}
	ran := map[string]bool{}
	for _, x := range rows {
		c := r.cells[x.key()]
		if c == nil {
			c = &cell{}
			r.cells[x.key()] = c
		}
		ran[x.Peer] = true
		if x.Skipped != "" {
			c.skipped = x.Skipped
			continue
		}
		c.different = c.different || x.Different
		c.rows = append(c.rows, x)
		r.rows = append(r.rows, x)
	}
	for _, p := range peers {
		if ran[p.name] {
			r.names = append(r.names, p.name)
		}
	}
	return r, nil
}

// figure is the median of one field over the repeats and how far they lie apart: (greatest - least) / median.
type figure struct {
	median, spread float64
	ok             bool
}

func (r *results) figure(peer, task, trace, field string) figure {
	c := r.cells[key{peer, task, trace}]
	if c == nil {
		return figure{}
	}
	var all []float64
	for _, x := range c.rows {
		if v, ok := x.Figures[field]; ok {
			all = append(all, v)
		}
	}
	if len(all) == 0 || c.skipped != "" {
		return figure{}
	}
	slices.Sort(all)
	f := figure{median: all[(len(all)-1)/2], ok: true}
	if f.median > 0 {
		f.spread = (all[len(all)-1] - all[0]) / f.median
	}
	return f
}
