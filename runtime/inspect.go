package runtime

import (
	"github.com/google/uuid"

	"github.com/seed1312cc15/weft/vclock"
)

// Info describes an update without applying it.
type Info struct {
	Kind     UpdateKind
	Bytes    int            // of the whole update
	Document uuid.UUID      // zero: it names none
	Clock    vclock.Clock   // what it depends on and brings
	Base     vclock.Clock   // delta: what it presumes
	Lamport  uint64         // the greatest timestamp that it brings
	Messages int            // message, bundle: how many
	Ops      int            // message, bundle: operations in all
	Sender   vclock.Replica // message: who wrote it,
	Start    uint64         // its first dot,
	End      uint64         // and the end of its dots, exclusive
	WallTime uint64         // message: ms since 1970 by its writer's clock, 0 if it has none
	// Extensions is what a message's writer said about it, see the option of this name, with values as in Export; nil:
	// nothing, or no map.
	Extensions map[string]any
}

// Inspect decodes the envelope of an update of any kind, with default limits. Errors: *DecodeError, *LimitError. Cost:
// O(length) for messages and bundles, O(replicas) and the checksum for states and deltas.
func Inspect(data []byte) (*Info, error) {
	lim := DefaultLimits()
	kind, err := KindOf(data)
	if err != nil {
		return nil, err
	}
	info := &Info{Kind: kind, Bytes: len(data)}
	switch kind {
	case MessageUpdate:
		var m message
		if err := m.parse(data, &lim); err != nil {
			return nil, err
		}
		info.message(&m)
		if m.ext != nil {
			info.Extensions, _ = exportValue(m.ext).(map[string]any)
		}
	case BundleUpdate:
		ms, err := splitBundle(data, &lim)
		if err != nil {
			return nil, err
		}
		var m message
		for _, b := range ms {
			if err := m.parse(b, &lim); err != nil {
				return nil, err
			}
			info.message(&m)
		}
		info.Sender, info.Start, info.End, info.Kind = vclock.Replica{}, 0, 0, BundleUpdate
	default:
		h, err := openState(data, &lim)
		if err != nil {
			return nil, err
		}
		info.Document, info.Clock, info.Lamport = h.document, h.clock(), h.lamport
		if h.delta {
			info.Base = make(vclock.Clock)
			for i, id := range h.ids {
				info.Base.Set(id, h.bases[i])
			}
		}
	}
	return info, nil
}

func (i *Info) message(m *message) {
	if i.Clock == nil {
		i.Clock = make(vclock.Clock)
	}
	i.Messages++
	i.Ops += m.ops
	i.Document, i.WallTime = m.document, m.wall
	i.Lamport = max(i.Lamport, m.lamport+m.count-1)
	i.Sender, i.Start, i.End = m.sender, m.start, m.end()
	i.Clock[m.sender] = max(i.Clock[m.sender], m.end())
	for _, e := range m.table {
		i.Clock[e.id] = max(i.Clock[e.id], e.end)
	}
}
