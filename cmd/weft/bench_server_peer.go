//go:build !js

package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
	"github.com/fxamacker/cbor/v2"
	"github.com/google/uuid"

	"github.com/seed1312cc15/weft/providers"
	"github.com/seed1312cc15/weft/runtime"
	"github.com/seed1312cc15/weft/vclock"
)

// light is a client that speaks just enough of docs/protocol.md to be admitted, to open documents, to send messages, and to
// count what comes. It is one goroutine that reads.
//
//  1. at is the number of the room log that it gets next; what lies below has arrived.
//  2. Only the reader changes what is not guarded by mu.
type light struct {
	conn    *websocket.Conn
	replica vclock.Replica
	room    *tape   // of the document on channel 1; nil: nothing is counted
	writer  *writer // nil: it does not write
	gather  bool    // the contents of transfers are kept, in whole
	onDone  func(channel uint64, now time.Time)

	at        uint64
	transfers map[uint64]*transfer
	whole     []byte // the last transfer, with gather

	admitted chan struct{}
	synced   chan struct{} // of the document on channel 1
	over     chan struct{} // the reader has ended
	err      error         // why; once over is closed

	reached          atomic.Uint64 // at, for others
	frames, received atomic.Int64  // frames, bytes in them
	presences, shown atomic.Int64  // frames with presence, values in them

	mu     sync.Mutex // guards sending
	packer *runtime.Packer
	packed int
}

const window = 256 << 10

var loadBuffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// dialLight connects, and says who it is. It does not wait to be admitted.
func dialLight(ctx context.Context, url, token string, p *light) error {
	conn, _, err := websocket.Dial(ctx, url, nil)
	if err != nil {
		return err
	}
	conn.SetReadLimit(providers.MaxFrame)
	p.conn = conn
	if p.replica == (vclock.Replica{}) {
		p.replica = uuid.New()
	}
	p.admitted, p.synced, p.over = make(chan struct{}), make(chan struct{}), make(chan struct{})
	go p.read()
	return p.send([]any{providers.FrameHello, 0, 1, 1, map[int]any{1: []byte(token), 2: "weft bench-server", 4: 20000}})
}

func (p *light) send(frame any) error {
	b, err := cbor.Marshal(frame)
	if err != nil {
		return err
	}
	return p.conn.Write(context.Background(), websocket.MessageBinary, b)
}

// open opens a document of which this side holds nothing; follow asks for the room log.
func (p *light) open(channel int, document string, follow bool) error {
	o := map[int]any{1: p.replica[:], 2: []byte{0}, 4: 1, 6: window}
	if follow {
		o[16] = []any{[]byte{}, 0, []byte{}}
	}
	return p.send([]any{providers.FrameOpen, channel, []byte(document), o})
}

func (p *light) close() {
	p.conn.CloseNow()
	<-p.over
}

// wait waits for one of the channels of p.
func (p *light) wait(ctx context.Context, c chan struct{}) error {
	select {
	case <-c:
		return nil
	case <-p.over:
		return fmt.Errorf("a client has lost its connection: %w", p.err)
	case <-ctx.Done():
		return errors.New("the server does not answer")
	}
}

// transfer is what comes in chunks on one channel.
type transfer struct {
	kind, size, got uint64
	sum             uint32
	owed            int // credit
	data            []byte
}

// write sends a message that the client's document has made.
func (p *light) write(message []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	t := providers.FrameMessages
	if p.packer == nil || p.packed+len(message) > providers.DictionarySpan {
		p.packer, p.packed, t = new(runtime.Packer), 0, providers.FrameFresh
	}
	packed, err := p.packer.Append(nil, message)
	if err != nil {
		return err
	}
	p.packed += len(message)
	return p.send([]any{t, 1, packed})
}

func (p *light) read() {
	defer close(p.over)
	for p.err == nil {
		_, r, err := p.conn.Reader(context.Background())
		if err != nil {
			p.err = err
			return
		}
		b := loadBuffers.Get().(*bytes.Buffer)
		b.Reset()
		if _, p.err = b.ReadFrom(r); p.err == nil {
			p.frames.Add(1)
			p.received.Add(int64(b.Len()))
			p.err = p.take(b.Bytes(), time.Now())
			p.reached.Store(p.at)
		}
		loadBuffers.Put(b)
	}
	p.conn.CloseNow()
}

// content returns what [type, channel, bytes] holds.
func content(frame []byte) ([]byte, error) {
	rest := frame
	for k := range 4 {
		if len(rest) == 0 {
			return nil, errors.New("a frame is cut off")
		}
		n, info := uint64(0), rest[0]&31
		major := rest[0] >> 5
		rest = rest[1:]
		switch {
		case info < 24:
			n = uint64(info)
		case info > 27 || len(rest) < 1<<(info-24):
			return nil, errors.New("a frame does not decode")
		default:
			for _, c := range rest[:1<<(info-24)] {
				n = n<<8 | uint64(c)
			}
			rest = rest[1<<(info-24):]
		}
		if k == 3 && (major != 2 || n != uint64(len(rest))) {
			return nil, errors.New("a frame holds no bytes")
		}
	}
	return rest, nil
}

// take takes a frame.
func (p *light) take(frame []byte, now time.Time) error {
	t, channel, err := providers.PeekFrame(frame)
	if err != nil {
		return err
	}
	switch t {
	case providers.FrameHello:
		close(p.admitted)
	case providers.FramePing:
		pong := bytes.Clone(frame)
		pong[1] = byte(providers.FramePong) // the rest is the same
		return p.conn.Write(context.Background(), websocket.MessageBinary, pong)
	case providers.FrameBye, providers.FrameRefuse, providers.FrameClose:
		var f []any
		if err := cbor.Unmarshal(frame, &f); err != nil {
			return err
		}
		return fmt.Errorf("the server ends: %v %v", t, f[2:])
	case providers.FrameSynced:
		if p.onDone != nil {
			p.onDone(channel, now)
		}
		if channel == 1 {
			select {
			case <-p.synced:
			default:
				close(p.synced)
			}
		}
	case providers.FrameAsk:
		return p.send([]any{providers.FrameClock, channel, p.room.clock(p.at)})
	case providers.FrameFollow:
		return p.follow(frame, now)
	case providers.FrameLog, providers.FrameChunk:
		data, err := content(frame)
		if err != nil {
			return err
		}
		if t == providers.FrameChunk {
			return p.chunk(channel, data)
		}
		return p.log(data, now)
	case providers.FrameBegin:
		var f struct {
			_                         struct{} `cbor:",toarray"`
			Type, Channel, Kind, Size uint64
		}
		if err := cbor.Unmarshal(frame, &f); err != nil {
			return err
		}
		if p.transfers == nil {
			p.transfers = make(map[uint64]*transfer)
		}
		p.transfers[channel] = &transfer{kind: f.Kind, size: f.Size}
	case providers.FrameEnd:
		return p.end(channel, frame, now)
	case providers.FramePresence:
		var f struct {
			_             struct{} `cbor:",toarray"`
			Type, Channel uint64
			Shown         []cbor.RawMessage
		}
		if err := cbor.Unmarshal(frame, &f); err != nil {
			return err
		}
		p.presences.Add(1)
		p.shown.Add(int64(len(f.Shown)))
	}
	return nil
}

// chunk takes a part of a transfer, and gives the credit back.
func (p *light) chunk(channel uint64, data []byte) error {
	t := p.transfers[channel]
	if t == nil {
		return errors.New("a chunk belongs to nothing")
	}
	t.got += uint64(len(data))
	t.sum = crc32.Update(t.sum, loadSum, data)
	if p.gather || t.kind == transferOfLog {
		t.data = append(t.data, data...)
	}
	if t.owed += len(data); t.owed >= window/2 {
		n := t.owed
		t.owed = 0
		return p.send([]any{providers.FrameCredit, channel, n})
	}
	return nil
}

var loadSum = crc32.MakeTable(crc32.Castagnoli)

// transferOfLog is the kind of a transfer that holds a piece of the log.
const transferOfLog = 4

// end checks a transfer, and uses what it brought.
func (p *light) end(channel uint64, frame []byte, now time.Time) error {
	var f struct {
		_             struct{} `cbor:",toarray"`
		Type, Channel uint64
		Sum           uint32
	}
	if err := cbor.Unmarshal(frame, &f); err != nil {
		return err
	}
	t := p.transfers[channel]
	delete(p.transfers, channel)
	switch {
	case t == nil || t.got != t.size || t.sum != f.Sum:
		return errors.New("a transfer has arrived damaged")
	case t.kind == transferOfLog:
		return p.log(t.data, now)
	}
	p.whole = t.data
	return nil
}

// follow hears from where the log goes on: all before has come in another way.
func (p *light) follow(frame []byte, now time.Time) error {
	var f struct {
		_             struct{} `cbor:",toarray"`
		Type, Channel uint64
		At            struct {
			_      struct{} `cbor:",toarray"`
			Epoch  []byte
			Number uint64
			Digest []byte
		}
		Time  uint64
		State []byte
	}
	if err := cbor.Unmarshal(frame, &f); err != nil {
		return err
	}
	if p.room == nil {
		return nil
	}
	from := p.at
	p.at = f.At.Number
	if err := p.room.restore(f.At.Number, f.State); err != nil {
		return err
	}
	if from > 0 {
		p.room.arrived(from, p.at, p.writer, now)
	}
	return nil
}

// log takes a piece of the room's log.
func (p *light) log(data []byte, now time.Time) error {
	if p.room == nil {
		return nil
	}
	_, n := binary.Varint(data)
	if n <= 0 {
		return errors.New("a piece of the log makes no sense")
	}
	from := p.at
	var err error
	if p.at, err = p.room.read(p.at, data[n:]); err != nil {
		return err
	}
	p.room.arrived(from, p.at, p.writer, now)
	return nil
}
