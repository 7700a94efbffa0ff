package main

func serverCommands() []*command { return nil }

// runConversation does nothing: there are no processes.
func runConversation(*console) error { return nil }
