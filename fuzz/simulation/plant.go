package simulation

import (
	"github.com/fxamacker/cbor/v2"

	"github.com/seed1312cc15/weft/providers"
	"github.com/seed1312cc15/weft/vclock"
)

// clockKey is where an open frame has the clock of its sender.
const clockKey = 2

// tamper is SkipOnResume: a client's open frame says that it has what it lacks of one replica.
func (w *world) tamper(e *end, f []byte) []byte {
	c, ok := e.owner.(*client)
	if t, _, err := providers.PeekFrame(f); w.opt.Plant != SkipOnResume || !ok || err != nil || t != providers.FrameOpen {
		return f
	}
	var parts []cbor.RawMessage
	var name []byte
	var options map[uint64]cbor.RawMessage
	var data []byte
	if cbor.Unmarshal(f, &parts) != nil || len(parts) != 4 || cbor.Unmarshal(parts[2], &name) != nil ||
		cbor.Unmarshal(parts[3], &options) != nil || cbor.Unmarshal(options[clockKey], &data) != nil {
		return f
	}
	clock, _, err := vclock.DecodeClock(data, 1000)
	room := w.servers[c.home].rooms[w.doc(string(name)).index]
	if err != nil || room == nil {
		return f
	}
	for r, end := range room.rt.Clock().Sorted() {
		if end > clock[r] {
			clock.Set(r, end)
			break
		}
	}
	data, _ = clock.AppendBinary(nil)
	mode, _ := cbor.CoreDetEncOptions().EncMode()
	options[clockKey], _ = mode.Marshal(data)
	parts[3], _ = mode.Marshal(options)
	out, err := mode.Marshal(parts)
	if err != nil {
		return f
	}
	return out
}
