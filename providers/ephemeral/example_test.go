package ephemeral_test

import (
	"fmt"

	"github.com/seed1312cc15/weft/providers"
	"github.com/seed1312cc15/weft/providers/ephemeral"
	"github.com/seed1312cc15/weft/vclock"
)

// newEphemeral stands for Document.Ephemeral of a client.
func newEphemeral() *providers.Ephemeral {
	e, _ := providers.NewEphemeral(&providers.EphemeralOptions{Own: vclock.Replica{1}})
	return e
}

type Cursor struct {
	Line int    `cbor:"line"`
	Name string `cbor:"name"`
}

func redraw(c ephemeral.Change[Cursor]) {
	if c.Left {
		fmt.Println("somebody has left")
		return
	}
	fmt.Println(c.Value.Name, "is at line", c.Value.Line)
}

// Handlers hear of own values too.
func ExamplePresence() {
	notes := struct{ Ephemeral func() *providers.Ephemeral }{newEphemeral}
	cursors := ephemeral.NewPresence[Cursor](notes.Ephemeral(), nil)
	defer cursors.Close()
	cursors.OnChange(func(c ephemeral.Change[Cursor]) { redraw(c) })
	cursors.Set(Cursor{Line: 3, Name: "Ada"})
	for _, c := range cursors.All() {
		fmt.Println("here:", c.Name)
	}
	cursors.Leave()
	// Output:
	// Ada is at line 3
	// here: Ada
	// somebody has left
}

func ExampleChannel() {
	reactions := ephemeral.NewChannel[string](newEphemeral(), "reactions", &ephemeral.ChannelOptions{Echo: true})
	defer reactions.OnMessage(func(m ephemeral.Message[string]) { fmt.Println("somebody says", m.Value) })()
	reactions.Send("hurray")
	// Output: somebody says hurray
}
