package fs

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/seed1312cc15/weft/providers"
	"github.com/seed1312cc15/weft/runtime"
	"github.com/seed1312cc15/weft/vclock"
)

// FolderOptions configure a Folder. nil and zero fields mean the defaults. They are copied.
type FolderOptions struct {
	// Local is a directory of this device and user alone, outside of what is shared, that exists and is not copied to another
	// device. It keeps an ID of the device, and the locks of its sessions. With it, files of sessions that have ended here are
	// folded into one; without it, each session that writes leaves a file for ever.
	Local string
	// Sessions is how many files of ended sessions of this device may stay before they are folded; default 8.
	Sessions int
	// LogBytes is how long a session's own file gets before it is replaced by a state, and no sooner than twice that state.
	// Default 1 MiB; range [1, 2^30].
	LogBytes int
	// FileBytes bounds the files of others that are read; default 256 MiB.
	FileBytes int
	// Interval is the time between two looks at the folder; default 2 s, negative: only Sync looks.
	Interval time.Duration
	// Grace is after how many looks in a row a transaction that the document holds, and no file of the folder any more, is
	// written anew; default 30. Less costs more when files come in disorder.
	Grace int
	// OnError is called once, in a goroutine of the Folder, when writing has failed: nothing becomes durable any more.
	OnError func(error)
	Logger  *slog.Logger // default: nothing is logged

	fs   fileSystem
	rand io.Reader
}

func (o *FolderOptions) fill() error {
	for _, f := range []struct {
		name     string
		v        *int
		def, max int
	}{
		{"Sessions", &o.Sessions, 8, 1 << 20}, {"LogBytes", &o.LogBytes, 1 << 20, 1 << 30},
		{"FileBytes", &o.FileBytes, 256 << 20, mostFile}, {"Grace", &o.Grace, 30, 1 << 30},
	} {
		if *f.v == 0 {
			*f.v = f.def
		}
		if *f.v < 0 || *f.v > f.max {
			return fmt.Errorf("%w: %s is %d; the range is [1, %d]", providers.ErrInvalidOptions, f.name, *f.v, f.max)
		}
	}
	if o.Interval == 0 {
		o.Interval = 2 * time.Second
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.rand == nil {
		o.rand = rand.Reader
	}
	if o.fs == nil {
		o.fs = osFS{}
		return available()
	}
	return nil
}

// Folder keeps one document in a directory that any tool may copy between devices, whole or file by file: Syncthing, Dropbox,
// rsync, a USB stick. Each session, one opening by one process, writes one file and reads all others; replicas that see each
// other's files converge.
//
//  1. A session writes to its own file only, which it makes with its first update. It appends to it, or replaces it as a whole.
//  2. A file is a log of messages and states. Files may come in any order, in part, as older versions and as copies under
//     other names: what is valid is applied, the rest is waited for.
//  3. What Durable counts is in files of the directory that are synced here.
//  4. It removes no file but those of ended sessions of its own device, and those only when its own file, synced, holds all
//     that they do.
//  5. What the document holds, and no file holds any more, is written to the own file: after Grace, or on Close.
//  6. After the first failed write or sync nothing is written until the folder is opened anew; Err tells why. Reading goes on.
//
// It starts two goroutines, which Close waits for. Safe for concurrent use.
type Folder struct {
	w       writer
	rt      *runtime.Runtime
	dir     string
	name    string // of the own file
	opt     FolderOptions
	fs      fileSystem
	id      vclock.Replica // of the runtime, at the opening
	device  uuid.UUID
	release func(remove bool) error
	once    sync.Once
	closed  error
	stop    context.CancelFunc
	polls   sync.WaitGroup

	turn  chan struct{} // held by the Sync that is under way; guards files
	files map[string]*folderFile

	// Of the writer's goroutine.
	own       logFile
	rewriteAt int64
	missed    int // looks in a row that found something of the document in no file

	mu     sync.Mutex // a leaf
	holds  dots       // of the own file
	others dots       // of the other files
	old    []oldFile  // of sessions of this device
	status []FileStatus
}

// FileStatus is what a Folder knows of one file.
type FileStatus struct {
	Name string
	Size int64
	Read int64 // bytes from its start that are in the document
	// Err is nil for a file that is read to its end. ErrIncomplete: the rest has not come yet, or never will, if its writer
	// crashed. *providers.DamageError: valid records follow bytes that are not; they may still be on their way, and are not
	// skipped. Others: the document refused something.
	Err error
}

// ErrIncomplete marks a file whose end is missing.
var ErrIncomplete = errors.New("fs: the end of the file is not there yet")

const folderEnd = ".weftlog"

// OpenFolder loads what a directory holds of a document into a runtime, keeps what the runtime applies from then on there,
// and follows what others write. A directory is for one document. rt may be the Runtime of a typed document, as weft.Open
// gives it. Files that cannot be read are no error, see Files: they may still be on their way.
//
// Errors: those of the file system; providers.ErrInvalidOptions.
func OpenFolder(rt *runtime.Runtime, dir string, o *FolderOptions) (*Folder, error) {
	f := &Folder{rt: rt, turn: make(chan struct{}, 1), files: make(map[string]*folderFile), holds: make(dots), others: make(dots)}
	if o != nil {
		f.opt = *o
	}
	if err := f.opt.fill(); err != nil {
		return nil, err
	}
	f.fs = f.opt.fs
	var err error
	if f.dir, err = filepath.Abs(dir); err != nil {
		return nil, err
	}
	var n [4]byte
	if _, err := io.ReadFull(f.opt.rand, n[:]); err != nil {
		return nil, fmt.Errorf("fs: name of a session: %w", err)
	}
	f.id = rt.Replica()
	f.name = fmt.Sprintf("%v-%x%s", f.id, n, folderEnd)
	if err := f.local(); err != nil {
		return nil, err
	}
	f.own = logFile{fs: f.fs, path: filepath.Join(f.dir, f.name), header: logHeader{Session: f.id, Device: f.device}}
	f.rewriteAt = int64(f.opt.LogBytes)
	f.w.init(rt, f, f.dir, f.opt.Logger)
	f.w.origin, f.w.failed = f, f.opt.OnError
	if err := f.look(); err != nil {
		f.release(true)
		return nil, err
	}
	f.w.start()
	ctx, stop := context.WithCancel(context.Background())
	f.stop = stop
	if f.opt.Interval > 0 {
		f.polls.Go(func() { f.poll(ctx) })
	}
	return f, nil
}

// local finds or makes the device's ID and locks the session.
func (f *Folder) local() error {
	f.release = func(bool) error { return nil }
	if f.opt.Local == "" {
		return nil
	}
	path := filepath.Join(f.opt.Local, "device")
	data, err := readFile(f.fs, path, 64)
	switch {
	case errors.Is(err, iofs.ErrNotExist):
		if f.device, err = uuid.NewRandomFromReader(f.opt.rand); err == nil {
			err = replace(f.fs, path, path+"."+f.name+".new", path, []byte(f.device.String()+"\n"), nil)
		}
	case err == nil:
		if f.device, err = uuid.Parse(strings.TrimSpace(string(data))); err != nil {
			err = fmt.Errorf("fs: %s holds no device ID; remove it to take a new one: %w", path, err)
		}
	}
	if err != nil {
		return err
	}
	f.release, err = f.fs.Lock(f.lock(f.name))
	return err
}

func (f *Folder) lock(name string) string { return filepath.Join(f.opt.Local, name+".lock") }

func (f *Folder) poll(ctx context.Context) {
	t := time.NewTicker(f.opt.Interval)
	defer t.Stop()
	var last string
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		switch err := f.Sync(ctx); {
		case err == nil:
			last = ""
		case ctx.Err() == nil && err.Error() != last:
			last = err.Error()
			f.opt.Logger.Warn("weft: the folder was not synced", "path", f.dir, "error", err)
		}
	}
}

// Sync reads what is new in the folder now, makes sure that the own file is there, and makes everything durable. Not to be
// called in an event handler. Errors: Err, ErrClosed, those of reading the directory and of ctx.
func (f *Folder) Sync(ctx context.Context) error {
	select {
	case f.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	err := f.look()
	<-f.turn
	if err == nil {
		err = f.w.flush(ctx)
	}
	if err == nil {
		err = f.w.do(ctx, func() error { return f.tend(f.opt.Grace) })
	}
	return err
}

// Path returns the own file, which is there once this session has written.
func (f *Folder) Path() string { return f.own.path }

// Files returns what is known of the files of the folder, as of the last look, by name; the own one is not among them.
func (f *Folder) Files() []FileStatus {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]FileStatus(nil), f.status...)
}

// Durable returns how many dots of a replica are in synced files of the folder on this device: it is what Options.Durable of
// a session wants. Whether other devices have them it does not say.
func (f *Folder) Durable(r vclock.Replica) uint64 { return f.w.durableOf(r) }

// OnDurable calls fn, without a lock, when more has become durable or writing has failed: call Session.Poke there.
func (f *Folder) OnDurable(fn func()) (stop func()) { return f.w.onDurable(fn) }

// Err returns why nothing is written any more, nil if all is well: an error that wraps providers.ErrStoreFailed, and
// providers.ErrStoreFull for a full disk. Open the folder anew, with the same runtime, to go on.
func (f *Folder) Err() error { return f.w.errOf() }

// Flush waits until all that the document holds now is durable. Errors: Err, ErrClosed, those of ctx.
func (f *Folder) Flush(ctx context.Context) error { return f.w.flush(ctx) }

// Close makes everything durable and ends. Updates that come meanwhile are not kept. It returns why something could not be
// written.
func (f *Folder) Close() error {
	f.once.Do(func() {
		f.stop()
		f.polls.Wait()
		f.w.quiet()
		err := f.Flush(context.Background())
		if err == nil {
			err = f.w.do(context.Background(), func() error { return f.tend(1) })
		}
		f.w.end()
		f.closed = errors.Join(err, f.release(f.w.errOf() == nil))
	})
	return f.closed
}
