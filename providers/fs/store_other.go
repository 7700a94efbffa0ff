//go:build js || wasip1 || plan9

package fs

import (
	"context"
	"io"
	"iter"

	"github.com/seed1312cc15/weft/providers"
	"github.com/seed1312cc15/weft/vclock"
)

// Store is not to be had on this platform.
type Store struct{}

// Open returns ErrUnsupported.
func Open(string, *StoreOptions) (*Store, error) { return nil, ErrUnsupported }

func (*Store) Append(context.Context, []providers.Record) ([]uint64, error) {
	return nil, ErrUnsupported
}
func (*Store) Load(context.Context, string) (*providers.Stored, error) { return nil, ErrUnsupported }
func (*Store) Snapshot(context.Context, string, *providers.Snapshot) error {
	return ErrUnsupported
}
func (*Store) Trim(context.Context, string, uint64) error { return ErrUnsupported }
func (*Store) List(context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) { yield("", ErrUnsupported) }
}
func (*Store) Close() error                         { return ErrUnsupported }
func (*Store) Remove(context.Context, string) error { return ErrUnsupported }
func (*Store) Salvage(context.Context, string) (*providers.Stored, []error, error) {
	return nil, nil, ErrUnsupported
}
func (*Store) Verify(context.Context) (*VerifyReport, error) { return nil, ErrUnsupported }
func (*Store) Damaged() []*providers.DamageError             { return nil }
func (*Store) Boot() Boot                                    { return Boot{} }
func (*Store) Backup(context.Context, io.Writer) error       { return ErrUnsupported }
func (*Store) Compact(context.Context) error                 { return ErrUnsupported }
func (*Store) Lend(context.Context, string) (vclock.Replica, func(), error) {
	return vclock.Replica{}, nil, ErrUnsupported
}
func (*Store) Drop(context.Context, string) error { return ErrUnsupported }

var _ providers.Store = (*Store)(nil)
