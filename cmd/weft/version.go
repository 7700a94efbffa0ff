package main

import (
	"cmp"
	"flag"
	"fmt"
	goruntime "runtime"
	"runtime/debug"
)

// formatVersion is that of the updates which this program writes; docs/format.md.
const formatVersion = 1

var versionCommand = &command{
	name:  "version",
	short: "show which version this is",
	long: `
version shows the version of the module, the revision that it was built from where that is known, the version of Go, and that of
the format of updates, docs/format.md.`,
	setup: func(*flag.FlagSet) func(*console, []string) error { return version },
}

type versionInfo struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"`
	Modified bool   `json:"modified,omitempty"` // built from files that differ from the revision
	Go       string `json:"go"`
	Platform string `json:"platform"`
	Format   int    `json:"format"`
}

func version(c *console, args []string) error {
	if len(args) > 0 {
		return usage("it takes no arguments")
	}
	v := versionInfo{Version: "(devel)", Go: goruntime.Version(), Platform: goruntime.GOOS + "/" + goruntime.GOARCH, Format: formatVersion}
	if b, ok := debug.ReadBuildInfo(); ok {
		v.Version = cmp.Or(b.Main.Version, v.Version)
		for _, s := range b.Settings {
			switch s.Key {
			case "vcs.revision":
				v.Revision = s.Value
			case "vcs.modified":
				v.Modified = s.Value == "true"
			}
		}
	}
	if c.json {
		return writeJSON(c.out, v)
	}
	from := ""
	if v.Revision != "" {
		from = ", revision " + clip(v.Revision, 13)
		if v.Modified {
			from += ", modified"
		}
	}
	_, err := fmt.Fprintf(c.out, "weft %s%s, %s, %s, format %d\n", v.Version, from, v.Go, v.Platform, v.Format)
	return err
}
