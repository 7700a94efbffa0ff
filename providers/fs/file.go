package fs

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"github.com/seed1312cc15/weft/providers"
	"github.com/seed1312cc15/weft/runtime"
	"github.com/seed1312cc15/weft/vclock"
)

// FileOptions configure a File. nil and zero fields mean the defaults. They are copied.
type FileOptions struct {
	// FoldBytes is how long the journal gets, in bytes, before it is folded into the file; a journal shorter than the file
	// is left alone in any case, so that the work follows what is written. Default 1 MiB; range [1, 2^30].
	FoldBytes int
	// Compress is the level of compression of the file, 1 (fast) to 4 (small); default 0: none, which suits version control.
	Compress int
	// JSON is the path of a copy of the current value as JSON, for other programs; default: none. It is replaced as a whole,
	// at most once in JSONDelay (default 500 ms) and on Close, and never read.
	JSON      string
	JSONDelay time.Duration
	// OnError is called once, in a goroutine of the File, when writing has failed: nothing becomes durable any more.
	OnError func(error)
	Logger  *slog.Logger // default: nothing is logged

	fs   fileSystem
	rand io.Reader
}

func (o *FileOptions) fill() error {
	if o.FoldBytes == 0 {
		o.FoldBytes = 1 << 20
	}
	if o.JSONDelay == 0 {
		o.JSONDelay = 500 * time.Millisecond
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.rand == nil {
		o.rand = rand.Reader
	}
	switch {
	case o.FoldBytes < 0 || o.FoldBytes > 1<<30:
		return fmt.Errorf("%w: FoldBytes is %d; the range is [1, 2^30]", providers.ErrInvalidOptions, o.FoldBytes)
	case o.Compress < 0 || o.Compress > 4:
		return fmt.Errorf("%w: Compress is %d; the range is [0, 4]", providers.ErrInvalidOptions, o.Compress)
	case o.JSONDelay < 0:
		return fmt.Errorf("%w: JSONDelay is negative", providers.ErrInvalidOptions)
	}
	if o.fs == nil {
		o.fs = osFS{}
		return available()
	}
	return nil
}

// File keeps one document in one file that can be copied, mailed and kept under version control: a saved state. While it is
// open, transactions are appended to a journal beside it, which Close folds in.
//
//  1. What Durable counts is in the file or the journal, and synced.
//  2. The file is replaced as a whole: at every moment it is a complete saved state, the old one or the new one.
//  3. File and journal together can be read at every moment: a crash spoils at most the end of the journal, which is what
//     was not durable yet.
//  4. A file that others replaced while it is open is merged, never overwritten unread.
//  5. After the first failed write or sync nothing is written until the document is opened anew; Err tells why. The document
//     itself goes on in memory.
//
// It never lends a replica ID, since files are meant to be copied: each Runtime that opens one writes under an ID of its own.
//
// It starts one goroutine, one more for JSON and one while a file from elsewhere is merged; Close waits for them. Safe for
// concurrent use.
type File struct {
	w    writer
	rt   *runtime.Runtime
	path string // without symbolic links, so that the lock is that of the file
	opt  FileOptions
	fs   fileSystem
	json *jsonCopy

	release func(remove bool) error
	once    sync.Once
	closed  error

	// Of the writer's goroutine.
	journal logFile
	size    int64 // of the file
	foldAt  int64

	mu     sync.Mutex // a leaf
	known  [32]byte   // SHA-256 of the file as it was last read or written here: CRCs of states, which end with one, meet
	exists bool       // it was there
	merge  *merge     // under way; nil: none
}

// ErrNotState marks a document's file that holds a message, a bundle or a delta.
var ErrNotState = errors.New("fs: a document's file is a saved state")

// OpenFile loads the document at path into a runtime and keeps it there from then on: every update that the runtime applies,
// its own and others', goes to the file. A file that does not exist is made with the first update. What the runtime held
// before is added to the document. rt may be the Runtime of a typed document, as weft.Open gives it.
//
// Beside the file stand, while it is open or after a crash, path.journal, path.lock and path.new.
//
// Errors: *LockedError if it is open elsewhere; *providers.DamageError, with the offset, if file or journal are not what
// was written; ErrNotState; those of Runtime.Receive; those of the file system. Nothing was written then, and the runtime may hold a part.
func OpenFile(rt *runtime.Runtime, path string, o *FileOptions) (*File, error) {
	f := &File{rt: rt}
	if o != nil {
		f.opt = *o
	}
	if err := f.opt.fill(); err != nil {
		return nil, err
	}
	f.fs = f.opt.fs
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target
	}
	f.path = path
	if f.release, err = f.fs.Lock(path + ".lock"); err != nil {
		return nil, err
	}
	f.w.init(rt, f, path, f.opt.Logger)
	f.w.failed = f.opt.OnError
	f.journal = logFile{fs: f.fs, path: path + ".journal", like: path}
	if err := f.load(); err != nil {
		f.release(true)
		return nil, err
	}
	f.foldAt = max(int64(f.opt.FoldBytes), f.size)
	f.w.start()
	if f.opt.JSON != "" {
		f.json = newJSONCopy(f)
	}
	return f, nil
}

// load reads file and journal.
func (f *File) load() error {
	f.fs.Remove(f.path + ".new") // of a crash; nothing refers to it
	data, synced, err := readSync(f.fs, f.path, int64(f.rt.Limits().StateBytes)+64)
	if !synced {
		f.w.lacks = lacksState // it is written anew, so that it counts
	}
	switch {
	case errors.Is(err, iofs.ErrNotExist):
	case err != nil:
		return err
	default:
		reach := make(dots)
		if err := f.take(data, reach); err != nil {
			return err
		}
		if synced {
			f.w.durable.addAll(reach)
		}
		f.size = int64(len(data))
		f.known, f.exists = sha256.Sum256(data), true
	}
	return f.loadJournal()
}

// take brings the content of the file at path into the document and counts its dots.
func (f *File) take(data []byte, reach dots) error {
	damaged := func(reason string) error {
		return &providers.DamageError{Document: f.path, Reason: reason}
	}
	if len(data) == 0 {
		return damaged("the file is empty: restore it from a copy, or remove it to begin anew")
	}
	kind, err := runtime.KindOf(data)
	if err != nil {
		return damaged(fmt.Sprintf("this is no saved state: %v", err))
	}
	if kind != runtime.StateUpdate {
		return fmt.Errorf("%w: %s holds a %v, of which `weft merge -o FILE FILE` makes one", ErrNotState, f.path, kind)
	}
	if _, err := f.rt.Receive(data, runtime.From(f)); err != nil {
		var at *runtime.DecodeError
		if errors.As(err, &at) && (errors.Is(err, runtime.ErrCorrupt) || errors.Is(err, runtime.ErrChecksum)) {
			return fmt.Errorf("%w: %w", &providers.DamageError{Document: f.path, Offset: int64(at.Offset), Reason: "the saved state cannot be read"}, err)
		}
		return fmt.Errorf("fs: %s: %w", f.path, err)
	}
	if reach != nil {
		if err := reach.addUpdate(data); err != nil {
			return err
		}
	}
	return nil
}

// loadJournal applies the journal, if there is one, and cuts off a torn end.
func (f *File) loadJournal() error {
	j := &f.journal
	data, err := readFile(f.fs, j.path, mostFile)
	if errors.Is(err, iofs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	damaged := func(n uint64, offset int64, err error) error {
		return &providers.DamageError{Document: j.path, Position: n, Offset: offset, Reason: err.Error()}
	}
	h, err := parseLogHeader(data)
	switch {
	case errors.Is(err, ErrLogVersion):
		return fmt.Errorf("%s: %w", j.path, err)
	case err != nil: // it was durable before the file had this name
		return damaged(0, 0, err)
	}
	rest := data[logHead:]
	for n := uint64(1); ; n++ {
		offset := int64(len(data) - len(rest))
		payload, next, err := nextRecord(rest, h.Mark, offset)
		if errors.Is(err, errTorn) {
			f.opt.Logger.Warn("weft: the journal breaks off; its end was not durable and is removed", "path", j.path, "offset", offset, "bytes", len(rest))
			if err := j.cut(offset); err != nil {
				return err
			}
			data = data[:offset]
			break
		}
		if err != nil {
			return damaged(n, offset, err)
		}
		if payload == nil {
			break
		}
		res, err := f.rt.Receive(payload, runtime.From(f))
		if err != nil {
			return fmt.Errorf("fs: record %d of %s, at offset %d: %w", n, j.path, offset, err)
		}
		if res.Waiting > 0 {
			f.opt.Logger.Warn("weft: the journal goes with another version of the file; transactions wait for others", "path", j.path, "missing", res.Missing)
		}
		rest = next
	}
	j.header, j.size = h, int64(len(data))
	// Where a sync failed, a journal may read well and yet not be on the disk (LWN 752063): it is folded before it counts.
	f.w.lacks = lacksState
	return nil
}

// Path returns where the document is, without symbolic links.
func (f *File) Path() string { return f.path }

// Durable returns how many dots of a replica are durable: it is what Options.Durable of a session wants.
func (f *File) Durable(r vclock.Replica) uint64 { return f.w.durableOf(r) }

// OnDurable calls fn, without a lock, when more has become durable or writing has failed: call Session.Poke there.
func (f *File) OnDurable(fn func()) (stop func()) { return f.w.onDurable(fn) }

// Err returns why nothing is written any more, nil if all is well: an error that wraps providers.ErrStoreFailed, and
// providers.ErrStoreFull for a full disk. Open the document anew, with the same runtime, to go on.
func (f *File) Err() error { return f.w.errOf() }

// Flush waits until all that the document holds now is durable. Errors: Err, ErrClosed, those of ctx.
func (f *File) Flush(ctx context.Context) error { return f.w.flush(ctx) }

// Fold brings file and journal together now, so that the file is the whole document: before it is copied or committed.
// A file that others replaced is merged into the document first. Not to be called in an event handler. Errors: Err,
// ErrClosed, those of ctx; a full disk or a document over the limits, which leave file and journal as they were.
func (f *File) Fold(ctx context.Context) error {
	for {
		err := f.w.do(ctx, f.fold)
		if !errors.Is(err, errBusy) {
			return err
		}
		m := f.merging()
		if m == nil {
			continue
		}
		select {
		case <-m.done:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Close makes everything durable, folds the journal into the file and gives up the lock. Updates that come meanwhile are not
// kept. It returns why something could not be written; what was durable is then in file and journal.
func (f *File) Close() error {
	f.once.Do(func() {
		f.w.quiet()
		err := f.Flush(context.Background())
		if err == nil {
			err = f.Fold(context.Background())
		}
		f.w.end()
		if m := f.merging(); m != nil {
			<-m.done
		}
		if f.json != nil {
			err = errors.Join(err, f.json.close())
		}
		f.closed = errors.Join(err, f.release(true))
	})
	return f.closed
}
