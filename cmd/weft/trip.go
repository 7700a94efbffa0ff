package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/seed1312cc15/weft"
)

// Trip is the document of the demo.
type Trip struct {
	Title  weft.Register[string]        `weft:"title"`
	Notes  weft.Text                    `weft:"notes"`
	Route  weft.List[string]            `weft:"route"`
	Budget weft.Map[string, int]        `weft:"budget"`
	Going  weft.Set[string]             `weft:"going"`
	Votes  weft.Counter                 `weft:"votes"`
	Bags   weft.ObjectMap[string, Item] `weft:"bags"`
}

// Item is a nested object: a struct of handles again.
type Item struct {
	Note   weft.Text    `weft:"note"`
	Pieces weft.Counter `weft:"pieces"`
}

// person is one replica and what its network does.
type person struct {
	*weft.Document[Trip]
	name   string
	online bool
	outbox [][]byte // written while offline
}

// trip is the story that the demo tells. The first error ends it.
type trip struct {
	w      io.Writer
	people []*person
	step   int
	err    error
	// What has been delivered since it was last told.
	arrived, waited, known int
}

// runTrip tells the story. It returns an error if anything went other than told.
func runTrip(w io.Writer) error {
	t := &trip{w: w}
	ann, ben, cleo := t.join("Ann"), t.join("Ben"), t.join("Cleo")
	if t.err != nil {
		return t.err
	}
	t.start(ann)
	t.atOnce(ann, ben, cleo)
	t.offline(ann, ben, cleo)
	t.back(ben, cleo)
	t.newcomer()
	t.states(ann, ben)
	return t.err
}

func (t *trip) start(ann *person) {
	t.say("Ann plans a trip. Each of her transactions is one message, which Ben and Cleo apply.")
	t.edit(ann, "writes title, notes and route, packs a tent", func(tx weft.Tx, d *Trip) error {
		tent, err := d.Bags.Set(tx, "tent", nil)
		return errors.Join(err, d.Title.Set(tx, "Lake trip"), d.Notes.Insert(tx, 0, "Bring food."),
			d.Route.Insert(tx, 0, "home", "lake"), d.Budget.Set(tx, "fuel", 60), d.Going.Add(tx, "Ann"),
			tent.Note.Insert(tx, 0, "green"), tent.Pieces.Add(tx, 1))
	})
	t.show()
}

func (t *trip) atOnce(ann, ben, cleo *person) {
	t.say("All three edit before any message has travelled; then the messages cross.")
	t.disconnect(ann, ben, cleo)
	t.edit(ann, `types "Meet at 8. " in front of the notes, votes once`, func(tx weft.Tx, d *Trip) error {
		return errors.Join(d.Notes.Insert(tx, 0, "Meet at 8. "), d.Votes.Add(tx, 1))
	})
	t.edit(ben, `types " And cards." at their end, votes twice, joins`, func(tx weft.Tx, d *Trip) error {
		return errors.Join(d.Notes.Insert(tx, 11, " And cards."), d.Votes.Add(tx, 2), d.Going.Add(tx, "Ben"))
	})
	t.edit(cleo, `makes "food" plural in between, sets a food budget, joins`, func(tx weft.Tx, d *Trip) error {
		return errors.Join(d.Notes.Insert(tx, 10, "s"), d.Budget.Set(tx, "food", 80), d.Going.Add(tx, "Cleo"))
	})
	t.connect(ann, ben, cleo)
	t.equal("Nothing is lost: three edits in one sentence, three votes, both budget lines.")
}

func (t *trip) offline(ann, ben, cleo *person) {
	t.say("Ben and Cleo go offline. All three go on, and get in each other's way.")
	t.disconnect(ben, cleo)
	t.edit(ann, "adds a second tent and describes the first", func(tx weft.Tx, d *Trip) error {
		tent, ok := d.Bags.Get(tx, "tent")
		if !ok {
			return errors.New("no tent")
		}
		return errors.Join(tent.Pieces.Add(tx, 1), tent.Note.Insert(tx, 5, ", dry"))
	})
	t.edit(ann, "changes the title and leaves", func(tx weft.Tx, d *Trip) error {
		return errors.Join(d.Title.Set(tx, "Lake weekend"), d.Going.Remove(tx, "Ann"))
	})
	t.edit(ben, "changes the title too, and adds Ann again", func(tx weft.Tx, d *Trip) error {
		return errors.Join(d.Title.Set(tx, "Sun trip"), d.Going.Add(tx, "Ann"))
	})
	t.edit(ben, "stops at the mill on the way, packs a stove", func(tx weft.Tx, d *Trip) error {
		stove, err := d.Bags.Set(tx, "stove", nil)
		return errors.Join(err, stove.Pieces.Add(tx, 1), d.Route.Insert(tx, 1, "mill"))
	})
	t.edit(cleo, "puts the lake first, raises the fuel budget", func(tx weft.Tx, d *Trip) error {
		return errors.Join(d.Route.Move(tx, 1, 0), d.Budget.Set(tx, "fuel", 90))
	})
	t.edit(cleo, `deletes "Bring foods."`, func(tx weft.Tx, d *Trip) error {
		return d.Notes.Delete(tx, 11, 13)
	})
	t.edit(cleo, "unpacks the tent: she prefers the hut", func(tx weft.Tx, d *Trip) error {
		return d.Bags.Delete(tx, "tent")
	})
	t.show()
}

func (t *trip) back(ben, cleo *person) {
	t.say("Ben and Cleo come back. To be nasty, the messages travel newest first, and each one twice.")
	t.arrived, t.waited, t.known = 0, 0, 0
	t.connect(ben, cleo)
	if t.err == nil {
		fmt.Fprintf(t.w, "  %d arrivals: %d waited for an earlier message, %d were known already\n", t.arrived, t.waited, t.known)
	}
	t.equal("One title won everywhere. Ann is going: adding beats a removal that had not seen it. The tent is gone: deleting an\n" +
		"object is final, also against Ann's edits of it. The list has each place once.")
}

func (t *trip) newcomer() {
	if t.err != nil {
		return
	}
	ann := t.people[0]
	state, err := ann.Save()
	if err != nil {
		t.err = err
		return
	}
	t.say(fmt.Sprintf("Dan joins: he loads Ann's saved state of %d bytes, no messages at all.", len(state)))
	dan := t.join("Dan")
	if t.err == nil {
		t.err = dan.Load(state)
	}
	t.equal("")
}

func (t *trip) states(ann, ben *person) {
	t.say("Saved states merge as well. Ann and Ben part once more, and swap files instead of messages.")
	t.disconnect(ann, ben)
	t.edit(ann, "adds 40 for the hut", func(tx weft.Tx, d *Trip) error { return d.Budget.Set(tx, "hut", 40) })
	t.edit(ben, "takes back a vote, ends the notes with a smile", func(tx weft.Tx, d *Trip) error {
		return errors.Join(d.Votes.Add(tx, -1), d.Notes.Insert(tx, d.Notes.Len(tx), " 🙂"))
	})
	if t.err != nil {
		return
	}
	for _, pair := range [][2]*person{{ann, ben}, {ben, ann}} {
		state, err := pair[0].Save()
		if err == nil {
			err = pair[1].Load(state)
		}
		if err != nil {
			t.err = err
			return
		}
	}
	delta, err := ann.SaveSince(t.people[2].Clock())
	if err != nil {
		t.err = err
		return
	}
	fmt.Fprintf(t.w, "  Cleo and Dan, who lack both edits, get a delta of %d bytes\n", len(delta))
	for _, p := range t.people[2:] {
		if err := p.Load(delta); err != nil {
			t.err = err
			return
		}
	}
	t.equal("All four hold the same bytes.")
}

// join makes a replica. The IDs are fixed here, so that the demo shows the same each time; leave that out in a program
// of your own, where every replica needs an ID that no other ever had.
func (t *trip) join(name string) *person {
	id := uuid.UUID{0: byte(len(t.people) + 1), 6: 0x40, 8: 0x80}
	doc, err := weft.Open[Trip](&weft.Options{Replica: id})
	if err != nil {
		t.err = errors.Join(t.err, err)
		return nil
	}
	p := &person{Document: doc, name: name, online: true}
	doc.OnUpdate(func(u weft.Update) {
		if !u.Local {
			return
		}
		if p.outbox = append(p.outbox, u.Data); p.online {
			t.deliver(p)
		}
	})
	t.people = append(t.people, p)
	return p
}

// deliver hands what p has written to everybody who is online, newest first and twice if there are several.
func (t *trip) deliver(p *person) {
	messages := p.outbox
	if len(messages) > 1 {
		messages = append(slices.Clone(messages), messages...)
		slices.Reverse(messages)
	}
	for _, to := range t.people {
		if to == p || !to.online {
			continue
		}
		for _, m := range messages {
			res, err := to.Receive(m)
			t.arrived, t.waited, t.known = t.arrived+1, t.waited+res.Waiting, t.known+res.Redundant
			if err != nil {
				t.err = errors.Join(t.err, fmt.Errorf("%s, receiving from %s: %w", to.name, p.name, err))
			}
		}
	}
}

func (t *trip) disconnect(people ...*person) {
	for _, p := range people {
		p.online, p.outbox = false, nil
	}
}

// connect brings people back online: what each has written goes to all, and they get what they missed.
func (t *trip) connect(people ...*person) {
	for _, p := range people {
		p.online = true
	}
	for _, p := range t.people {
		t.deliver(p)
	}
}

func (t *trip) edit(p *person, what string, fn func(tx weft.Tx, d *Trip) error) {
	if t.err != nil {
		return
	}
	before := len(p.outbox)
	if err := p.Transact(func(tx weft.Tx) error { return fn(tx, p.Root) }); err != nil {
		t.err = errors.Join(t.err, fmt.Errorf("%s %s: %w", p.name, what, err))
		return
	}
	size := 0
	for _, m := range p.outbox[before:] {
		size += len(m)
	}
	fmt.Fprintf(t.w, "  %-4s %-58s %4d bytes\n", p.name, what, size)
}

func (t *trip) say(what string) {
	if t.err != nil {
		return
	}
	t.step++
	fmt.Fprintf(t.w, "\n%d. %s\n", t.step, what)
}

// show prints what everybody holds, those who hold the same together.
func (t *trip) show() {
	if t.err != nil {
		return
	}
	fmt.Fprintln(t.w)
	var shown [][32]byte
	for _, p := range t.people {
		digest := p.Digest()
		if slices.Contains(shown, digest) {
			continue
		}
		shown = append(shown, digest)
		var names []string
		for _, q := range t.people {
			if q.Digest() == digest {
				names = append(names, q.name)
			}
		}
		fmt.Fprintf(t.w, "  %s: digest %x\n", strings.Join(names, ", "), digest[:4])
		value := p.Export()
		keys := make([]string, 0, len(value))
		for k := range value {
			keys = append(keys, k)
		}
		slices.Sort(keys)
		for _, k := range keys {
			fmt.Fprintf(t.w, "    %-7s %s\n", k, show(value[k]))
		}
	}
}

// equal shows what everybody holds; it must be one thing.
func (t *trip) equal(why string) {
	if t.err != nil {
		return
	}
	t.show()
	for _, p := range t.people {
		if p.Digest() != t.people[0].Digest() {
			t.err = fmt.Errorf("%s and %s differ", p.name, t.people[0].name)
			return
		}
		if err := p.Check(); err != nil {
			t.err = fmt.Errorf("%s: %w", p.name, err)
			return
		}
	}
	if why != "" {
		fmt.Fprintf(t.w, "\n  %s\n", strings.ReplaceAll(why, "\n", "\n  "))
	}
}
