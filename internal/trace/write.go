package trace

import (
	"encoding/json"
	"io"
)

type jsonTrace struct {
	Kind   string    `json:"kind,omitempty"`
	Agents *int      `json:"numAgents,omitempty"`
	Start  *string   `json:"startContent,omitempty"`
	Txns   []jsonTxn `json:"txns"`
	End    string    `json:"endContent"`
}

type jsonTxn struct {
	Parents *[]int   `json:"parents,omitempty"`
	Agent   *int     `json:"agent,omitempty"`
	Patches [][3]any `json:"patches"`
}

// Write writes t, which must be valid, as one line of JSON that Read takes back. Name is not written.
func (t *Trace) Write(w io.Writer) error {
	out := jsonTrace{Txns: make([]jsonTxn, len(t.Txns)), End: t.End}
	if t.Concurrent {
		out.Kind, out.Agents = "concurrent", &t.Agents
	} else {
		out.Start = &t.Start
	}
	for i := range t.Txns {
		out.Txns[i] = t.Txns[i].json(t.Concurrent)
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc.Encode(out)
}

func (txn *Txn) json(concurrent bool) jsonTxn {
	out := jsonTxn{Patches: make([][3]any, len(txn.Patches))}
	if concurrent {
		parents := append([]int{}, txn.Parents...)
		out.Parents, out.Agent = &parents, &txn.Agent
	}
	for i, p := range txn.Patches {
		out.Patches[i] = [3]any{p.Pos, p.Deleted, p.Inserted}
	}
	return out
}
