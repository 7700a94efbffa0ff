package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/seed1312cc15/weft/providers"
	"github.com/seed1312cc15/weft/providers/fs"
)

var storeCommand = &command{
	name:  "store",
	args:  "verify|list|compact DIR, backup DIR FILE",
	short: "verify, list, compact or back up a server's data directory",
	long: `
store works on the data directory of a server that does not run. (A running one makes backups with --backup, and verifies
its documents in the background.)

  verify DIR       read everything and check every checksum; what is damaged is listed, and the exit code is 1
  list DIR         the documents, a line each: the bytes that are stored of it, and its name, quoted
  compact DIR      write the store anew without free space; needs as much room as is in use
  backup DIR FILE  write a copy to FILE, which is replaced in one step; "-" is stdout

To restore a backup, put it into an empty directory under the name store.db. verify and list write nothing, and may be used
on a read-only disk. Exit codes: 0 done; 1 damaged, in use, or not done; 2 wrong usage.`,
	setup: func(*flag.FlagSet) func(*console, []string) error { return storeAction },
}

func storeAction(c *console, args []string) error {
	if len(args) == 0 {
		return usage("what to do? verify, list, compact or backup")
	}
	actions := map[string]struct {
		args int
		run  func(c *console, s *fs.Store, args []string) error
	}{"verify": {1, verifyStore}, "list": {1, listStore}, "compact": {1, compactStore}, "backup": {2, backupStore}}
	a, ok := actions[args[0]]
	if !ok {
		return usage("there is no %q: verify, list, compact or backup", clip(args[0], 40))
	}
	if len(args) != 1+a.args {
		return usage("%s takes %s, these are %d", args[0], plural(a.args, "argument"), len(args)-1)
	}
	dir := args[1]
	if _, err := os.Stat(filepath.Join(dir, "store.db")); err != nil {
		return fmt.Errorf("no store: %w", err) // Open would make one
	}
	// A backup notes in the store that there is a copy; see fs.Store.Lend.
	write := args[0] == "compact" || args[0] == "backup"
	store, err := fs.Open(dir, &fs.StoreOptions{ReadOnly: !write, CompactPercent: -1, ScrubEvery: -1})
	if err != nil {
		return err
	}
	c.progress.set("%s: %s", args[0], dir)
	err = a.run(c, store, args[2:])
	return errors.Join(err, store.Close())
}

// storeReport is what verify prints as JSON.
type storeReport struct {
	Documents int      `json:"documents"`
	Records   int      `json:"records"`
	Snapshots int      `json:"snapshots"`
	Bytes     int64    `json:"bytes"`
	Damaged   []string `json:"damaged"`
}

func verifyStore(c *console, s *fs.Store, _ []string) error {
	r, err := s.Verify(context.Background())
	if err != nil {
		return err
	}
	out := storeReport{r.Documents, r.Records, r.Snapshots, r.Bytes, []string{}}
	for _, d := range r.Damaged {
		out.Damaged = append(out.Damaged, d.Error())
	}
	c.progress.stop()
	if c.json {
		err = writeJSON(c.out, out)
	} else {
		for _, d := range out.Damaged {
			fmt.Fprintln(c.out, d)
		}
		_, err = fmt.Fprintf(c.out, "%s, %s, %s, %s bytes: %d damaged\n", plural(r.Documents, "document"), plural(r.Records, "record"),
			plural(r.Snapshots, "snapshot"), count(r.Bytes), len(r.Damaged))
	}
	if err == nil && len(r.Damaged) > 0 {
		return exitError{exitFailed, "the store is damaged; docs/store.md tells how to heal it"}
	}
	return err
}

func listStore(c *console, s *fs.Store, _ []string) error {
	ctx := context.Background()
	var damaged error
	for name, err := range s.List(ctx) {
		if err != nil {
			return err
		}
		size, err := storedBytes(ctx, s, name)
		if err != nil {
			damaged = errors.Join(damaged, err)
		}
		if c.json {
			err = writeJSON(c.out, map[string]any{"document": name, "bytes": size, "damaged": err != nil})
		} else {
			_, err = fmt.Fprintf(c.out, "%14s  %q\n", count(size), name)
		}
		if err != nil {
			return err
		}
	}
	return damaged
}

// storedBytes returns how much is stored of a document: its snapshot and its records.
func storedBytes(ctx context.Context, s *fs.Store, name string) (n int64, err error) {
	var stored *providers.Stored
	if stored, err = s.Load(ctx, name); err != nil {
		return 0, err
	}
	if stored.Snapshot != nil {
		n = int64(len(stored.Snapshot.State))
	}
	for _, r := range stored.Records {
		n += int64(len(r.Data))
	}
	return n, nil
}

func compactStore(_ *console, s *fs.Store, _ []string) error { return s.Compact(context.Background()) }

func backupStore(c *console, s *fs.Store, args []string) error {
	if args[0] == "-" {
		return s.Backup(context.Background(), c.out)
	}
	_, err := backup(context.Background(), s, args[0])
	return err
}

// backup writes a copy of a store to a file, which it replaces in one step.
func backup(ctx context.Context, store *fs.Store, path string) (n int64, err error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".weft-*")
	if err != nil {
		return 0, err
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
		}
	}()
	if err := store.Backup(ctx, f); err != nil {
		return 0, err
	}
	if n, err = f.Seek(0, io.SeekCurrent); err != nil {
		return 0, err
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return 0, err
	}
	return n, os.Rename(f.Name(), path)
}
