package fuzz

import "github.com/seed1312cc15/weft/crdt"

// Board is a document of every type of package crdt, nested: the schema "board".
type Board struct {
	Title   crdt.Register[string]        `weft:"title"`
	Body    crdt.Text                    `weft:"body"`
	Votes   crdt.Counter                 `weft:"votes"`
	Tags    crdt.Set[string]             `weft:"tags"`
	Labels  crdt.Map[string, int]        `weft:"labels"`
	Order   crdt.List[string]            `weft:"order"`
	Tasks   crdt.ObjectMap[string, Task] `weft:"tasks"`
	Notes   crdt.ObjectSet[crdt.Text]    `weft:"notes"`
	Columns crdt.ObjectList[Column]      `weft:"columns"`
	Scores  crdt.LazyMap[string, Score]  `weft:"scores"`
	Options struct {
		Public crdt.Flag            `weft:"public"`
		Locked crdt.DisableWinsFlag `weft:"locked"`
	} `weft:"options"`
}

// Task is what a Board's tasks are: a type that holds itself.
type Task struct {
	Name crdt.Text                    `weft:"name"`
	Done crdt.Flag                    `weft:"done"`
	Who  crdt.MVRegister[string]      `weft:"who"`
	Subs crdt.ObjectMap[string, Task] `weft:"subs"`
}

// Column is what a Board's columns are.
type Column struct {
	Name  crdt.Register[string] `weft:"name"`
	Cards crdt.List[int]        `weft:"cards"`
}

// Score is what a Board's scores are.
type Score struct {
	Points crdt.Counter                    `weft:"points"`
	By     crdt.LazyMap[int, crdt.Counter] `weft:"by"`
}

// Schemas returns the schemas that Replay and the command weft know by name: one for each type of package crdt, and
// "board" for a struct of all of them.
func Schemas() []Schema {
	return []Schema{
		Of[crdt.Counter]("counter"),
		Of[crdt.Register[string]]("register"),
		Of[crdt.MVRegister[string]]("mvregister"),
		Of[crdt.Flag]("flag"),
		Of[crdt.DisableWinsFlag]("flag-dw"),
		Of[crdt.Set[string]]("set"),
		Of[crdt.Map[string, string]]("map"),
		Of[crdt.Text]("text"),
		Of[crdt.List[int]]("list"),
		Of[Column]("record"),
		Of[crdt.LazyMap[string, crdt.Text]]("lazymap"),
		Of[crdt.ObjectMap[string, Task]]("objectmap"),
		Of[crdt.ObjectSet[crdt.Text]]("objectset"),
		Of[crdt.ObjectList[crdt.Text]]("objectlist"),
		Of[Board]("board"),
	}
}
