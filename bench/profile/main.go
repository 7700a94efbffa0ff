// Profile joins CPU profiles into the one that cmd/weft is built with. Each counts for the same, however long it was taken
// for, and nothing stays of the machine.
//
//	go run ./profile -o default.pgo a.prof b.prof ...
package main

import (
	"flag"
	"log"
	"os"

	"github.com/google/pprof/profile"
)

func main() {
	log.SetFlags(0)
	out := flag.String("o", "default.pgo", "write to `FILE`")
	flag.Parse()
	if err := join(*out, flag.Args()); err != nil {
		log.Fatal("profile: ", err)
	}
}

func join(out string, paths []string) error {
	var all []*profile.Profile
	for _, path := range paths {
		p, err := read(path)
		if err != nil {
			return err
		}
		all = append(all, p)
	}
	p, err := profile.Merge(all)
	if err != nil {
		return err
	}
	f, err := os.Create(out)
	if err != nil {
		return err
	}
	if err := p.Write(f); err != nil {
		return err
	}
	return f.Close()
}

// samples is what each profile is scaled to.
const samples = 100_000

func read(path string) (*profile.Profile, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	p, err := profile.Parse(f)
	if err != nil {
		return nil, err
	}
	var n int64
	for _, s := range p.Sample {
		n += s.Value[0]
		s.Label, s.NumLabel, s.NumUnit = nil, nil, nil
	}
	p.Scale(samples / float64(max(n, 1)))
	for _, m := range p.Mapping {
		m.File, m.BuildID, m.KernelRelocationSymbol = "weft", "", ""
	}
	p.TimeNanos, p.DurationNanos, p.Comments = 0, 0, nil
	return p, nil
}
