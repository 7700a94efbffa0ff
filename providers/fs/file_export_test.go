package fs

import "io"

type (
	FileSystem = fileSystem
	Handle     = file
	OSFiles    = osFS
)

func (o *FileOptions) Inject(fsys FileSystem, rand io.Reader) *FileOptions {
	o.fs, o.rand = fsys, rand
	return o
}
