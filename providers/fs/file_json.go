package fs

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	iofs "io/fs"
	"time"

	"github.com/seed1312cc15/weft/runtime"
)

// jsonCopy keeps the value of a document in a file beside. It promises nothing: the document is elsewhere.
type jsonCopy struct {
	f    *File
	stop func()
	wake chan struct{}
	end  chan struct{}
	done chan struct{}
	err  error // of the last write
}

func newJSONCopy(f *File) *jsonCopy {
	c := &jsonCopy{f: f, wake: make(chan struct{}, 1), end: make(chan struct{}), done: make(chan struct{})}
	c.stop = f.rt.OnUpdate(func(runtime.Update) { c.poke() })
	c.poke() // it may be missing, or old
	go c.run()
	return c
}

func (c *jsonCopy) poke() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

func (c *jsonCopy) run() {
	defer close(c.done)
	for {
		select {
		case <-c.end:
			return
		case <-c.wake:
		}
		t := time.NewTimer(c.f.opt.JSONDelay)
		select {
		case <-c.end:
			t.Stop()
			return
		case <-t.C:
		}
		select {
		case <-c.wake:
		default:
		}
		c.write()
	}
}

func (c *jsonCopy) write() {
	c.err = c.update()
	if c.err != nil {
		c.f.opt.Logger.Warn("weft: the JSON copy was not written", "path", c.f.opt.JSON, "error", c.err)
	}
}

func (c *jsonCopy) update() error {
	data, err := c.f.rt.MarshalJSON()
	if err != nil {
		return err
	}
	var b bytes.Buffer
	if err := json.Indent(&b, data, "", "  "); err != nil {
		return err
	}
	b.WriteByte('\n')
	path := c.f.opt.JSON
	have, err := readFile(c.f.fs, path, mostFile)
	if err == nil && bytes.Equal(have, b.Bytes()) || err != nil && !errors.Is(err, iofs.ErrNotExist) {
		return err
	}
	return replace(c.f.fs, path, path+".new", path, b.Bytes(), nil)
}

// close writes the last value.
func (c *jsonCopy) close() error {
	c.stop()
	close(c.end)
	<-c.done
	if c.write(); c.err != nil {
		return fmt.Errorf("fs: JSON copy: %w", c.err)
	}
	return nil
}
