package simulation_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/seed1312cc15/weft/fuzz/simulation"
)

// TestMain runs one seed and prints its digest when it is called as a process of its own.
func TestMain(m *testing.M) {
	if os.Getenv("WEFT_SIMULATE") != "" {
		r, err := simulation.Run(simulation.Options{Seed: 7})
		fmt.Printf("%x %v\n", r.Digest, err)
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func TestSeeds(t *testing.T) {
	total, err := simulation.Soak(context.Background(), simulation.Options{Seed: 1}, 2, 30, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range total.Failed {
		t.Errorf("%v\nweft simulate -seed %d -trace", f, f.Seed)
	}
	if total.Seeds != 30 || total.Least.Clients < 3 || total.Least.Faults < 10 {
		t.Errorf("the runs are too tame: %+v", total)
	}
	for f, n := range total.Faults {
		if n == 0 {
			t.Errorf("no %v", simulation.Fault(f))
		}
	}
	if total.Dropped == 0 || total.Overtaken == 0 || total.Unsynced == 0 {
		t.Errorf("frames dropped %d, overtaken %d, writes lost %d", total.Dropped, total.Overtaken, total.Unsynced)
	}
}

// These seeds failed once, all but the first in a simulation with fewer faults; what was wrong with the library then has a test of
// its own, which is named.
func TestSeedsThatFailed(t *testing.T) {
	for _, seed := range []uint64{
		3645,   // TestRestoreOfAForgedMessageThatWaits
		24, 35, // TestPeerThatGotItByAnotherWay
		30, 33, // TestHeldIsNoNewsOfWhatThePeerBrought
		5009379, // a client whose store cannot sync ends when the faults have ended, and had work that was never saved
	} {
		if _, err := simulation.Run(simulation.Options{Seed: seed}); err != nil {
			t.Error(err)
		}
	}
}

// A run is a function of its seed, and a trace changes nothing, in this process or in another one.
func TestRunsRepeat(t *testing.T) {
	var digests []string
	for i := range 3 {
		var trace bytes.Buffer
		o := simulation.Options{Seed: 7}
		if i == 1 {
			o.Trace = &trace
		}
		r, err := simulation.Run(o)
		digests = append(digests, fmt.Sprintf("%x %v", r.Digest, err))
		if i == 1 && !strings.Contains(trace.String(), "FAULT") {
			t.Error("nothing in the trace")
		}
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "WEFT_SIMULATE=1")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	digests = append(digests, strings.TrimSpace(string(out)))
	for _, d := range digests {
		if d != digests[0] {
			t.Fatalf("one seed, several runs: %q", digests)
		}
	}
	other, err := simulation.Run(simulation.Options{Seed: 8})
	if err != nil || fmt.Sprintf("%x %v", other.Digest, err) == digests[0] {
		t.Fatal("the digest does not depend on the seed", err)
	}
}

// Deliberate faults are found within this many seeds.
func TestPlantsAreFound(t *testing.T) {
	for plant, seeds := range map[simulation.Plant]uint64{
		simulation.AckBeforeDurable: 12, simulation.SkipOnResume: 60, simulation.NoSync: 4, simulation.KeepID: 12,
	} {
		t.Run(plant.String(), func(t *testing.T) {
			for seed := range seeds {
				var f *simulation.Failure
				if _, err := simulation.Run(simulation.Options{Seed: seed, Plant: plant}); errors.As(err, &f) {
					t.Logf("%.200v", f)
					return
				}
			}
			t.Fatalf("not found within %d seeds", seeds)
		})
		if p, err := simulation.ParsePlant(plant.String()); p != plant || err != nil {
			t.Error(p, err)
		}
	}
}

func TestOptionsAreChecked(t *testing.T) {
	for _, o := range []simulation.Options{{Steps: -1}, {Clients: 1}, {Servers: 3}} {
		if r, err := simulation.Run(o); err == nil || r != nil {
			t.Errorf("%+v runs", o)
		}
		if _, err := simulation.Soak(context.Background(), o, 1, 2, nil); err == nil {
			t.Errorf("%+v runs", o)
		}
	}
}
