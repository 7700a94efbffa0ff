package vclock_test

import (
	"errors"
	"fmt"

	"github.com/google/uuid"

	"github.com/seed1312cc15/weft/vclock"
)

var (
	alice = uuid.MustParse("aaaaaaaa-0000-4000-8000-000000000001")
	bob   = uuid.MustParse("bbbbbbbb-0000-4000-8000-000000000002")
)

func ExampleClock() {
	one := vclock.Clock{alice: 3}         // has Alice's dots 0, 1, 2
	two := vclock.Clock{alice: 1, bob: 2} // has her first and two of Bob's
	fmt.Println(one.Compare(two))
	for _, span := range one.Diff(two) {
		fmt.Println("two lacks", span)
		if err := two.Add(span); err != nil {
			fmt.Println(err)
		}
	}
	fmt.Println(one.Compare(two))
	one.Merge(two)
	fmt.Println(one)
	// Output:
	// concurrent
	// two lacks aaaaaaaa-0000-4000-8000-000000000001:[1,3)
	// before
	// {aaaaaaaa-0000-4000-8000-000000000001:3 bbbbbbbb-0000-4000-8000-000000000002:2}
}

func ExampleClock_MarshalBinary() {
	data, err := vclock.Clock{bob: 300, alice: 3}.MarshalBinary()
	fmt.Printf("%x %v\n", data, err)
	var clock vclock.Clock
	err = clock.UnmarshalBinary(data)
	fmt.Println(clock.Get(alice), clock.Get(bob), err)
	// Output:
	// 02aaaaaaaa000040008000000000000001bbbbbbbb00004000800000000000000203ac02 <nil>
	// 3 300 <nil>
}

func ExampleReplica() {
	r := uuid.MustParse("cccccccc-0000-4000-8000-000000000003")
	fmt.Println(vclock.CompareReplicas(alice, r))
	// Output: -1
}

func ExampleDot() {
	d := vclock.Dot{Replica: alice, Seq: 2}
	fmt.Println(d)
	fmt.Println(vclock.Clock{alice: 2}.Covers(d), vclock.Clock{alice: 3}.Covers(d))
	// Output:
	// aaaaaaaa-0000-4000-8000-000000000001:2
	// false true
}

func ExampleParseDot() {
	d, err := vclock.ParseDot("bbbbbbbb-0000-4000-8000-000000000002:7")
	fmt.Println(d.Replica == bob, d.Seq, err)
	_, err = vclock.ParseDot("bbbbbbbb-0000-4000-8000-000000000002:07")
	fmt.Println(err)
	// Output:
	// true 7 <nil>
	// vclock: seq at byte 37: corrupt input: not a plain decimal integer
}

func ExampleSpan() {
	s := vclock.Span{Replica: alice, Start: 2, End: 5}
	fmt.Println(s, s.Len(), s.Contains(vclock.Dot{Replica: alice, Seq: 5}))
	// Output: aaaaaaaa-0000-4000-8000-000000000001:[2,5) 3 false
}

func ExampleOrdering() {
	clock := vclock.Clock{alice: 1}
	switch clock.Compare(vclock.Clock{alice: 1, bob: 1}) {
	case vclock.Before, vclock.Equal:
		fmt.Println("nothing to send")
	case vclock.After, vclock.Concurrent:
		fmt.Println("something to send")
	}
	// Output: nothing to send
}

func ExampleDecodeError() {
	var clock vclock.Clock
	err := clock.UnmarshalBinary([]byte{1, 0xaa})
	var decode *vclock.DecodeError
	fmt.Println(errors.As(err, &decode), errors.Is(err, vclock.ErrCorrupt))
	fmt.Println(err)
	// Output:
	// true true
	// vclock: count at byte 0: corrupt input: truncated
}

func ExampleGapError() {
	clock := vclock.Clock{alice: 3}
	err := clock.Add(vclock.Span{Replica: alice, Start: 5, End: 6})
	var gap *vclock.GapError
	if errors.As(err, &gap) {
		fmt.Println("waits for", gap.Missing())
	}
	// Output: waits for aaaaaaaa-0000-4000-8000-000000000001:[3,5)
}

func ExampleOverlapError() {
	clock := vclock.Clock{alice: 3}
	for _, end := range []uint64{3, 4} {
		err := clock.Add(vclock.Span{Replica: alice, Start: 1, End: end})
		var overlap *vclock.OverlapError
		if errors.As(err, &overlap) {
			fmt.Println("all known:", overlap.Covered())
		}
	}
	// Output:
	// all known: true
	// all known: false
}
