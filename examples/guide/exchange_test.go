package guide_test

import (
	"errors"
	"fmt"

	"github.com/seed1312cc15/weft"
)

func Example_messages() {
	ann, ben := must(weft.Open[Board](nil)), must(weft.Open[Board](nil))

	ann.OnUpdate(func(u weft.Update) {
		if u.Local {
			must(ben.Receive(u.Data)) // your network goes here
		}
	})
	ben.OnUpdate(func(u weft.Update) {
		if u.Local {
			must(ann.Receive(u.Data))
		}
	})

	write(ann, "milk")
	write(ben, "milk, eggs")

	show(ann, ben)
	fmt.Println(ann.Digest() == ben.Digest())
	// Output:
	// {"body":"milk, eggs"}
	// {"body":"milk, eggs"}
	// true
}

func Example_offline() {
	ann, ben := must(weft.Open[Board](nil)), must(weft.Open[Board](nil))
	write(ann, "milk and eggs")
	check(ben.Load(must(ann.Save()))) // both start from this

	write(ann, "fresh milk and eggs") // Ann edits on a train,
	write(ben, "milk and ten eggs")   // Ben at home

	check(ann.Load(must(ben.Save())))
	check(ben.Load(must(ann.Save())))

	show(ann, ben)
	// Output:
	// {"body":"fresh milk and ten eggs"}
	// {"body":"fresh milk and ten eggs"}
}

func Example_delta() {
	ann, ben := must(weft.Open[Board](nil)), must(weft.Open[Board](nil))
	write(ann, "milk")
	check(ben.Load(must(ann.Save())))
	write(ann, "milk, eggs")

	clock := ben.Clock() // Ben sends this to Ann,

	delta := must(ann.SaveSince(clock)) // she answers with this,

	check(ben.Load(delta)) // and Ben has what she has

	show(ben)
	// Output:
	// {"body":"milk, eggs"}
}

// missing returns what a replica with this clock lacks: an update that its Receive takes, nil if it lacks nothing.
func missing(doc *weft.Runtime, clock weft.Clock) ([]byte, error) {
	messages, err := doc.MessagesSince(clock)
	switch {
	case errors.Is(err, weft.ErrEvicted):
		return doc.SaveSince(clock)
	case err != nil || len(messages) == 0:
		return nil, err
	}
	return weft.Bundle(messages)
}

func Example_clock() {
	ann, ben := must(weft.Open[Board](nil)), must(weft.Open[Board](nil))
	write(ann, "milk")
	write(ann, "milk, eggs")

	update := must(missing(ann.Runtime, ben.Clock()))
	res, err := ben.Receive(update)
	fmt.Println(must(weft.KindOf(update)), res.Applied, err)

	fmt.Println(must(missing(ann.Runtime, ben.Clock())) == nil)
	// Output:
	// bundle 2 <nil>
	// true
}

func Example_order() {
	ann, ben := must(weft.Open[Board](nil)), must(weft.Open[Board](nil))
	var sent [][]byte
	ann.OnUpdate(func(u weft.Update) { sent = append(sent, u.Data) })
	write(ann, "milk")
	write(ann, "milk, eggs")

	res := must(ben.Receive(sent[1])) // the second one first
	fmt.Println("applied", res.Applied, "waiting", res.Waiting, "missing", len(res.Missing))

	res = must(ben.Receive(sent[0]))
	fmt.Println("applied", res.Applied, "waiting", ben.Waiting())

	res = must(ben.Receive(sent[0])) // once more
	fmt.Println("applied", res.Applied, "redundant", res.Redundant)
	// Output:
	// applied 0 waiting 1 missing 1
	// applied 2 waiting 0
	// applied 0 redundant 1
}

func Example_origin() {
	server := must(weft.Open[Board](nil))
	type peer struct {
		name string
		got  int
	}
	peers := []*peer{{name: "ann"}, {name: "ben"}}

	server.OnUpdate(func(u weft.Update) {
		for _, p := range peers {
			if u.Origin != p { // it came from there
				p.got++ // send u.Data to p
			}
		}
	})

	ann := must(weft.Open[Board](nil))
	ann.OnUpdate(func(u weft.Update) { must(server.Receive(u.Data, weft.From(peers[0]))) })
	write(ann, "milk")

	fmt.Println("ann", peers[0].got, "ben", peers[1].got)
	// Output:
	// ann 0 ben 1
}

func Example_extensions() {
	doc, ben := must(weft.Open[Board](nil)), must(weft.Open[Board](nil))
	doc.OnUpdate(func(u weft.Update) { must(ben.Receive(u.Data)) })
	ben.OnUpdate(func(u weft.Update) { fmt.Println(u.Extensions()["author"]) })

	err := doc.Transact(func(tx weft.Tx) error { return doc.Root.Votes.Add(tx, 1) },
		weft.Extensions(map[string]any{"author": "Ann"}))
	check(err)
	// Output: Ann
}
