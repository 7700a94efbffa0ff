package runtime

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/fxamacker/cbor/v2"
)

// exportValue renders a CBOR value in terms of JSON; docs/types.md lists how.
func exportValue(data []byte) any {
	var v any
	if err := valueDec.Unmarshal(data, &v); err != nil {
		return map[string]any{"$cbor": base64.StdEncoding.EncodeToString(data)}
	}
	return jsonValue(v)
}

func jsonValue(v any) any {
	switch v := v.(type) {
	case []byte:
		return map[string]any{"$bytes": base64.StdEncoding.EncodeToString(v)}
	case cbor.ByteString: // what the decoder makes of bytes that are a key
		return jsonValue([]byte(v))
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return map[string]any{"$float": strconv.FormatFloat(v, 'g', -1, 64)}
		}
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = jsonValue(v[i])
		}
		return out
	case map[any]any:
		return jsonObject(v)
	case time.Time:
		return v.Format(time.RFC3339Nano)
	case cbor.Tag:
		return map[string]any{"$tag": v.Number, "$value": jsonValue(v.Content)}
	}
	return v
}

// jsonObject renders a map: of keys that read alike, such as 1 and "1", those after the first have their bytes behind
// them, in the order of these bytes.
func jsonObject(m map[any]any) map[string]any {
	type member struct {
		key   []byte
		name  string
		value any
	}
	members := make([]member, 0, len(m))
	for k, v := range m {
		key, err := valueEnc.Marshal(k)
		if err != nil { // no value that was decoded is without an encoding
			key = []byte(fmt.Sprint(k))
		}
		members = append(members, member{key, KeyString(k), jsonValue(v)})
	}
	slices.SortFunc(members, func(a, b member) int { return bytes.Compare(a.key, b.key) })
	out := make(map[string]any, len(m))
	for _, e := range members {
		out[FreeName(out, e.name, string(e.key))] = e.value
	}
	return out
}

// FreeName returns name, with the bytes of the key in hex behind it as often as it takes to be no name of out.
func FreeName(out map[string]any, name, key string) string {
	for _, taken := out[name]; taken; _, taken = out[name] {
		name += " (" + hex.EncodeToString([]byte(key)) + ")"
	}
	return name
}

// KeyString renders a decoded key as the key of a JSON object: a text as it is, anything else as its JSON.
func KeyString(k any) string {
	v := jsonValue(k)
	if s, ok := v.(string); ok {
		return s
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return fmt.Sprint(v)
	}
	return string(bytes.TrimSuffix(b.Bytes(), []byte("\n")))
}
