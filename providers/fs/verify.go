//go:build !js && !wasip1 && !plan9

package fs

import (
	"context"
	"errors"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/seed1312cc15/weft/providers"
)

// Verify reads everything that is stored, trimmed records and older snapshots included, and returns what it found. Damage is
// in the report, not in the error. Other calls go on. Cost: one read of the file.
func (s *Store) Verify(ctx context.Context) (*VerifyReport, error) {
	if err := s.begin(ctx); err != nil {
		return nil, err
	}
	defer s.calls.Done()
	report := &VerifyReport{}
	for _, name := range s.names() {
		if err := s.verifyDocument(ctx, name, report); err != nil {
			return report, err
		}
	}
	report.Damaged = s.Damaged()
	return report, nil
}

// verifyDocument reads all of a document, and notes its damage. An error is that of ctx.
func (s *Store) verifyDocument(ctx context.Context, name string, report *VerifyReport) error {
	s.structure.RLock()
	defer s.structure.RUnlock()
	r := &reader{s: s, ctx: ctx, name: name, report: true}
	_ = r.locate() // an orphan is noted already
	if r.doc.empty() {
		return nil
	}
	report.Documents++
	fault := s.view(func(tx *bolt.Tx) error {
		r.tx = tx
		r.each(report, nil)
		return nil
	})
	if fault != nil {
		_ = r.damage(0, 0, 0, fault)
	}
	return ctx.Err()
}

// each reads a document piece by piece, and gives what can be read to keep.
func (r *reader) each(report *VerifyReport, keep *providers.Stored) (damage []error) {
	for _, g := range []generation{r.doc.newest, r.doc.older} {
		if g.id == 0 {
			continue
		}
		h, err := r.parts(g, func(*snapshotHeader, []byte) {})
		if err == nil && keep != nil && keep.Snapshot == nil {
			keep.Snapshot, err = r.snapshot(g)
		}
		if err != nil {
			damage = append(damage, err)
			continue
		}
		report.Snapshots++
		report.Bytes += int64(h.size)
	}
	for _, p := range r.doc.positions(0) {
		if r.ctx.Err() != nil {
			return damage
		}
		data, err := r.record(p)
		if err != nil {
			damage = append(damage, err)
			continue
		}
		report.Records++
		report.Bytes += int64(len(data))
		if keep != nil {
			keep.Records = append(keep.Records, providers.StoredRecord{Position: p, Data: data})
		}
	}
	return damage
}

// Salvage returns what can be read of a document that Load refuses, and what cannot: the newer of its snapshots that is whole,
// and all records in the file, trimmed ones included. Updates are idempotent, so a runtime takes them all.
func (s *Store) Salvage(ctx context.Context, name string) (*providers.Stored, []error, error) {
	if err := s.begin(ctx); err != nil {
		return nil, nil, err
	}
	defer s.calls.Done()
	if err := checkDocument(name); err != nil {
		return nil, nil, err
	}
	s.structure.RLock()
	defer s.structure.RUnlock()
	var damage []error
	r := &reader{s: s, ctx: ctx, name: name, report: true}
	if err := r.locate(); err != nil {
		damage = append(damage, err)
	}
	out := &providers.Stored{}
	fault := s.view(func(tx *bolt.Tx) error {
		r.tx = tx
		damage = append(damage, r.each(&VerifyReport{}, out)...)
		return nil
	})
	if fault != nil {
		damage = append(damage, fault)
	}
	return out, damage, ctx.Err()
}

// scrub verifies one document after the other, for ever; after an unclean end all of them once without a pause.
func (s *Store) scrub(ctx context.Context) {
	s.mu.RLock()
	pause := !s.mu.boot.Unclean
	s.mu.RUnlock()
	if s.opt.ScrubEvery < 0 {
		return
	}
	timer := time.NewTicker(s.opt.ScrubEvery)
	defer timer.Stop()
	for {
		names := s.names()
		for _, name := range names {
			if pause && !wait(ctx, timer) {
				return
			}
			if err := s.verifyDocument(ctx, name, &VerifyReport{}); err != nil {
				if !errors.Is(err, context.Canceled) {
					s.log.Warn("weft: the scrub ended", "error", err)
				}
				return
			}
		}
		if len(names) == 0 && !wait(ctx, timer) {
			return
		}
		pause = true
	}
}

func wait(ctx context.Context, t *time.Ticker) bool {
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
