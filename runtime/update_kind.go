package runtime

import (
	"bytes"
	"fmt"
)

// KindOf returns what kind of update data claims to be, by its first bytes.
func KindOf(data []byte) (UpdateKind, error) {
	format := byte(0)
	if bytes.HasPrefix(data, magic) {
		if content, _, ok := cutBstr(data[len(magic):]); ok && len(content) > 0 && content[0] != formatMessage {
			format = content[0]
		}
	} else if content, _, ok := cutBstr(data); ok && len(content) > 0 && (content[0] == formatMessage || content[0]>>4 != formatMessage>>4) {
		format = content[0]
	}
	switch {
	case format == formatMessage:
		return MessageUpdate, nil
	case format == formatBundle:
		return BundleUpdate, nil
	case format == formatState:
		return StateUpdate, nil
	case format == formatDelta:
		return DeltaUpdate, nil
	case format != 0 && format>>4 != formatMessage>>4:
		return 0, &DecodeError{Format: "update", Field: "format", Err: ErrVersion}
	}
	if n := cutShort(data); n > 0 {
		return 0, &DecodeError{Format: "update", Offset: len(data), Field: "end", Err: fmt.Errorf("%w: cut short, %d bytes are missing", ErrCorrupt, n)}
	}
	return 0, &DecodeError{Format: "update", Field: "format", Err: ErrCorrupt}
}

// cutShort returns how many bytes data lacks if it is the beginning of an update, else 0.
func cutShort(data []byte) int {
	body, tagged := bytes.CutPrefix(data, magic)
	n, head := bstrHead(body)
	if head == 0 || n <= len(body)-head || !tagged && (len(body) == head || body[head] != formatMessage) {
		return 0
	}
	return n - (len(body) - head)
}

// magic is the CBOR tag 0x77656674 ("weft") that precedes the byte string of bundles, states and deltas.
var magic = []byte{0xda, 'w', 'e', 'f', 't'}
