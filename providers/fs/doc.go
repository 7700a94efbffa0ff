// Package fs keeps documents in files.
//
// [Open] opens a [Store]: many documents in one directory, on bbolt. It is a providers.Store, so a providers.Keeper ties a
// document to it:
//
//	store, err := fs.Open(dir, nil)
//	if err != nil {
//		return err
//	}
//	defer store.Close()
//
// and then, for a document
//
//	keeper, err := providers.Keep(ctx, rt, store, "notes", nil)
//
// What Append has returned nil for survives a crash of the process and of the machine. All calls that wait at one moment are
// written together and synced once. Each record and snapshot has a checksum; what is damaged is reported by name, never
// served and never skipped, and the other documents go on.
//
// [OpenFile] keeps one document in one file that one can mail or keep under version control; [OpenFolder] lets replicas share a
// directory through any program that copies files. docs/files.md has both.
//
// docs/store.md has the layout of a store, byte by byte, and its operation: backup, verification, compaction, what each
// error means.
//
// # Reading the source
//
//	store.go      Store: open, read, close             store_options.go  options and errors
//	create.go     a new store, its meta records         boot.go           which opening this is, of which copy
//	record.go     the envelope around all that is kept  index.go          what is where, in memory
//	commit.go     the group committer                   append.go         Append; room, on disk and in the queue
//	snapshot.go   snapshots in two generations, Trim    damage.go         what is damaged
//	verify.go     Verify and the scrub                  tree.go           bbolt's pages, checked before bbolt reads them
//	compact.go    a new file without free pages         backup.go         a copy while running
//	lend.go       stable replica IDs                    owner.go          who has the directory
//	file.go       one document in one file              folder.go         replicas that share a directory
//	writer.go     the group committer of both           logfile.go        their records
//	filesystem.go the operations that they need of a disk
package fs
