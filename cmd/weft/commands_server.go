//go:build !js

package main

// serverCommands are those that need a server, which there is none of in browsers.
func serverCommands() []*command { return []*command{serveCommand, benchServerCommand} }
