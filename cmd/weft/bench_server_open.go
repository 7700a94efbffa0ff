//go:build !js

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/seed1312cc15/weft"
	"github.com/seed1312cc15/weft/providers"
	"github.com/seed1312cc15/weft/providers/fs"
)

func fixedRand() *rand.Rand { return rand.New(rand.NewPCG(1, 2)) }

// letters returns text that compresses little.
func letters(r *rand.Rand, n int) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	b := make([]byte, n)
	for i := range b {
		b[i] = alphabet[r.IntN(len(alphabet))]
	}
	return string(b)
}

// pasted returns a document whose state has about that many bytes.
func pasted(size int) (*weft.Document[note], error) {
	doc, err := weft.Open[note](nil)
	if err != nil {
		return nil, err
	}
	r := fixedRand()
	for left := size; left > 0; left -= 20_000 {
		err := doc.Transact(func(tx weft.Tx) error {
			return doc.Root.Body.Insert(tx, r.IntN(doc.Root.Body.Len(tx)+1), letters(r, min(left, 20_000)))
		})
		if err != nil {
			return nil, err
		}
	}
	return doc, nil
}

// bigDocument is the size of the document of L4, coldDocument of those of L5, bytes of a saved state.
const (
	bigDocument  = 4 << 20
	coldDocument = 50_000
	// loaders of the joiners of L4 load what they got.
	loaders = 5
)

// joiners is L4: all open one document at once, which all get in chunks of one encoded state.
func (l *load) joiners() (err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	dir, remove, err := l.scratch()
	if err != nil {
		return err
	}
	defer remove()
	doc, err := l.seed(ctx, dir, int(float64(bigDocument)*min(1, l.scale)))
	if err != nil {
		return err
	}
	server, err := l.start(dir, 0)
	if err != nil {
		return err
	}
	all := make([]*light, l.clients)
	defer func() {
		each(all, 32, func(_ int, p *light) error {
			if p != nil && p.conn != nil {
				p.close()
			}
			return nil
		})
		err = errors.Join(err, server.stop())
	}()
	err = each(all, 32, func(i int, _ *light) error {
		p := &light{gather: i < loaders}
		all[i] = p
		if err := dialLight(ctx, server.url, fmt.Sprint("user ", i), p); err != nil {
			return err
		}
		return p.wait(ctx, p.admitted)
	})
	if err != nil {
		return err
	}
	question := "collect"
	before, err := server.ask(question)
	if err != nil {
		return err
	}
	if l.cpuProfile != "" {
		if before, err = server.ask("profile " + l.cpuProfile); err != nil {
			return err
		}
	}
	used, begin := cpuTime(), time.Now()
	h := newHistogram()
	var mu sync.Mutex
	err = each(all, len(all), func(_ int, p *light) error {
		if err := p.open(1, roomName(0), true); err != nil {
			return err
		}
		if err := p.wait(ctx, p.synced); err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		record(h, time.Since(begin))
		return nil
	})
	took := time.Since(begin)
	used = cpuTime() - used
	if err != nil {
		return err
	}
	question = "figures"
	if l.cpuProfile != "" {
		question = "profiled"
	}
	after, err := server.ask(question)
	if err != nil {
		return err
	}
	if l.memProfile != "" {
		if _, err := server.ask("heap " + l.memProfile); err != nil {
			return err
		}
	}
	differing, size := 0, int64(0)
	for _, p := range all[:min(loaders, len(all))] {
		size = int64(len(p.whole))
		copied, err := weft.Open[note](nil)
		if err != nil {
			return err
		}
		if _, err := copied.Receive(p.whole); err != nil || copied.Digest() != doc.Digest() {
			differing++
		}
	}
	l.most("all have it after", "s", took.Seconds(), 5)
	l.add("half have it after", "s", percentile(h, 50)/1000)
	l.most("states encoded", "", float64(after.Stats.Encodes), 1)
	l.add("state", "MB", float64(size)/1e6)
	l.add("received", "MB/s", float64(size)*float64(len(all))/1e6/took.Seconds())
	l.most("server RSS, most", "MB", float64(after.Peak)/1e6, float64(2*size+64<<20)/1e6)
	l.add("server RSS before", "MB", float64(before.RSS)/1e6)
	l.add("server CPU", "s", (after.CPU - before.CPU).Seconds())
	l.add("generator CPU", "s", used.Seconds())
	l.none("replicas that differ", differing)
	return nil
}

// idleAfter is when the server of L5 unloads a document that nobody has open.
const idleAfter = 2 * time.Second

// cold is L5: documents that are on the disk are opened, each once.
func (l *load) cold() (err error) {
	ctx := context.Background()
	dir, remove, err := l.scratch()
	if err != nil {
		return err
	}
	defer remove()
	if _, err := l.seed(ctx, dir, coldDocument); err != nil {
		return err
	}
	server, err := l.start(dir, idleAfter)
	if err != nil {
		return err
	}
	all := make([]*light, l.clients)
	defer func() {
		each(all, 32, func(_ int, p *light) error {
			if p != nil && p.conn != nil {
				p.close()
			}
			return nil
		})
		err = errors.Join(err, server.stop())
	}()
	o := &openings{h: newHistogram(), due: make(map[opening]time.Time)}
	for i := range all {
		p := new(light)
		all[i] = p
		p.onDone = func(channel uint64, now time.Time) { o.done(p, channel, now) }
		if err := dialLight(ctx, server.url, fmt.Sprint("user ", i), p); err != nil {
			return err
		}
		if err := p.wait(ctx, p.admitted); err != nil {
			return err
		}
	}
	question := "collect"
	before, err := server.ask(question)
	if err != nil {
		return err
	}
	if l.cpuProfile != "" {
		if before, err = server.ask("profile " + l.cpuProfile); err != nil {
			return err
		}
	}
	begin, used := time.Now(), cpuTime()
	for k, document := range rand.Perm(l.documents) {
		due := begin.Add(time.Duration(float64(k) / l.rate * float64(time.Second)))
		time.Sleep(time.Until(due))
		p, channel := all[k%len(all)], uint64(2*(k/len(all))+1)
		o.add(opening{p, channel}, due)
		if err := p.open(int(channel), roomName(document), true); err != nil {
			return err
		}
	}
	for deadline := time.Now().Add(settleFor); o.left() > 0 && time.Now().Before(deadline); {
		time.Sleep(10 * time.Millisecond)
	}
	took := time.Since(begin)
	used = cpuTime() - used
	question = "figures"
	if l.cpuProfile != "" {
		question = "profiled"
	}
	after, err := server.ask(question)
	if err != nil {
		return err
	}
	quiet := after
	for deadline := time.Now().Add(settleFor); quiet.Stats.Documents > 0 && time.Now().Before(deadline); {
		time.Sleep(idleAfter / 4)
		if quiet, err = server.ask("figures"); err != nil {
			return err
		}
	}
	if quiet, err = server.ask("collect"); err != nil {
		return err
	}
	l.add("open p50", "ms", percentile(o.h, 50))
	l.most("open p99", "ms", percentile(o.h, 99), 20)
	l.add("open max", "ms", float64(o.h.Max())/1000)
	l.add("opened", "/s", float64(o.h.TotalCount())/took.Seconds())
	l.none("documents not opened", o.left())
	l.none("documents still loaded", quiet.Stats.Documents)
	l.add("server RSS before", "MB", float64(before.RSS)/1e6)
	l.add("server RSS, most", "MB", float64(after.Peak)/1e6)
	l.add("server RSS after idle", "MB", float64(quiet.RSS)/1e6)
	l.add("without mapped files, before", "MB", float64(before.Own)/1e6)
	l.add("without mapped files, after idle", "MB", float64(quiet.Own)/1e6)
	l.add("server CPU an open", "ms", 1000*(after.CPU-before.CPU).Seconds()/float64(l.documents))
	l.add("generator CPU", "%", 100*used.Seconds()/took.Seconds())
	return nil
}

// seed fills a store with documents, all with the content of the one that it returns, and has the system forget what it has
// of the files in memory.
func (l *load) seed(ctx context.Context, dir string, size int) (doc *weft.Document[note], err error) {
	if doc, err = pasted(size); err != nil {
		return nil, err
	}
	state, err := doc.Save()
	if err != nil {
		return nil, err
	}
	store, err := fs.Open(dir, nil)
	if err != nil {
		return nil, err
	}
	err = each(make([]struct{}, l.documents), 64, func(i int, _ struct{}) error {
		rt, err := weft.New(nil)
		if err != nil {
			return err
		}
		k, err := providers.Keep(ctx, rt, store, roomName(i), &providers.KeeperOptions{SnapshotRecords: 1})
		if err != nil {
			return err
		}
		_, err = rt.Receive(state)
		return errors.Join(err, k.Close())
	})
	if err := errors.Join(err, store.Close()); err != nil {
		return nil, err
	}
	files, err := os.ReadDir(dir)
	for _, f := range files {
		err = errors.Join(err, dropCached(filepath.Join(dir, f.Name())))
	}
	return doc, err
}

// opening is a document that a client is about to get.
type opening struct {
	p       *light
	channel uint64
}

// openings are those that are under way.
type openings struct {
	mu  sync.Mutex
	h   *hdrhistogram.Histogram
	due map[opening]time.Time
}

func (o *openings) add(x opening, due time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.due[x] = due
}

// done notes that a client has a document, which it closes.
func (o *openings) done(p *light, channel uint64, now time.Time) {
	o.mu.Lock()
	due, ok := o.due[opening{p, channel}]
	if ok {
		delete(o.due, opening{p, channel})
		record(o.h, now.Sub(due))
	}
	o.mu.Unlock()
	if ok {
		p.send([]any{providers.FrameClose, channel})
	}
}

func (o *openings) left() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.due)
}
