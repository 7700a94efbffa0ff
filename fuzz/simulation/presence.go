package simulation

import (
	"bytes"
	"fmt"

	"github.com/seed1312cc15/weft/providers"
	"github.com/seed1312cc15/weft/runtime"
	"github.com/seed1312cc15/weft/vclock"
)

// mark begins every value of presence: it may stand in no store.
const mark = "presence"

// presence is who is there in a document, on a server or a client.
func (p *process) presence(rt *runtime.Runtime, server bool) (*providers.Ephemeral, error) {
	return providers.NewEphemeral(&providers.EphemeralOptions{Own: rt.Replica(), OwnKeysOnly: server, Now: p.now})
}

// fade lets presence expire and be repeated, as the programs around do.
func (w *world) fade() {
	for _, s := range w.servers {
		for _, r := range s.rooms {
			if s.alive && r != nil {
				r.shown.Tick(s.now())
			}
		}
	}
	for _, c := range w.clients {
		if c.alive {
			for _, r := range c.docs {
				r.shown.Tick(c.now())
			}
		}
	}
}

// seen says which of those who are at one server do not see each other as they are, or see somebody who has gone. Whoever's clock
// has jumped may do so for as long as it has.
func (w *world) seen(doc *document) error {
	here := make(map[vclock.Replica]*client)
	for _, c := range w.clients {
		here[c.docs[doc.index].rt.Replica()] = c
	}
	for _, c := range w.clients {
		if c.skew != 0 || w.servers[c.home].skew != 0 {
			continue
		}
		own := c.docs[doc.index].shown
		for _, p := range own.Values() {
			if other := here[p.Replica]; other == nil || other.home != c.home && other.skew == 0 {
				return fmt.Errorf("%s: %s sees %v, who has gone", doc.name, c.name, p.Replica)
			}
		}
		value, shows := own.Value(own.Own())
		for _, other := range w.clients {
			if other.home != c.home || other.skew != 0 || !shows {
				continue
			}
			if p, ok := other.docs[doc.index].shown.Value(own.Own()); !ok || !bytes.Equal(p.Value, value.Value) {
				return fmt.Errorf("%s: %s does not see %s", doc.name, other.name, c.name)
			}
		}
	}
	return nil
}

// kept checks that no store holds presence.
func (w *world) kept() {
	look := func(who string, d *disk) {
		for name, c := range d.docs {
			for _, r := range c.records {
				if bytes.Contains(r.data, []byte(mark)) {
					w.fail("%s keeps presence in a record of %s", who, name)
				}
			}
			if c.snapshot != nil && bytes.Contains(c.snapshot.State, []byte(mark)) {
				w.fail("%s keeps presence in the snapshot of %s", who, name)
			}
		}
	}
	for _, s := range w.servers {
		look(s.name, s.disk)
	}
	for _, c := range w.clients {
		if c.disk != nil {
			look(c.name, c.disk)
		}
	}
}
