package decoders_test

import (
	"context"
	"testing"

	"github.com/seed1312cc15/weft/fuzz/decoders"
)

func TestRounds(t *testing.T) {
	for _, name := range decoders.Decoders() {
		t.Run(name, func(t *testing.T) {
			r, err := decoders.Run(decoders.Options{Decoder: name, Seed: 1, Executions: 1500})
			if err != nil {
				t.Fatal(err)
			}
			if r.Executions != 1500 || r.Accepted == 0 || r.Accepted > 1450 {
				t.Errorf("%d of %d inputs accepted: the changes are too wild or too tame", r.Accepted, r.Executions)
			}
			again, err := decoders.Run(decoders.Options{Decoder: name, Seed: 1, Executions: 1500})
			if err != nil || again.Digest != r.Digest || again.Accepted != r.Accepted {
				t.Errorf("the same seed again: %+v and %+v, %v", r, again, err)
			}
			t.Logf("%d accepted, %v an input", r.Accepted, r.Took/1500)
		})
	}
}

func TestSoak(t *testing.T) {
	n := len(decoders.Decoders())
	total, err := decoders.Soak(context.Background(), decoders.Options{Seed: 100, Executions: 100}, 2, 100*n+50, nil)
	if err != nil || len(total.Failed) > 0 {
		t.Fatal(err, total.Failed)
	}
	if total.Executions != 100*n+50 || total.Rounds != n+1 || len(total.Of) != n {
		t.Errorf("%+v", total)
	}
	for _, o := range []decoders.Options{{Decoder: "none"}, {Executions: -1}} {
		if r, err := decoders.Run(o); r != nil || err == nil {
			t.Errorf("%+v runs", o)
		}
		if _, err := decoders.Soak(context.Background(), o, 2, 10, nil); err == nil {
			t.Errorf("%+v runs", o)
		}
	}
}
