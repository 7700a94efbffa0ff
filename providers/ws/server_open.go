//go:build !js

package ws

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/seed1312cc15/weft/providers"
	"github.com/seed1312cc15/weft/vclock"
)

// CodeAccessChanged refuses a document whose access has become another one: open it again to have that. Transient.
const CodeAccessChanged providers.Code = 560

// event sees to what the Mux tells; mu is held.
func (c *connection) event(e providers.Event) {
	s := c.server
	switch e := e.(type) {
	case providers.Admission:
		s.count.hellos.Add(1)
		c.task(func() { c.authenticate(e) })
	case providers.Opening:
		s.count.opens.Add(1)
		if !c.pace.opens.Allow() {
			c.refuse(e, &providers.RefusedError{Code: providers.CodeRate, Reason: "too many documents opened in a minute"})
			return
		}
		c.task(func() { c.open(e) })
	case providers.Synced:
		if m := c.members[e.Channel]; m != nil {
			m.backlog = false
		}
	case providers.Diverged:
		s.diverged(e, "principal", c.principal.ID)
		if m := c.members[e.Channel]; m != nil && e.Dot == nil {
			m.backlog = true // what it sends again to find out where
		}
	case providers.Refused:
		c.refused(e)
	case providers.Closed:
		c.left(e.Channel)
	case providers.Ended:
		c.request = nil
		s.count.end(e.Err.Code)
		s.log.Debug("weft: connection over", "connection", c.id, "principal", printable(c.principal.ID), "code", e.Err.Code, "reason", printable(e.Err.Reason),
			"remote", e.Err.Remote)
	}
}

func (c *connection) refuse(e providers.Opening, r *providers.RefusedError) {
	c.server.count.refuse(r.Code)
	c.server.log.Debug("weft: document refused", "connection", c.id, "principal", printable(c.principal.ID), "document", printable(e.Document),
		"code", r.Code, "reason", printable(r.Reason))
	c.mux.Refuse(e, r)
}

// refused hears that a document has ended on this connection.
func (c *connection) refused(e providers.Refused) {
	s, m := c.server, c.members[e.Channel]
	c.left(e.Channel)
	if e.Remote || m == nil {
		return
	}
	s.count.refuse(e.Code)
	s.log.Info("weft: document refused", "connection", c.id, "principal", printable(c.principal.ID), "document", printable(e.Document),
		"code", e.Code, "reason", printable(e.Reason))
	switch e.Code {
	case providers.CodeInternal:
		s.rooms.fault(e.Document, errors.New(e.Reason))
	case providers.CodeRate:
		if c.pace.strike(time.Now()) {
			c.mux.End(providers.CodeRate, "updates come too fast")
		}
	}
}

// left takes a member out of its room.
func (c *connection) left(channel uint64) {
	if m := c.members[channel]; m != nil {
		delete(c.members, channel)
		m.room.leave(m)
		c.server.rooms.release(m.room)
	}
}

// authenticate answers an admission.
func (c *connection) authenticate(e providers.Admission) {
	s := c.server
	began := time.Now()
	ctx, cancel := context.WithDeadline(c.ctx, c.began.Add(s.opt.Limits.HelloAfter))
	defer cancel()
	c.mu.Lock()
	r := c.request
	c.mu.Unlock()
	if r == nil {
		return // it is over
	}
	p, err := guarded(func() (Principal, error) { return s.opt.Authenticate(ctx, r, e.Token) })
	clear(e.Token)
	if err == nil {
		err = p.check(time.Now())
	}
	if err == nil {
		err = s.enter(c, p, began)
	}
	if err != nil {
		if c.ctx.Err() != nil {
			return
		}
		why := refusedBy(err, providers.CodeUnauthenticated, "who this is could not be established")
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			why = &providers.RefusedError{Code: providers.CodeTimeout, Reason: "who this is could not be established in time"}
		}
		if why.Code == providers.CodeUnauthenticated {
			s.count.failures.Add(1)
			s.addresses.failed(c.address)
		}
		s.log.Warn("weft: connection not admitted", "connection", c.id, "address", c.address.Addr(), "code", why.Code, "error", printable(err.Error()))
		c.end(why.Code, why.Reason)
		return
	}
	s.log.Info("weft: connection admitted", "connection", c.id, "principal", printable(p.ID), "address", c.address.Addr(), "agent", printable(e.Agent))
	c.do(func(m *providers.Mux) {
		c.request = nil
		if m.Err() != nil {
			return
		}
		if s.opt.RecheckEvery > 0 {
			c.recheck = time.Now().Add(s.opt.RecheckEvery)
		}
		c.admitted.Store(true)
		m.Admit()
		s.count.admitted.Add(1)
	})
}

// authorize asks what the principal may do.
func (c *connection) authorize(document string) (Access, error) {
	ctx, cancel := context.WithTimeout(c.ctx, authorizeAfter)
	defer cancel()
	return guarded(func() (Access, error) { return c.server.opt.Authorize(ctx, c.principal, document) })
}

// authorizeAfter bounds how long an Authorizer may take.
const authorizeAfter = 5 * time.Second

// open answers an opening.
func (c *connection) open(e providers.Opening) {
	m, access, err := c.enter(e)
	in := false
	defer func() {
		if m != nil && !in {
			m.room.leave(m)
			c.server.rooms.release(m.room)
		}
	}()
	c.do(func(x *providers.Mux) {
		if err == nil {
			o := m.room.options(m, access)
			if m.session, err = x.Accept(e, m.room.rt, o); err == nil {
				m.backlog = true
				m.room.attach(m)
				if c.members == nil {
					c.members = make(map[uint64]*member)
				}
				c.members[e.Channel], in = m, true
				return
			}
		}
		if c.ctx.Err() == nil {
			c.refuse(e, refusedBy(err, providers.CodeUnavailable, "not now"))
		}
	})
}

// enter finds out what the principal may do and takes it into the room.
func (c *connection) enter(e providers.Opening) (*member, Access, error) {
	s := c.server
	for {
		checks := c.checks.Load()
		access, err := c.authorize(e.Document)
		switch {
		case err != nil:
			s.log.Warn("weft: access cannot be determined", "connection", c.id, "document", printable(e.Document), "error", printable(err.Error()))
			return nil, 0, refusedBy(err, providers.CodeUnavailable, "access cannot be determined now")
		case access == AccessNone || access > AccessServer:
			return nil, 0, &providers.RefusedError{Code: providers.CodeForbidden, Reason: "no access"}
		}
		room, err := s.rooms.acquire(c.ctx, e.Document)
		if err != nil {
			return nil, 0, err
		}
		m := &member{c: c, room: room, replica: e.Replica}
		m.access.Store(uint32(access))
		if access == AccessWriteOwn && e.Replica != (vclock.Replica{}) {
			err = room.claim(e.Replica, c.principal.ID)
		}
		if err == nil {
			err = room.join(m, c.principal.ID, s.opt.Limits.ConnectionsPerDocument)
		}
		if err != nil {
			s.rooms.release(room)
			return nil, 0, err
		}
		if checks == c.checks.Load() {
			return m, access, nil
		}
		room.leave(m) // access was to be checked again meanwhile
		s.rooms.release(room)
	}
}

// check is providers.Options.Check for what a client brings: the reader calls it, with mu held.
func (c *connection) check(m *member, update []byte) error {
	s, r := c.server, m.room
	switch Access(m.access.Load()) {
	case AccessServer, AccessWriteRelay:
	case AccessWriteOwn:
		if err := r.own(update, c.principal.ID); err != nil {
			return err
		}
	default:
		return &providers.RefusedError{Code: providers.CodeReadOnly, Reason: "you may only read"}
	}
	if err := r.quota(update); err != nil {
		return err
	}
	now, longest := time.Now(), s.opt.Limits.Pause
	var err error
	if m.backlog || Access(m.access.Load()) == AccessServer { // what was written before the document was opened may be much, and is bounded by its bytes
		err = c.pace.take(now, longest, r.rate)
	} else {
		err = c.pace.take(now, longest, c.pace.updates, r.rate)
	}
	if err == nil {
		s.count.updatesIn.Add(1)
	}
	return err
}

// refuse ends the document for a member, from any goroutine that holds no lock.
func (m *member) refuse(why *providers.RefusedError) {
	m.c.do(func(*providers.Mux) {
		if m.session != nil {
			m.session.Refuse(why)
		}
	})
}

// checkAgain asks again what the principal may do with each open document.
func (c *connection) checkAgain() {
	c.mu.Lock()
	list := make([]*member, 0, len(c.members))
	for _, m := range c.members {
		list = append(list, m)
	}
	c.mu.Unlock()
	for _, m := range list {
		access, err := c.authorize(m.room.name)
		if c.ctx.Err() != nil {
			return
		}
		var refused *providers.RefusedError
		switch {
		case errors.As(err, &refused):
			m.refuse(refused)
		case err != nil:
			if m.misses.Add(1) > 2 {
				m.refuse(&providers.RefusedError{Code: providers.CodeUnavailable, Reason: "access cannot be determined now"})
			}
		case access == AccessNone || access > AccessServer:
			c.server.count.revoked.Add(1)
			m.refuse(&providers.RefusedError{Code: providers.CodeForbidden, Reason: "no access any more"})
		case uint32(access) != m.access.Load():
			m.access.Store(uint32(min(access, Access(m.access.Load())))) // at once, if it is less
			m.refuse(&providers.RefusedError{Code: CodeAccessChanged, Reason: fmt.Sprintf("access is %v now; open the document again", access)})
		default:
			m.misses.Store(0)
		}
	}
}
