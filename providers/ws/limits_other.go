//go:build !unix && !js

package ws

// fileLimit returns how many sockets the process may have open: a guess where nothing tells.
func fileLimit() int { return 10_000 }
