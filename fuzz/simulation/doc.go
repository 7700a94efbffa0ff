// Package simulation runs whole systems, clients, servers, stores and the links between them, as a pure function of a seed:
// what happens when, and what breaks, is drawn from it, and the same seed gives the same run on every machine.
//
//	report, err := simulation.Run(simulation.Options{Seed: 42})
//
// "weft simulate -seed 42 -trace" prints what happens, "weft simulate -for 1m" makes runs with one seed after the other.
//
// # What a system is
//
// Three clients or more edit one or two documents of several types, each in sync with one of one or two servers, which are
// in sync with each other. All of it is the code that programs run: runtimes, sessions and Muxes, keepers, numbered logs;
// only links, stores, clocks and randomness are simulated. Some clients follow the numbered log, some do not; some keep
// documents in a store, of these some under a replica ID that the store lends; histories and queues are small and large.
// Now and then a hostile client sends garbage, frames that were changed, other transactions under dots that are used, and
// transactions in the name of others. Somebody who may only read comes in the middle, and writes for himself; somebody else comes
// when all is over. All show where they are (presence).
//
// # Time and order
//
// One goroutine does everything. A step lets some virtual time pass and then does one small thing: an edit, some frames on
// some links, some work of a keeper. Keepers run in coroutines (iter.Pull), so that a store can take its time in the middle
// of a call while the world goes on, and a process can be killed there.
//
// # Faults
//
// Links are cut at any frame, half-open, slow. Stores lose what was not synced when the process is killed, tear the last
// record, are full, slow, unreadable for a while, fail to sync, flip bits, and are replaced by an older copy of themselves.
// Processes are killed and come back, with or without what they had; clocks jump. What each does is a constant of type Fault.
//
// # What must hold
//
//  1. Nothing that a server has acknowledged as durable is missing when it comes back, or at the end; no dot that a client's
//     store had is missing when that comes back.
//  2. Replicas with equal clocks are equal. When faults have ended, all living honest replicas get equal clocks in time, all
//     that living clients have written is in them and saved, and Runtime.Check finds nothing.
//  3. What waits, for dots or for peers, and the room logs are bounded.
//  4. No honest side refuses another for good, or finds that it brought something wrong.
//  5. Numbers of a log never fall, and whoever follows one is told of nothing that a crash of the server could take back. Who may only read writes nothing. Those who are at one server see each other's presence, nobody
//     else's, and no store has it.
//  6. What was acknowledged before an older copy of a store was made is in it; what was acknowledged since, clients that have it
//     bring back, without a stop.
//  7. Damage is reported: a damaged document is not served until somebody removes it, and then clients bring it back.
//
// Plant makes a part lie, to show that these checks find it.
//
// # Reading the source
//
// world.go has the run, its clock and coroutines; act.go what a step does; check.go what must hold, and the end; disk.go the
// stores; link.go; client.go, server.go and hostile.go the processes; schema.go the documents; presence.go who is there; plant.go a deliberate fault;
// soak.go many runs.
package simulation
