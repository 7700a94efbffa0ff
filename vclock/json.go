package vclock

import (
	"bytes"
	"encoding/json"
	"io"
	"strconv"
)

// MarshalJSON returns c as an object from replica to end, keys ascending, no spaces; {} if c is empty or
// nil. If c is not valid it returns an error that wraps ErrInvalid.
func (c Clock) MarshalJSON() ([]byte, error) {
	const perEntry = uuidLen + len(`"":,`) + 8
	b := make([]byte, 0, 2+perEntry*len(c))
	b = append(b, '{')
	for r, end := range c.Sorted() {
		if err := validateEnd(r, end); err != nil {
			return nil, err
		}
		if len(b) > 1 {
			b = append(b, ',')
		}
		b = append(b, '"')
		b = append(b, r.String()...)
		b = append(b, '"', ':')
		b = strconv.AppendUint(b, end, 10)
	}
	return append(b, '}'), nil
}

// UnmarshalJSON replaces c by the clock that data states: one object, keys lower-case UUIDs in any order but
// none twice, values plain integers in [1, 2^53], at most DefaultMaxReplicas entries. Anything else, null
// too, is refused with a *DecodeError and c is unchanged.
func (c *Clock) UnmarshalJSON(data []byte) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	clock := Clock{}
	field, err := readObject(dec, clock)
	if err != nil {
		return &DecodeError{Offset: int(dec.InputOffset()), Field: field, Err: err}
	}
	*c = clock
	return nil
}

// readObject reads all of dec as one object into clock. On error it names the field that it was in.
func readObject(dec *json.Decoder, clock Clock) (field string, err error) {
	if token, err := dec.Token(); err != nil || token != json.Delim('{') {
		return "object", errSyntax
	}
	for dec.More() {
		if len(clock) == DefaultMaxReplicas {
			return "count", ErrLimit
		}
		r, err := readKey(dec)
		if err != nil {
			return "replica", err
		}
		if _, twice := clock[r]; twice {
			return "replica", errDuplicate
		}
		if clock[r], err = readEnd(dec); err != nil {
			return "end", err
		}
	}
	if _, err := dec.Token(); err != nil {
		return "object", errSyntax
	}
	if _, err := dec.Token(); err != io.EOF {
		return "trailing", errTrailing
	}
	return "", nil
}

// readKey reads the next token as a replica.
func readKey(dec *json.Decoder) (Replica, error) {
	token, err := dec.Token()
	if err != nil {
		return Replica{}, errSyntax
	}
	key, _ := token.(string)
	return parseReplica(key)
}

// readEnd reads the next token as an end.
func readEnd(dec *json.Decoder) (uint64, error) {
	token, err := dec.Token()
	if err != nil {
		return 0, errSyntax
	}
	number, ok := token.(json.Number)
	if !ok {
		return 0, errNumber
	}
	end, err := parseNumber(number.String(), maxEnd)
	if err == nil && end == 0 {
		return 0, errZero
	}
	return end, err
}
