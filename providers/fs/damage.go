//go:build !js && !wasip1 && !plan9

package fs

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"os"
	"slices"
	"unsafe"

	"github.com/seed1312cc15/weft/providers"
)

// damageKey tells cases of damage apart: that of a record by its position, of a snapshot by its id, else 0.
type damageKey struct {
	document     string
	position, id uint64
}

// damage returns err as a *providers.DamageError, and notes it. Unless r.report is set it is only suspected.
func (r *reader) damage(position, id uint64, offset int64, err error) error {
	if failed := r.s.queue.failure(); failed != nil && errors.Is(failed, providers.ErrStoreFailed) && errors.Is(err, errMissing) {
		return failed // a transaction whose end is unknown: index and file may differ
	}
	if errors.Is(err, providers.ErrStoreFailed) {
		return err
	}
	d := &providers.DamageError{Document: r.name, Position: position, Offset: offset, Reason: err.Error()}
	if r.report {
		r.s.noteDamage(d, id)
	}
	return d
}

func (s *Store) noteDamage(d *providers.DamageError, id uint64) {
	key := damageKey{d.Document, d.Position, id}
	s.mu.Lock()
	_, known := s.mu.damage[key]
	s.mu.damage[key] = d
	s.mu.Unlock()
	if !known {
		s.log.Error("weft: stored data is damaged", "document", d.Document, "position", d.Position, "offset", d.Offset, "reason", d.Reason)
	}
}

// forgetDamage is called, with mu held, when what was damaged is there no more: records up to through, and a snapshot.
func (s *Store) forgetDamage(name string, through, id uint64) {
	for k := range s.mu.damage {
		if k.document == name && (k.position == 0 && k.id == id || k.position != 0 && k.position <= through) {
			delete(s.mu.damage, k)
		}
	}
}

// offset returns where in the file a value lies that bbolt returned, 0 if that is unknown.
func (r *reader) offset(value []byte) int64 {
	if len(value) == 0 {
		return 0
	}
	at := uintptr(unsafe.Pointer(&value[0])) - r.tx.DB().Info().Data
	if at < uintptr(r.tx.Size()) {
		return int64(at)
	}
	if r.tx.Size() > 16<<20 {
		return 0
	}
	file, err := os.ReadFile(r.tx.DB().Path()) // bbolt has copied it out of a small bucket: look for it
	if err != nil {
		return 0
	}
	return int64(max(0, bytes.Index(file, value)))
}

// Damaged returns what was found to be damaged since the store was opened and is still there: on opening, by Load, by the
// scrub, by Verify. Sorted by document and position.
func (s *Store) Damaged() []*providers.DamageError {
	s.mu.RLock()
	defer s.mu.RUnlock()
	out := make([]*providers.DamageError, 0, len(s.mu.damage))
	for _, d := range s.mu.damage {
		c := *d
		out = append(out, &c)
	}
	slices.SortFunc(out, func(a, b *providers.DamageError) int {
		return cmp.Or(cmp.Compare(a.Document, b.Document), cmp.Compare(a.Position, b.Position), cmp.Compare(a.Reason, b.Reason))
	})
	return out
}

// storeDamage is for what cannot be attributed to one document.
func storeDamage(format string, args ...any) error {
	return &providers.DamageError{Reason: fmt.Sprintf(format, args...) + "; restore a backup, or open with ReadOnly to read what is left"}
}
