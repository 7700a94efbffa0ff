// Package fuzz is the convergence kit: with it you prove that documents of your schema, or a type of your own, converge,
// and with it Weft proves its own types.
package fuzz
