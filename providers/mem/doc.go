// Package mem provides links and stores in memory: for tests, for replicas in one process, and as the simplest example of
// what a provider is.
package mem
