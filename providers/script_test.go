package providers_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/seed1312cc15/weft/providers"
	"github.com/seed1312cc15/weft/runtime"
	"github.com/seed1312cc15/weft/vclock"
)

// TestScripts runs testdata/session/*.txt: commands, a line of dashes, and what they print; an empty line ends a block. With
// -update the output is written anew: read the difference before it is committed. Nodes are 1, 2, ...; the ends of the
// link are > (from its first node, the dialer) and <.
//
//	nodes N [history=MESSAGES] [waiting=MESSAGES]
//	link I J [>pattern=NAME] [<pattern=NAME] [<durable] [<readonly] [>queue=MESSAGES]    a new link
//	open                 the dialer opens the document
//	insert I AT TEXT     fill I BYTES     remove I AT COUNT
//	tell I J K           node I receives message number K of what node J has written
//	send END N           take up to N frames from an end
//	deliver END N        hand up to N frames from an end to the other
//	run                  until nothing moves; prints counts
//	tick DURATION        cut        store I        bye END CODE        status
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/session/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no scripts", err)
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".txt"), func(t *testing.T) {
			data, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			s := &script{t: t, now: time.Unix(1_000_000, 0)}
			got := s.run(string(data))
			if got == string(data) {
				return
			}
			if *update {
				if err := os.WriteFile(f, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			t.Errorf("another result; with -update it is written to %s:\n%s", f, got)
		})
	}
}

type script struct {
	t       *testing.T
	nodes   []*node
	durable map[int]vclock.Clock
	w       *wire
	now     time.Time
	told    [2]int // events printed
	out     strings.Builder
}

func (s *script) run(text string) string {
	var result strings.Builder
	for block := range strings.SplitSeq(strings.TrimRight(text, "\n"), "\n\n") {
		commands, _, _ := strings.Cut(block+"\n", "----\n")
		s.out.Reset()
		for line := range strings.Lines(commands) {
			if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
				s.command(strings.Fields(line))
				s.events()
			}
		}
		if result.Len() > 0 {
			result.WriteString("\n")
		}
		result.WriteString(commands)
		if s.out.Len() > 0 {
			result.WriteString("----\n" + s.out.String())
		}
	}
	return result.String()
}

func (s *script) number(text string) int {
	n, err := strconv.Atoi(text)
	if err != nil {
		s.t.Fatal(err)
	}
	return n
}

func (s *script) node(text string) *node { return s.nodes[s.number(text)-1] }

func end(text string) int { return map[string]int{">": 0, "<": 1}[text] }

func (s *script) command(c []string) {
	switch c[0] {
	case "nodes":
		o := runtime.Options{}
		for _, x := range c[2:] {
			name, value, _ := strings.Cut(x, "=")
			switch name {
			case "history":
				o.History.Messages = s.number(value)
			case "waiting":
				o.Limits.Waiting = s.number(value)
			}
		}
		s.durable = make(map[int]vclock.Clock)
		for i := range s.number(c[1]) {
			s.nodes = append(s.nodes, newNode(s.t, i+1, o))
			s.durable[i+1] = make(vclock.Clock)
		}
	case "link":
		opts := [2]*providers.Options{{}, {}}
		for _, x := range c[3:] {
			o := opts[end(x[:1])]
			name, value, _ := strings.Cut(x[1:], "=")
			switch name {
			case "pattern":
				o.Pattern = map[string]providers.Pattern{"clock": providers.Clock, "ongoing": providers.Ongoing, "state": providers.State}[value]
			case "durable":
				d := s.durable[s.number(c[1+end(x[:1])])]
				o.Durable = func(r vclock.Replica) uint64 { return d[r] }
			case "readonly":
				o.ReadOnly = true
			case "queue":
				o.QueueMessages = s.number(value)
			}
		}
		s.w = newWireAt(s.t, s.now, s.node(c[1]), s.node(c[2]), opts[0], opts[1])
		s.told = [2]int{}
	case "open":
		s.w.open(s.t, 0, "doc")
	case "insert":
		s.node(c[1]).insert(s.t, s.number(c[2]), strings.Join(c[3:], " "))
	case "fill":
		s.node(c[1]).fill(s.t, s.number(c[2]))
	case "remove":
		s.node(c[1]).remove(s.t, s.number(c[2]), s.number(c[3]))
	case "tell":
		ms, err := s.node(c[2]).rt.MessagesSince(nil)
		if err != nil {
			s.t.Fatal(err)
		}
		res, err := s.node(c[1]).rt.Receive(ms[s.number(c[3])])
		fmt.Fprintf(&s.out, "applied %d, waiting %d, error %v\n", res.Applied, res.Waiting, err)
	case "send":
		s.w.log = func(from int, f []byte) { fmt.Fprintf(&s.out, "%s %s\n", [2]string{">", "<"}[from], describe(f)) }
		s.w.fetch(s.t, end(c[1]), s.number(c[2]))
	case "deliver":
		s.w.deliver(s.t, end(c[1]), s.number(c[2]))
	case "run":
		var counts [2]map[providers.FrameType]int
		var bytes [2]int
		counts[0], counts[1] = map[providers.FrameType]int{}, map[providers.FrameType]int{}
		s.w.log = func(from int, f []byte) {
			ft, _, _ := providers.PeekFrame(f)
			counts[from][ft]++
			bytes[from] += len(f)
		}
		s.w.run(s.t)
		for i, m := range counts {
			fmt.Fprintf(&s.out, "%s", [2]string{">", "<"}[i])
			for ft := range providers.FrameType(30) {
				if m[ft] > 0 {
					fmt.Fprintf(&s.out, " %v %d", ft, m[ft])
				}
			}
			s.out.WriteString("\n")
		}
	case "tick":
		d, err := time.ParseDuration(c[1])
		if err != nil {
			s.t.Fatal(err)
		}
		s.now = s.now.Add(d)
		s.w.now = s.now
		s.w.tick(s.t, 0)
	case "cut":
		s.w.cut(s.t)
	case "store":
		s.durable[s.number(c[1])].Merge(s.node(c[1]).rt.Clock())
	case "bye":
		s.w.ends[end(c[1])].End(providers.Code(s.number(c[2])), "")
	case "status":
		for i, n := range s.nodes {
			text := n.String()
			if len(text) > 40 {
				text = fmt.Sprintf("%d bytes", len(text))
			}
			fmt.Fprintf(&s.out, "%d: %q, %d dots, %d waiting", i+1, text, n.rt.Clock().Sum(), n.rt.Waiting())
			for e := range s.w.ends {
				if s.w.nodes[e] == n && s.w.ends[e].Session("doc") != nil {
					fmt.Fprintf(&s.out, ", unsaved")
					for _, u := range s.w.ends[e].Session("doc").Unsaved() {
						fmt.Fprintf(&s.out, " %x:%d-%d", u.Replica[:1], u.Start, u.End)
					}
				}
			}
			s.out.WriteString("\n")
		}
	default:
		s.t.Fatalf("no command %q", c[0])
	}
}

// events prints what the ends have told since the last command.
func (s *script) events() {
	if s.w == nil {
		return
	}
	for i := range s.w.ends {
		s.w.take(s.t, i)
		for ; s.told[i] < len(s.w.events[i]); s.told[i]++ {
			text := ""
			switch e := s.w.events[i][s.told[i]].(type) {
			case providers.Opened:
				text = fmt.Sprintf("opened, acknowledgements %v, read only %v", e.Level, e.ReadOnly)
			case providers.Synced:
				text = "synced"
			case providers.Saved:
				text = fmt.Sprintf("saved, %v, all %v", e.Level, e.All)
			case providers.Refused:
				text = fmt.Sprintf("refused: %v %s, remote %v", e.Code, e.Reason, e.Remote)
			case providers.Closed:
				text = "closed"
			case providers.Problem:
				text = fmt.Sprintf("problem: %v", e.Err)
			case providers.Ended:
				text = fmt.Sprintf("ended: %v", e.Err)
			default:
				continue
			}
			fmt.Fprintf(&s.out, "end %s %s\n", [2]string{">", "<"}[i], text)
		}
	}
}
