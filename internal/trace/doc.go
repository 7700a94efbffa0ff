// Package trace reads editing traces: recorded histories of text editing in the two forms of the public dataset
// josephg/editing-traces. Tests and benchmarks replay them.
//
// A sequential trace is the work of one writer:
//
//	{"startContent":"","endContent":"hi","txns":[{"patches":[[0,0,"hi"]]}]}
//
// A concurrent trace is a graph of transactions by several agents. Each was written in the state that holds exactly
// the transactions in its parents' history:
//
//	{"kind":"concurrent","numAgents":2,"endContent":"ab","txns":[
//	  {"parents":[],"agent":0,"patches":[[0,0,"a"]]},
//	  {"parents":[0],"agent":1,"patches":[[1,0,"b"]]}]}
//
// A patch is [position, deleted, inserted], counted in Unicode code points: the delete comes first, then the insert
// at the same position. Fields not named here are ignored.
//
// Start at [Trace], which numbers what holds of every trace that [Read] returns, then see [Trace.Deliveries], which
// tells what each agent's replica must receive before it writes. read.go decodes, validate.go checks, causal.go
// walks the graph, generate.go makes a trace when no recorded one is at hand.
package trace
