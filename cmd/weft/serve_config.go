//go:build !js

package main

import (
	"bufio"
	"flag"
	"fmt"
	"os"
	"strings"
)

// configure sets the flags that stand in the file of --config and not on the command line. Of limits each counts by
// itself.
func (o *serveOptions) configure(fs *flag.FlagSet) error {
	if o.config == "" {
		return nil
	}
	f, err := os.Open(o.config)
	if err != nil {
		return err
	}
	defer f.Close()
	given := make(map[string]bool)
	fs.Visit(func(f *flag.Flag) { given[f.Name] = true })
	for name := range o.limitSet {
		given["limit "+strings.ToLower(name)] = true
	}
	given["limit documentbytes"] = given["limit documentbytes"] || given["max-doc-size"]
	given["max-doc-size"] = given["limit documentbytes"]
	given["data"], given["memory"] = given["data"] || given["memory"], given["data"] || given["memory"]
	in := bufio.NewScanner(f)
	for n := 1; in.Scan(); n++ {
		line := strings.TrimSpace(in.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		wrong := func(format string, args ...any) error {
			return usage("%s, line %d: %s", o.config, n, fmt.Sprintf(format, args...))
		}
		name, value, ok := strings.Cut(line, "=")
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		switch {
		case !ok:
			return wrong("want NAME = VALUE")
		case fs.Lookup(name) == nil || name == "config" || name == "json" || name == "print-limits":
			return wrong("there is no setting %q", clip(name, 40))
		case name == "limit":
			limit, _, _ := strings.Cut(value, "=")
			if given["limit "+strings.ToLower(strings.TrimSpace(limit))] {
				continue
			}
		case given[name]:
			continue
		}
		if err := fs.Set(name, value); err != nil {
			return wrong("%s: %v", name, err)
		}
	}
	if err := in.Err(); err != nil {
		return named(o.config, err)
	}
	return nil
}
