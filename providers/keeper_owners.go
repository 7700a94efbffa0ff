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

// wrote binds a replica that has written to who claimed it, else to the principal that came as it and wrote: who relays others'
// work is not its owner. mu is held.
func (k *Keeper) wrote(r vclock.Replica, s *Session) {
	if _, ok := k.owners[r]; ok {
		return
	}
	principal, claimed := k.claims.of[r]
	if !claimed && r == s.peer.replica {
		principal = s.opt.Principal
	}
	if principal != "" {
		k.bind(r, principal)
	}
}

func (k *Keeper) bind(r vclock.Replica, principal string) {
	delete(k.claims.of, r)
	if k.bound == nil {
		k.bound = make(map[vclock.Replica]string)
	}
	k.owners[r], k.bound[r] = principal, principal
}

// Claim binds a replica to a principal unless it is bound already, and returns to whom it is; with "" it only asks. A binding is as
// durable as the transactions that follow it. That of a replica which has not written ends with the Keeper, or once its principal
// has claimed 4,096 others.
func (k *Keeper) Claim(r vclock.Replica, principal string) (owner string) {
	k.mu.Lock()
	defer k.mu.Unlock()
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
