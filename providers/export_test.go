package providers

import (
	"github.com/seed1312cc15/weft/runtime"
	"github.com/seed1312cc15/weft/vclock"
)

// TestLog numbers what a document commits when it is told to, as a Keeper does when the store has answered.
type TestLog struct {
	*RoomLog
	rt    *runtime.Runtime
	queue []runtime.Update
	Held  vclock.Clock
	ms    int64
}

// NewTestLog returns one for a document that holds nothing yet.
func NewTestLog(rt *runtime.Runtime) *TestLog {
	l := &TestLog{RoomLog: newRoomLog([8]byte{1, 2, 3, 4, 5, 6, 7, 8}), rt: rt, Held: vclock.Clock{}, ms: 1_700_000_000_000}
	rt.OnUpdate(func(u runtime.Update) { l.queue = append(l.queue, u) })
	return l
}

// Flush numbers what waits.
func (l *TestLog) Flush() error {
	batch := l.queue
	l.queue = nil
	if len(batch) == 0 {
		return nil
	}
	l.ms += 7
	messages, reach := messagesOf(batch)
	if messages == nil {
		data, err := l.rt.SaveSince(l.Held)
		if err != nil {
			return err
		}
		l.Held.Merge(l.rt.Clock())
		l.skip(data, l.ms)
		return nil
	}
	packed, err := l.pack(messages)
	if err != nil {
		return err
	}
	l.Held.Merge(reach)
	_, err = l.publish(packed, l.ms)
	return err
}

// Reload replaces the log by one that was loaded from what a snapshot holds, as after a restart.
func (l *TestLog) Reload() error {
	var h snapshotHead
	h.place, h.stream, h.ms = l.now()
	read, state, err := readSnapshot(append(h.append(nil), 7))
	if err != nil || len(state) != 1 {
		return err
	}
	return l.load(&read)
}

// Bounds of tests.
const LogBytes = logBytes

// Kept returns the packed bytes that the log keeps, Begun the number with which its stream began.
func (l *RoomLog) Kept() int     { return len(l.data) }
func (l *RoomLog) Begun() uint64 { return l.began() }

// ClockSum is how digest frames name a clock.
func ClockSum(c vclock.Clock) []byte { return clockSum(c) }
