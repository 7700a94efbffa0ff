// Package ephemeral is the typed front of providers.Ephemeral: what the users of a document show of themselves now, and what
// they call out to each other. None of it is part of the document or ever saved.
//
//	cursors := ephemeral.NewPresence[Cursor](notes.Ephemeral(), nil)
//	defer cursors.Close()
//	cursors.OnChange(func(c ephemeral.Change[Cursor]) { redraw(c) })
//	cursors.Set(Cursor{Line: 3, Name: "Ada"})
//
// [Presence] has one value for each replica, which stands until it is replaced, leaves, or is not repeated in time;
// whoever comes later gets all values that stand. [Channel] carries messages to whoever is there.
//
// Values are CBOR, as runtime.EncodeValue writes them, at most 4 KiB. A replica has one presence value in a document: put
// all that it shows into one struct.
package ephemeral
