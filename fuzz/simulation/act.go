package simulation

import (
	"fmt"
	"slices"
	"time"

	"github.com/seed1312cc15/weft/providers"
	"github.com/seed1312cc15/weft/runtime"
	"github.com/seed1312cc15/weft/vclock"
)

// start draws the system.
func (w *world) start() {
	for i := range 1 + w.upTo(1) {
		all := schemas()
		w.docs = append(w.docs, &document{i, fmt.Sprintf("doc%d", i), all[w.upTo(len(all)-1)]})
	}
	if w.pastes = 250; w.chance(8) {
		w.pastes = 25 // so much that logs are trimmed
	}
	bad := len(w.docs) > 0 && w.opt.Servers == 1 && w.chance(3)
	for i := range w.opt.Servers {
		s := &server{process: process{w: w, name: fmt.Sprintf("s%d", i), disk: newDisk(w)}, index: i, numbered: bad || w.chance(2)}
		s.history = w.history()
		s.damaged, s.numbers = make([]bool, len(w.docs)), make([]uint64, len(w.docs))
		for range w.docs {
			s.acked, s.durable = append(s.acked, make(vclock.Clock)), append(s.durable, make(vclock.Clock))
		}
		w.servers = append(w.servers, s)
		s.boot()
	}
	for i := range w.opt.Clients {
		c := &client{process: process{w: w, name: fmt.Sprintf("c%d", i)}, follows: bad || !w.chance(4), history: w.history()}
		if i == 0 || w.chance(2) {
			c.disk = newDisk(w)
			c.lends = w.chance(2)
		}
		c.queue = []int{1, 3, 256}[w.upTo(2)]
		if c.pattern = providers.Clock; !c.follows && w.chance(4) {
			c.pattern = providers.Ongoing
		}
		w.clients = append(w.clients, c)
		c.boot()
	}
	if bad {
		w.hostile = newHostile(w)
	}
}

func (w *world) history() runtime.History {
	return runtime.History{Messages: []int{2, 20, 1000}[w.upTo(2)]}
}

// act makes one step.
func (w *world) act() {
	w.revive()
	switch x := w.upTo(99); {
	case x < 22:
		if c := w.clients[w.upTo(len(w.clients)-1)]; c.alive {
			r := c.docs[w.upTo(len(w.docs)-1)]
			if w.chance(w.pastes) {
				r.paste()
			} else {
				r.write()
			}
			if w.chance(4) {
				r.show()
			}
		}
	case x < 45:
		for range min(len(w.tasks), 1+w.upTo(3)) {
			w.run(w.tasks[w.upTo(len(w.tasks)-1)])
		}
	default:
		for range 1 + w.upTo(3) {
			if len(w.conns) > 0 {
				w.pump(w.conns[w.upTo(len(w.conns)-1)], 1+w.upTo(7))
			}
		}
	}
	if w.hostile != nil && w.chance(8) {
		w.hostile.act()
	}
	if w.chance(30) {
		w.strike()
	}
	if w.chance(60) {
		w.backUp()
	}
	if w.step == w.opt.Steps/2 {
		w.join(true)
	}
}

// join makes somebody come who was not there before.
func (w *world) join(reader bool) {
	c := &client{process: process{w: w, name: fmt.Sprintf("c%d", len(w.clients))}, follows: w.chance(2), history: w.history(), reader: reader}
	c.home, c.queue = w.upTo(len(w.servers)-1), 64
	w.clients = append(w.clients, c)
	c.boot()
}

// revive brings back what is down, and lets everybody look for a connection.
func (w *world) revive() {
	for _, s := range w.servers {
		switch {
		case !s.alive && !w.now.Before(s.again):
			s.boot()
		case s.alive && s.store.failed && (w.calm || w.chance(15)):
			s.kill()
		case s.disk.full && w.chance(40):
			s.disk.full = false
		}
	}
	for _, c := range w.clients {
		switch {
		case !c.alive && !w.now.Before(c.again):
			c.boot()
		case c.alive && c.failed() && (w.calm || w.chance(15)):
			c.disk.full = false
			c.kill()
		}
		c.dial()
		c.open()
	}
	w.mesh()
	w.fade()
}

// mesh keeps the servers connected.
func (w *world) mesh() {
	if len(w.servers) < 2 || !w.servers[0].alive || !w.servers[1].alive {
		return
	}
	for _, c := range w.conns {
		if e := c.ends[0]; e.mesh && !e.lost {
			for i := range w.docs {
				if e.in && e.mux.Session(w.docs[i].name) == nil && w.chance(20) {
					w.servers[0].openPeer(e, i)
				}
			}
			return
		}
	}
	w.connect(w.servers[0], w.servers[1])
}

// strike makes a fault.
func (w *world) strike() {
	var disks []*disk
	var names []string
	for _, s := range w.servers {
		disks, names = append(disks, s.disk), append(names, s.name)
	}
	for _, c := range w.clients {
		if c.disk != nil {
			disks, names = append(disks, c.disk), append(names, c.name)
		}
	}
	at := w.upTo(len(disks) - 1)
	d := disks[at]
	var c *conn
	if len(w.conns) > 0 {
		c = w.conns[w.upTo(len(w.conns)-1)]
	}
	f := deck[w.upTo(len(deck)-1)]
	if f <= LinkSlow && c == nil {
		return
	}
	switch f {
	case LinkCut:
		w.fault(f, "link %d", c.id)
		w.sever(c)
	case LinkHalfOpen:
		w.fault(f, "link %d", c.id)
		i := w.upTo(1)
		c.silent[i] = true
		c.silent[1-i] = c.silent[1-i] || w.chance(2)
	case LinkSlow:
		c.latency = time.Duration(w.upTo(3000)) * time.Millisecond
		w.fault(f, "link %d: %v", c.id, c.latency)
	case StoreSyncFails:
		d.syncFails = true
		w.fault(f, "%s", names[at])
	case StoreFull:
		d.full = true
		w.fault(f, "%s", names[at])
	case StoreSlow:
		d.slow = w.now.Add(time.Duration(w.upTo(20)) * time.Second)
		w.fault(f, "%s", names[at])
	case StoreBitFlip:
		w.damage(names[at], d)
	case StoreUnreadable:
		if at < len(w.servers) {
			d.unreadable = w.now.Add(time.Duration(w.upTo(10)) * time.Second)
			w.fault(f, "%s", names[at])
		}
	case StoreRestored:
		if d.backup != nil && w.hostile == nil {
			w.fault(f, "%s", names[at])
			w.goBack(at)
		}
	case ClientKilled:
		if c := w.clients[w.upTo(len(w.clients)-1)]; c.alive {
			w.fault(f, "%s", c.name)
			c.kill()
		}
	case ServerKilled:
		if s := w.servers[w.upTo(len(w.servers)-1)]; s.alive {
			w.fault(f, "%s", s.name)
			s.kill()
		}
	case ClockStep:
		p := w.process()
		p.skew += time.Duration(w.upTo(7200)-3600) * time.Second / time.Duration(1+w.upTo(999))
		w.fault(f, "%s: %v", p.name, p.skew)
	}
}

// deck holds each fault as often as it is drawn.
var deck = slices.Concat(
	slices.Repeat([]Fault{LinkCut}, 6), slices.Repeat([]Fault{LinkHalfOpen, LinkSlow, StoreSlow, ServerKilled}, 2),
	slices.Repeat([]Fault{ClientKilled, ClockStep}, 3), []Fault{StoreSyncFails, StoreFull, StoreBitFlip, StoreUnreadable, StoreRestored})

// backUp copies a disk.
func (w *world) backUp() {
	if i := w.upTo(len(w.servers) + len(w.clients) - 1); i < len(w.servers) {
		s := w.servers[i]
		s.disk.backup = &backup{docs: s.disk.copy()}
		for _, c := range s.acked {
			s.disk.backup.acked = append(s.disk.backup.acked, c.Clone())
		}
	} else if c := w.clients[i-len(w.servers)]; c.disk != nil {
		c.disk.backup = &backup{docs: c.disk.copy()}
	}
}

// goBack kills a process, and puts an older copy of its store in the place of the present one: what it acknowledged since then is
// lost unless somebody else has it.
func (w *world) goBack(disk int) {
	if disk < len(w.servers) {
		s := w.servers[disk]
		if s.alive {
			s.kill()
		}
		s.acked, s.since = s.disk.backup.acked, w.dialed
		clear(s.numbers)
		clear(s.damaged)
		s.disk.restore()
		return
	}
	for _, c := range w.clients {
		if c.disk == nil {
			continue
		}
		if disk--; disk < len(w.servers) {
			if c.alive {
				c.kill()
			}
			c.restored = true
			c.disk.restore()
			return
		}
	}
}

func (w *world) process() *process {
	if i := w.upTo(len(w.clients) + len(w.servers) - 1); i < len(w.clients) {
		return &w.clients[i].process
	} else {
		return &w.servers[i-len(w.clients)].process
	}
}

// damage flips a bit in one disk in four; what a server has acknowledged is lost then if nobody else has it, and whoever is
// hostile could take advantage of that.
func (w *world) damage(name string, d *disk) {
	if w.hostile != nil || !w.chance(4) {
		return
	}
	if doc := w.docs[w.upTo(len(w.docs)-1)]; d.flip(doc.name) {
		w.fault(StoreBitFlip, "%s of %s", doc.name, name)
	}
}

// damaged fails for damage that is reported where none was made.
func (w *world) damaged(who string, err error) {
	if w.report.Faults[StoreBitFlip] == 0 {
		w.fail("%s: no bit has flipped, and yet: %w", who, err)
	}
}
