package providers

import (
	"fmt"
	"unicode/utf8"

	"github.com/fxamacker/cbor/v2"
	"github.com/google/uuid"

	"github.com/seed1312cc15/weft/vclock"
)

// FrameType is the first element of a frame. These numbers are part of protocol version 1 and must not change;
// TestFrameNumbers pins them.
type FrameType uint16

// The frames of version 1; docs/protocol.md defines each.
const (
	FrameHello    FrameType = 1
	FrameBye      FrameType = 2
	FramePing     FrameType = 3
	FramePong     FrameType = 4
	FrameOpen     FrameType = 5
	FrameAccept   FrameType = 6
	FrameRefuse   FrameType = 7
	FrameClose    FrameType = 8
	FrameClock    FrameType = 9
	FrameAsk      FrameType = 10
	FrameMessages FrameType = 11
	FrameFresh    FrameType = 12
	FrameBegin    FrameType = 13
	FrameChunk    FrameType = 14
	FrameEnd      FrameType = 15
	FrameCredit   FrameType = 16
	FrameSynced   FrameType = 17
	FrameAck      FrameType = 18
	FrameHeld     FrameType = 19
	FramePresence FrameType = 20
	FrameCast     FrameType = 21
	FrameLog      FrameType = 22
	FrameFollow   FrameType = 23
	FrameNaming   FrameType = 24
	FrameDigest   FrameType = 25

	lastFrame = FrameDigest
	// Types 26 to 127 are reserved for later versions; whoever does not know one ends the connection. Types from firstIgnorable on are skipped by whoever does not know them.
	firstIgnorable FrameType = 128
)

var frameNames = [...]string{1: "hello", "bye", "ping", "pong", "open", "accept", "refuse", "close", "clock", "ask", "messages",
	"fresh", "begin", "chunk", "end", "credit", "synced", "ack", "held", "presence", "cast", "log", "follow", "naming", "digest"}

func (t FrameType) String() string {
	if t >= 1 && int(t) < len(frameNames) {
		return frameNames[t]
	}
	return fmt.Sprintf("type %d", uint16(t))
}

// ProtocolVersion is the version of the protocol that this package speaks.
const ProtocolVersion = 1

// Bounds of the protocol, in bytes where nothing else is said.
const (
	// MaxFrame is the longest frame that anybody may send.
	MaxFrame = 256 << 10
	// MaxChunk is the longest content of a chunk frame.
	MaxChunk = 64 << 10
	// MaxName is the longest name of a document.
	MaxName = 128
	// MaxToken is the longest token in a hello frame.
	MaxToken = 4 << 10
	// MaxHello is the longest hello frame: nothing longer is read before a peer is admitted.
	MaxHello = 8 << 10
	// DictionarySpan is how many bytes of messages, unpacked, may follow a fresh dictionary before the next one.
	DictionarySpan = 512 << 10
	// maxInline is the longest message that goes into a messages frame; longer ones travel in chunks.
	maxInline = 32 << 10
	// maxAckEntries bounds the entries of an ack frame.
	maxAckEntries = 4096
	// maxPresence bounds the entries of a presence frame.
	maxPresence = 64
)

type helloFrame struct {
	_       struct{} `cbor:",toarray"`
	Type    FrameType
	Channel uint64
	Min     uint16
	Max     uint16
	Options helloOptions
}

type helloOptions struct {
	Token     []byte   `cbor:"1,keyasint,omitempty"`
	Agent     string   `cbor:"2,keyasint,omitempty"`
	Features  []string `cbor:"3,keyasint,omitempty"`
	Heartbeat uint64   `cbor:"4,keyasint,omitempty"` // ms
}

type byeFrame struct {
	_       struct{} `cbor:",toarray"`
	Type    FrameType
	Channel uint64
	Code    Code
	Reason  string
}

type beginFrame struct {
	_       struct{} `cbor:",toarray"`
	Type    FrameType
	Channel uint64
	Kind    transferKind
	Size    uint64
}

// transferKind says what travels in chunks. Part of the protocol; must not change.
type transferKind uint8

const (
	transferUpdate transferKind = 1 // anything that Runtime.Receive takes
	transferClock  transferKind = 2 // what a clock frame holds
	transferHeld   transferKind = 3 // what a held frame holds
	transferLog    transferKind = 4 // what a log frame holds
)

// numberFrame is ping, pong, credit and end.
type numberFrame struct {
	_       struct{} `cbor:",toarray"`
	Type    FrameType
	Channel uint64
	Number  uint64
}

// plainFrame is close, ask and synced.
type plainFrame struct {
	_       struct{} `cbor:",toarray"`
	Type    FrameType
	Channel uint64
}

type openFrame struct {
	_        struct{} `cbor:",toarray"`
	Type     FrameType
	Channel  uint64
	Document []byte
	Options  openOptions
}

type acceptFrame struct {
	_       struct{} `cbor:",toarray"`
	Type    FrameType
	Channel uint64
	Options openOptions
}

// openOptions is what a side says of itself when a document is opened.
type openOptions struct {
	Replica []byte `cbor:"1,keyasint,omitempty"`  // under which it writes
	Clock   []byte `cbor:"2,keyasint,omitempty"`  // what it acknowledges; absent: ask
	Refuses bool   `cbor:"3,keyasint,omitempty"`  // takes no updates
	Level   uint8  `cbor:"4,keyasint,omitempty"`  // of its acknowledgements
	NoAcks  bool   `cbor:"5,keyasint,omitempty"`  // wants none
	Window  uint64 `cbor:"6,keyasint,omitempty"`  // credit for chunks that it gives in advance, bytes
	Data    []byte `cbor:"7,keyasint,omitempty"`  // of the application
	Pattern uint8  `cbor:"8,keyasint,omitempty"`  // how it sends
	Plain   bool   `cbor:"10,keyasint,omitempty"` // wants states without compression
	Digests uint64 `cbor:"9,keyasint,omitempty"`  // version of the digests that it compares; 0: none

	Log *wirePlace `cbor:"16,keyasint,omitempty"` // open: it wants to follow a log, from there; accept: it will
}

// wirePlace is a place; all empty: none.
type wirePlace struct {
	_      struct{} `cbor:",toarray"`
	Epoch  []byte
	Number uint64
	Digest []byte
}

type followFrame struct {
	_       struct{} `cbor:",toarray"`
	Type    FrameType
	Channel uint64
	At      wirePlace
	Time    uint64 // ms
	State   []byte
}

type refuseFrame struct {
	_       struct{} `cbor:",toarray"`
	Type    FrameType
	Channel uint64
	Code    Code
	Reason  string
	Dot     *wireDot
}

type wireDot struct {
	_       struct{} `cbor:",toarray"`
	Replica []byte
	Seq     uint64
}

type presenceFrame struct {
	_       struct{} `cbor:",toarray"`
	Type    FrameType
	Channel uint64
	Entries []presenceEntry
}

type presenceEntry struct {
	_       struct{} `cbor:",toarray"`
	Key     []byte
	Counter uint64
	TTL     uint64 // ms; 0: the key leaves
	Value   []byte
	Stamp   []byte
}

type castFrame struct {
	_       struct{} `cbor:",toarray"`
	Type    FrameType
	Channel uint64
	From    []byte
	Counter uint64
	Topic   string
	Value   []byte
	Stamp   []byte
}

var (
	decMode = func() cbor.DecMode {
		m, err := cbor.DecOptions{
			DupMapKey: cbor.DupMapKeyEnforcedAPF, IndefLength: cbor.IndefLengthForbidden, TagsMd: cbor.TagsForbidden,
			MaxNestedLevels: 4, MaxArrayElements: 256, MaxMapPairs: 32, UTF8: cbor.UTF8RejectInvalid,
			FieldNameMatching: cbor.FieldNameMatchingCaseSensitive,
		}.DecMode()
		if err != nil {
			panic(err)
		}
		return m
	}()
	encMode = func() cbor.EncMode {
		m, err := cbor.CoreDetEncOptions().EncMode()
		if err != nil {
			panic(err)
		}
		return m
	}()
)

// encode returns the bytes of one of the frames above.
func encode(f any) []byte {
	b, err := encMode.Marshal(f)
	if err != nil {
		panic(err) // no frame holds what cannot be encoded
	}
	return b
}

// encodeBytes is encode for frames of type, channel and bytes (messages, fresh, naming, log, chunk, clock, ack and held),
// without reflection: messages go this way.
func encodeBytes(t FrameType, channel uint64, data []byte) []byte {
	return append(appendBytesHead(make([]byte, 0, len(data)+12), t, channel, len(data)), data...)
}

// appendBytesHead appends what comes before the n bytes of a bytesFrame.
func appendBytesHead(b []byte, t FrameType, channel uint64, n int) []byte {
	b = append(b, 0x83)
	b = appendHead(b, 0, uint64(t))
	b = appendHead(b, 0, channel)
	return appendHead(b, 0x40, uint64(n))
}

// appendHead appends the head of a CBOR item in its shortest form.
func appendHead(b []byte, major byte, n uint64) []byte {
	switch {
	case n < 24:
		return append(b, major|byte(n))
	case n < 1<<8:
		return append(b, major|24, byte(n))
	case n < 1<<16:
		return append(b, major|25, byte(n>>8), byte(n))
	case n < 1<<32:
		return append(b, major|26, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
	}
	return append(b, major|27, byte(n>>56), byte(n>>48), byte(n>>40), byte(n>>32), byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
}

// cutHead is the inverse of appendHead; it takes longer forms too.
func cutHead(b []byte) (major byte, n uint64, rest []byte, ok bool) {
	if len(b) == 0 {
		return 0, 0, nil, false
	}
	major, info := b[0]&0xe0, b[0]&0x1f
	b = b[1:]
	if info < 24 {
		return major, uint64(info), b, true
	}
	size := 1 << (info - 24)
	if info > 27 || len(b) < size {
		return 0, 0, nil, false
	}
	for _, c := range b[:size] {
		n = n<<8 | uint64(c)
	}
	return major, n, b[size:], true
}

// PeekFrame returns the type and the channel of a frame, and checks nothing beyond them. Errors: *FrameError.
func PeekFrame(frame []byte) (t FrameType, channel uint64, err error) {
	major, n, rest, ok := cutHead(frame)
	if !ok || major != 0x80 || n < 2 {
		return 0, 0, &FrameError{Reason: "not an array of at least two elements"}
	}
	major, n, rest, ok = cutHead(rest)
	if !ok || major != 0 || n > 1<<16-1 {
		return 0, 0, &FrameError{Reason: "the type is not an integer in [0, 65535]"}
	}
	t = FrameType(n)
	major, channel, _, ok = cutHead(rest)
	if !ok || major != 0 || channel > 1<<32 {
		return t, 0, &FrameError{Type: t, Reason: "the channel is not an integer in [0, 2^32]"}
	}
	return t, channel, nil
}

// decode decodes a frame whose type is known.
func decode[F any](t FrameType, frame []byte) (f F, err error) {
	if err := decMode.Unmarshal(frame, &f); err != nil {
		return f, &FrameError{Type: t, Reason: "does not decode", Err: err}
	}
	return f, nil
}

// decodeBytes is decode for such a frame. The result shares memory with the frame.
func decodeBytes(t FrameType, frame []byte) ([]byte, error) {
	_, n, rest, _ := cutHead(frame)
	_, _, rest, _ = cutHead(rest)
	_, _, rest, _ = cutHead(rest)
	major, size, rest, ok := cutHead(rest)
	if n != 3 || !ok || major != 0x40 || size != uint64(len(rest)) {
		return nil, &FrameError{Type: t, Reason: "is not [type, channel, bytes]"}
	}
	return rest, nil
}

func (o *openOptions) check(t FrameType) error {
	switch {
	case o.Replica != nil && len(o.Replica) != 16:
		return &FrameError{Type: t, Reason: "a replica ID has 16 bytes"}
	case o.Level > uint8(Durable):
		return &FrameError{Type: t, Reason: "unknown level of acknowledgement"}
	case o.Pattern > uint8(State):
		return &FrameError{Type: t, Reason: "unknown pattern"}
	case o.Log != nil:
		return o.Log.check(t)
	}
	return nil
}

func (o *openOptions) replica() (id vclock.Replica) {
	copy(id[:], o.Replica)
	return id
}

// decodeClock decodes a clock that fills data.
func decodeClock(t FrameType, data []byte, limit int) (vclock.Clock, error) {
	c, n, err := vclock.DecodeClock(data, limit)
	if err == nil && n != len(data) {
		return nil, &FrameError{Type: t, Reason: "bytes after the clock"}
	}
	if err != nil {
		return nil, &FrameError{Type: t, Reason: "clock", Err: err}
	}
	return c, nil
}

func encodeClock(c vclock.Clock) []byte {
	b, err := c.AppendBinary(nil)
	if err != nil {
		panic(err) // a runtime's clock is valid
	}
	return b
}

func (d *wireDot) dot() (*vclock.Dot, error) {
	if d == nil {
		return nil, nil
	}
	id, err := uuid.FromBytes(d.Replica)
	if err != nil || d.Seq > vclock.MaxSeq {
		return nil, &FrameError{Type: FrameRefuse, Reason: "not a dot"}
	}
	return &vclock.Dot{Replica: id, Seq: d.Seq}, nil
}

// checkName returns nil for what may be the name of a document: any 1 to MaxName bytes. What more a server asks of names
// is its own matter.
func checkName(name string) error {
	if len(name) == 0 || len(name) > MaxName {
		return &RefusedError{Code: CodeBadName, Reason: fmt.Sprintf("a document's name has 1 to %d bytes, not %d", MaxName, len(name))}
	}
	return nil
}

func validText(s string) string {
	if utf8.ValidString(s) {
		return cutText(s, maxReason)
	}
	return cutText(fmt.Sprintf("%q", s), maxReason)
}
