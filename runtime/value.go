package runtime

import (
	"fmt"
	"math"

	"github.com/fxamacker/cbor/v2"
)

// Values are CBOR (RFC 8949). What this library encodes is in core deterministic form (section 4.2.1); what others wrote
// is kept as it came.
var (
	valueEnc cbor.EncMode
	valueDec cbor.DecMode
)

// MaxValueDepth bounds the nesting of a value.
const MaxValueDepth = 64

func init() {
	opts := cbor.CoreDetEncOptions()
	opts.Time = cbor.TimeRFC3339Nano
	var err error
	if valueEnc, err = opts.EncMode(); err != nil {
		panic(err)
	}
	valueDec, err = cbor.DecOptions{
		DupMapKey: cbor.DupMapKeyEnforcedAPF, IndefLength: cbor.IndefLengthForbidden, UTF8: cbor.UTF8RejectInvalid,
		MaxNestedLevels: MaxValueDepth, MaxArrayElements: 1 << 20, MaxMapPairs: 1 << 20, BigIntDec: cbor.BigIntDecodePointer,
	}.DecMode()
	if err != nil {
		panic(err)
	}
}

// EncodeValue encodes v deterministically: equal values give equal bytes.
func EncodeValue(v any) ([]byte, error) {
	b, err := valueEnc.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("runtime: value: %w", err)
	}
	if err := ValidValue(b); err != nil {
		return nil, err
	}
	return b, nil
}

// DecodeValue decodes what EncodeValue, or anybody else, wrote into v.
func DecodeValue(data []byte, v any) error {
	if err := valueDec.Unmarshal(data, v); err != nil {
		return fmt.Errorf("runtime: value: %w", err)
	}
	return nil
}

// ValidValue returns nil if data is one well-formed CBOR item within the limits. Cost: O(length), no allocation.
func ValidValue(data []byte) error {
	if plain, _ := plainValue(data); plain {
		return nil
	}
	if err := valueDec.Wellformed(data); err != nil {
		return fmt.Errorf("%w: value: %w", ErrInvalidOp, err)
	}
	return nil
}

// CanonicalKey returns nil if data may be a key or a set element: a value in core deterministic form without NaN, so that
// equal keys have equal bytes.
func CanonicalKey(data []byte) error {
	if plain, canonical := plainValue(data); plain && canonical {
		return nil
	}
	if err := ValidValue(data); err != nil {
		return err
	}
	var v any
	if err := valueDec.Unmarshal(data, &v); err != nil {
		return fmt.Errorf("%w: key: %w", ErrInvalidOp, err)
	}
	if hasNaN(v) {
		return fmt.Errorf("%w: key: NaN is not equal to itself", ErrInvalidOp)
	}
	again, err := valueEnc.Marshal(v)
	if err != nil || string(again) != string(data) {
		return fmt.Errorf("%w: key: not in core deterministic form (RFC 8949 section 4.2.1)", ErrInvalidOp)
	}
	return nil
}

func hasNaN(v any) bool {
	switch v := v.(type) {
	case float64:
		return math.IsNaN(v)
	case []any:
		for _, e := range v {
			if hasNaN(e) {
				return true
			}
		}
	case map[any]any:
		for k, e := range v {
			if hasNaN(k) || hasNaN(e) {
				return true
			}
		}
	case cbor.Tag:
		return hasNaN(v.Content)
	}
	return false
}
