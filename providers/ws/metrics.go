//go:build !js

package ws

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/seed1312cc15/weft/providers"
)

// counters are what the server counts. They only grow.
type counters struct {
	requests, turnedAway, accepted         atomic.Int64
	hellos, failures, admitted, revoked    atomic.Int64
	opens, loads, loadErrors, unloads      atomic.Int64
	framesIn, framesOut, bytesIn, bytesOut atomic.Int64
	writes, updatesIn, pauses, stalled     atomic.Int64
	encodes, storedRecords, storedBytes    atomic.Int64
	storeErrors, panics, diverged          atomic.Int64

	mu      sync.Mutex // a leaf
	ends    map[providers.Code]int64
	refused map[providers.Code]int64
}

func (c *counters) end(code providers.Code)    { c.by(&c.ends, code) }
func (c *counters) refuse(code providers.Code) { c.by(&c.refused, code) }

func (c *counters) by(m *map[providers.Code]int64, code providers.Code) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if *m == nil {
		*m = make(map[providers.Code]int64)
	}
	if _, ok := (*m)[code]; !ok && len(*m) >= 64 {
		code = providers.CodeNone // codes come from peers too
	}
	(*m)[code]++
}

// Stats is what a server has counted since its start, and what it has now.
type Stats struct {
	Connections, Documents, Peers, Quarantined int // now

	Requests, TurnedAway, Accepted      int64 // upgrades asked for, refused, made
	Hellos, Failures, Admitted, Revoked int64
	Opens, Loads, LoadErrors, Unloads   int64 // of documents
	FramesIn, FramesOut                 int64
	BytesIn, BytesOut, Writes           int64 // on sockets
	UpdatesIn                           int64
	Pauses, Stalled                     int64 // peers that were too fast, and too slow
	Encodes                             int64 // of whole states
	StoredRecords, StoredBytes          int64
	StoreErrors, Panics                 int64
	Diverged                            int64 // documents found to differ from a peer's at the same clock
	PresenceDropped                     int64 // of documents that are open

	Ends, Refused map[providers.Code]int64 // connections that have ended, documents that were refused
}

// Stats returns a snapshot. Cost: O(documents that are open).
func (s *Server) Stats() Stats {
	c := &s.count
	s.mu.Lock()
	x := Stats{Connections: len(s.conns), Peers: s.peers}
	s.mu.Unlock()
	x.Quarantined = len(s.rooms.quarantined())
	for _, r := range s.rooms.list() {
		if r.loaded() {
			x.Documents++
			x.PresenceDropped += int64(r.ephemeral.Dropped())
		}
	}
	for _, f := range x.fields(c) {
		*f.to = f.from.Load()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	x.Ends, x.Refused = make(map[providers.Code]int64), make(map[providers.Code]int64)
	for code, n := range c.ends {
		x.Ends[code] = n
	}
	for code, n := range c.refused {
		x.Refused[code] = n
	}
	return x
}

type statField struct {
	name, help string
	to         *int64
	from       *atomic.Int64
}

// fields lists the counters under their names for monitoring.
func (x *Stats) fields(c *counters) []statField {
	return []statField{
		{"upgrades_total", "Upgrades asked for.", &x.Requests, &c.requests},
		{"upgrades_refused_total", "Upgrades refused.", &x.TurnedAway, &c.turnedAway},
		{"connections_accepted_total", "Connections made.", &x.Accepted, &c.accepted},
		{"hellos_total", "Connections that have said hello.", &x.Hellos, &c.hellos},
		{"authentication_failures_total", "Connections that were not authenticated.", &x.Failures, &c.failures},
		{"connections_admitted_total", "Connections admitted.", &x.Admitted, &c.admitted},
		{"revocations_total", "Connections and documents ended because access was revoked.", &x.Revoked, &c.revoked},
		{"opens_total", "Documents that connections asked for.", &x.Opens, &c.opens},
		{"loads_total", "Documents loaded.", &x.Loads, &c.loads},
		{"load_errors_total", "Documents that could not be loaded.", &x.LoadErrors, &c.loadErrors},
		{"unloads_total", "Documents unloaded.", &x.Unloads, &c.unloads},
		{"frames_received_total", "Frames received.", &x.FramesIn, &c.framesIn},
		{"frames_sent_total", "Frames sent.", &x.FramesOut, &c.framesOut},
		{"received_bytes_total", "Bytes received on upgraded connections.", &x.BytesIn, &c.bytesIn},
		{"sent_bytes_total", "Bytes sent on upgraded connections.", &x.BytesOut, &c.bytesOut},
		{"writes_total", "Writes to sockets.", &x.Writes, &c.writes},
		{"updates_received_total", "Updates taken from clients.", &x.UpdatesIn, &c.updatesIn},
		{"pauses_total", "Times that a client was read more slowly.", &x.Pauses, &c.pauses},
		{"stalled_total", "Connections dropped because the peer did not read.", &x.Stalled, &c.stalled},
		{"encodes_total", "Whole states encoded.", &x.Encodes, &c.encodes},
		{"stored_records_total", "Records made durable.", &x.StoredRecords, &c.storedRecords},
		{"stored_bytes_total", "Bytes made durable in records.", &x.StoredBytes, &c.storedBytes},
		{"store_errors_total", "Failures of the store.", &x.StoreErrors, &c.storeErrors},
		{"panics_total", "Panics that were caught.", &x.Panics, &c.panics},
		{"diverged_total", "Documents found to differ from a peer's at the same clock.", &x.Diverged, &c.diverged},
	}
}

// MetricsHandler serves the counters in the text format of Prometheus, version 0.0.4. Nothing in it tells of documents or
// principals by name. It asks for no credentials: serve it where only monitoring can reach it.
func (s *Server) MetricsHandler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		x := s.Stats()
		x.write(w)
	})
}

func (x *Stats) write(w io.Writer) {
	metric := func(name, kind, help string) {
		fmt.Fprintf(w, "# HELP weft_%s %s\n# TYPE weft_%s %s\n", name, help, name, kind)
	}
	for _, g := range []struct {
		name, help string
		v          int64
	}{
		{"connections", "Connections now.", int64(x.Connections)},
		{"documents", "Documents open now.", int64(x.Documents)},
		{"peers", "Links to other servers now.", int64(x.Peers)},
		{"documents_quarantined", "Documents in quarantine.", int64(x.Quarantined)},
		{"presence_dropped", "Presence and casts beyond a limit, of documents that are open.", x.PresenceDropped},
	} {
		metric(g.name, "gauge", g.help)
		fmt.Fprintf(w, "weft_%s %d\n", g.name, g.v)
	}
	for _, f := range x.fields(&counters{}) {
		metric(f.name, "counter", f.help)
		fmt.Fprintf(w, "weft_%s %d\n", f.name, *f.to)
	}
	for _, m := range []struct {
		name, help string
		of         map[providers.Code]int64
	}{
		{"connections_ended_total", "Connections that have ended, by code.", x.Ends},
		{"documents_refused_total", "Documents refused, by code.", x.Refused},
	} {
		metric(m.name, "counter", m.help)
		codes := make([]providers.Code, 0, len(m.of))
		for code := range m.of {
			codes = append(codes, code)
		}
		slices.Sort(codes)
		for _, code := range codes {
			fmt.Fprintf(w, "weft_%s{code=%q} %d\n", m.name, code, m.of[code])
		}
	}
}
