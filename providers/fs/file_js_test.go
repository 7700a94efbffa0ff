//go:build js

package fs_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/seed1312cc15/weft/providers/fs"
)

func TestFilesAreUnavailable(t *testing.T) {
	_, file := fs.OpenFile(numbered(t, 1).rt, "notes.weft", nil)
	_, folder := fs.OpenFolder(numbered(t, 1).rt, ".", nil)
	for _, err := range []error{file, folder} {
		if !errors.Is(err, errors.ErrUnsupported) || !strings.Contains(err.Error(), "js") {
			t.Error(err)
		}
	}
}
