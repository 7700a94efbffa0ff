package crdt

import "github.com/seed1312cc15/weft/runtime"

// Keys of ObjectMap and LazyMap are CBOR in core deterministic form, see appendKey, so that equal keys have equal bytes.

// childKey decodes an encoded key; false if it is not a K. Cost: no allocation for short texts.
func childKey[K comparable](key string) (k K, ok bool) {
	if p, is := any(&k).(*string); is && len(key) > 0 && len(key) < 24 && int(key[0]) == 0x60|(len(key)-1) {
		*p = key[1:] // checked when it came
		return k, true
	}
	return k, decodeValue([]byte(key), &k) == nil
}

// keyName renders an encoded key as a key of the JSON object out, another than those that are there: the number 1 and
// the text "1" are two keys.
func keyName(out map[string]any, key string) string {
	return runtime.FreeName(out, keyText([]byte(key)), key)
}
