package guide_test

import (
	"fmt"

	"github.com/seed1312cc15/weft"
)

// Kanban is a board whose cards move between columns: one list holds them all, each knows its column.
type Kanban struct {
	Cards weft.ObjectList[KanbanCard] `weft:"cards"`
}

type KanbanCard struct {
	Title  weft.Text             `weft:"title"`
	Column weft.Register[string] `weft:"column"`
}

// moveCard puts a card into a column, above another card there.
func moveCard(tx weft.Tx, b *Kanban, card *KanbanCard, column string, above *KanbanCard) error {
	if err := card.Column.Set(tx, column); err != nil {
		return err
	}
	to, _, err := b.Cards.Position(tx, above)
	if err != nil {
		return err
	}
	return b.Cards.MoveObject(tx, card, to)
}

func Example_kanban() {
	ann, ben := must(weft.Open[Kanban](nil)), must(weft.Open[Kanban](nil))
	check(ann.Transact(func(tx weft.Tx) error {
		for _, c := range [][2]string{{"doing", "tea"}, {"doing", "milk"}, {"todo", "cake"}} {
			_, err := ann.Root.Cards.Append(tx, func(k *KanbanCard) error {
				check(k.Column.Set(tx, c[0]))
				return k.Title.Insert(tx, 0, c[1])
			})
			if err != nil {
				return err
			}
		}
		return nil
	}))
	check(ben.Load(must(ann.Save())))

	for doc, column := range map[*weft.Document[Kanban]]string{ann: "doing", ben: "done"} { // both at once
		check(doc.Transact(func(tx weft.Tx) error {
			cake, err := doc.Root.Cards.Get(tx, 2)
			check(err)
			milk, err := doc.Root.Cards.Get(tx, 1)
			check(err)
			return moveCard(tx, doc.Root, cake, column, milk)
		}))
	}
	check(ann.Load(must(ben.Save())))
	check(ben.Load(must(ann.Save())))

	cakes := 0
	check(ann.View(func(tx weft.Tx) error {
		for _, c := range ann.Root.Cards.All(tx) {
			if c.Title.String(tx) == "cake" {
				cakes++
			}
		}
		return nil
	}))
	fmt.Println("cakes:", cakes, "equal:", ann.Digest() == ben.Digest())
	// Output: cakes: 1 equal: true
}
