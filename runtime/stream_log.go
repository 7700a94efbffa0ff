package runtime

import "slices"

// streamLog is what both ends of a stream of messages know of those that went before: enough to name the dependencies of
// the next one by a place in the stream. A replica that has seen the first s entries and its own messages depends on the
// entries before s that none of these comes after, and that its own previous message had not seen. So one number stands
// for a hundred dependencies; what differs from that set is spelled out.
//
//  1. Entries stand in the order of the stream; an entry does not change once another follows it, except that over is set.
//  2. over of an entry is set when the first entry that depends on it or succeeds it is added.
//  3. At most 2 * streamWindow entries are kept, unless keep is set; both ends drop the same ones.
//  4. last[n] is 1 + the place of the newest entry of sender n, 0 if there was none.
//
// The rule is that of design section 8 for a numbered room, made independent of rooms: it costs O(entries since the
// sender's previous message), and nothing where a message has no dependencies.
type streamLog struct {
	first   uint64 // place of entries[0]
	entries []streamEntry
	last    []uint64
	split   bool // each message is an entry, also where a run of one sender could be one
	keep    bool
	heads   []uint64 // reused
}

type streamEntry struct {
	end     uint64 // of the last message of the entry
	lamport uint64 // the timestamp after its last
	sender  uint32 // number
	back    uint32 // places back to the entry of this sender before; 0: none in the log
	over    uint32 // places forward to the first entry that comes after this one; 0: none yet
	unseen  uint32 // places back to the first that its sender had not seen
}

const (
	streamWindow = 2048
	// findSteps bounds the entries of one sender that find looks at.
	findSteps = 64
)

// size is the place of the next entry.
func (l *streamLog) size() uint64 { return l.first + uint64(len(l.entries)) }

func (l *streamLog) at(place uint64) *streamEntry { return &l.entries[place-l.first] }

// lastOf returns the place of a sender's newest entry.
func (l *streamLog) lastOf(sender uint32) (uint64, bool) {
	if int(sender) >= len(l.last) || l.last[sender] <= l.first {
		return 0, false
	}
	return l.last[sender] - 1, true
}

// find returns the place of the entry of a sender that ends at end.
func (l *streamLog) find(sender uint32, end uint64) (uint64, bool) {
	place, ok := l.lastOf(sender)
	for range findSteps {
		if !ok {
			break
		}
		e := l.at(place)
		if e.end == end {
			return place, true
		}
		ok = e.back != 0 && uint64(e.back) <= place-l.first
		place -= uint64(e.back)
	}
	return 0, false
}

// seen returns the place up to which the entry's sender had seen all that counts.
func (l *streamLog) seen(place uint64) uint64 {
	return max(l.first, place-uint64(l.at(place).unseen))
}

// predict returns the places of what a sender depends on who has seen the entries before s, and whose previous message had
// seen those before from. The result is good until the next call. other is the sender's number.
func (l *streamLog) predict(sender uint32, from, s uint64) []uint64 {
	l.heads = l.heads[:0]
	from = max(from, l.first)
	for i := from; i < s; i++ {
		if e := l.at(i); e.sender != sender && (e.over == 0 || i+uint64(e.over) >= s) {
			l.heads = append(l.heads, i)
		}
	}
	return l.heads
}

// dependency is an entry of a message's table, with the replica's number in the stream.
type dependency struct {
	sender uint32
	end    uint64
	place  uint64 // of the entry that it names, noPlace if the log has none; see locate
}

// locate finds the entries that the dependencies of the next message name.
func (l *streamLog) locate(deps []dependency) {
	for i := range deps {
		d := &deps[i]
		place, ok := l.find(d.sender, d.end)
		if !ok {
			place = noPlace
		}
		d.place = place
	}
}

// add appends a message. Its dependencies are located.
func (l *streamLog) add(sender uint32, end, lamport uint64, deps []dependency) {
	n := l.size()
	for int(sender) >= len(l.last) {
		l.last = append(l.last, 0)
	}
	prev, ok := l.lastOf(sender)
	if ok && prev+1 == n && !l.split && len(deps) == 0 {
		e := l.at(prev)
		e.end, e.lamport = end, lamport
		return
	}
	e := streamEntry{end: end, lamport: lamport, sender: sender}
	seen := l.first
	if ok {
		p := l.at(prev)
		e.back = uint32(n - prev)
		seen = l.seen(prev)
		if p.over == 0 {
			p.over = e.back
		}
	}
	for _, d := range deps {
		if d.place != noPlace {
			seen = max(seen, d.place+1)
			if o := &l.at(d.place).over; *o == 0 {
				*o = uint32(n - d.place)
			}
		}
	}
	e.unseen = uint32(n - seen)
	l.last[sender] = n + 1
	l.entries = append(l.entries, e)
	if len(l.entries) == 2*streamWindow && !l.keep {
		l.forget(l.first + streamWindow)
	}
}

// forget drops the entries before a place.
func (l *streamLog) forget(before uint64) {
	k := before - l.first
	rest := copy(l.entries, l.entries[k:])
	l.entries = l.entries[:rest]
	l.first = before
}

// knownBy returns the place before which the sender's newest message had seen all that counts.
func (l *streamLog) knownBy(sender uint32) uint64 {
	if place, ok := l.lastOf(sender); ok {
		return l.seen(place)
	}
	return l.first
}

// timestamp returns the timestamp that a message with these dependencies, which are located, has most likely, if it would be at least own.
func (l *streamLog) timestamp(deps []dependency, own uint64) uint64 {
	for _, d := range deps {
		if d.place != noPlace {
			own = max(own, l.at(d.place).lamport)
		}
	}
	return own
}

// streamCompare tells how a prediction differs from what is to be predicted. Its slices are reused.
type streamCompare struct {
	sorted []uint64
	odd    []int
}

// of returns how many of the predicted places are among the wanted ones, and the indexes of those that are not. Both are
// distinct; predicted ascends.
func (c *streamCompare) of(predicted, wanted []uint64) (common int, odd []int) {
	c.sorted = append(c.sorted[:0], wanted...)
	slices.Sort(c.sorted)
	c.odd = c.odd[:0]
	k := 0
	for i, place := range predicted {
		for k < len(c.sorted) && c.sorted[k] < place {
			k++
		}
		if k < len(c.sorted) && c.sorted[k] == place {
			common++
		} else {
			c.odd = append(c.odd, i)
		}
	}
	return common, c.odd
}

// appendGaps appends how many indexes there are, and the distance of each from the one before.
func appendGaps(b []byte, indexes []int) []byte {
	b = appendUvarint(b, uint64(len(indexes)))
	last := -1
	for _, i := range indexes {
		b = appendUvarint(b, uint64(i-last-1))
		last = i
	}
	return b
}
