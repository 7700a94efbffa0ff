package providers

import "github.com/seed1312cc15/weft/vclock"

// claims are to whom replicas belong that have not written anything. They are not stored: whoever may write could make up any
// number of replicas.
type claims struct {
	of map[vclock.Replica]string
	by map[string][]vclock.Replica // the last ones of each principal, at most mostClaims; some have written meanwhile
}

// mostClaims bounds the replicas that one principal has claimed and not written under. Beyond it the oldest is anybody's again.
const mostClaims = 4096

func (c *claims) add(r vclock.Replica, principal string) {
	if c.of == nil {
		c.of, c.by = make(map[vclock.Replica]string), make(map[string][]vclock.Replica)
	}
	list := append(c.by[principal], r)
	if len(list) > mostClaims {
		if c.of[list[0]] == principal {
			delete(c.of, list[0])
		}
		list = list[1:]
	}
	c.of[r], c.by[principal] = principal, list
}

// bind makes a binding that stays. mu is held, as in claim.
func (k *Keeper) bind(r vclock.Replica, principal string) {
	delete(k.claims.of, r)
	if k.bound == nil {
		k.bound = make(map[vclock.Replica]string)
	}
	k.owners[r], k.bound[r] = principal, principal
}

// bindWriters binds the claimed replicas of which a record is about to hold something, and returns all bindings that are to stand in
// it. Cost: O(replicas that reach names).
func (k *Keeper) bindWriters(reach vclock.Clock) (bound map[vclock.Replica]string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for r := range reach {
		if principal, ok := k.claims.of[r]; ok {
			k.bind(r, principal)
		}
	}
	bound, k.bound = k.bound, nil
	return bound
}

// Claim binds a replica to a principal unless it is bound already, and returns to whom it is; with "" it only asks. A binding is as
// durable as the transactions that follow it. That of a replica which has not written ends with the Keeper, or once its principal
// has claimed 4,096 others.
func (k *Keeper) Claim(r vclock.Replica, principal string) (owner string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.claim(r, principal)
}

func (k *Keeper) claim(r vclock.Replica, principal string) (owner string) {
	if owner, ok := k.owners[r]; ok {
		return owner
	}
	if owner, ok := k.claims.of[r]; ok || principal == "" {
		return owner
	}
	if k.durable[r] > 0 {
		k.bind(r, principal)
	} else {
		k.claims.add(r, principal)
	}
	return principal
}
