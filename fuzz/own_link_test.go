package fuzz_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"testing"

	"github.com/seed1312cc15/weft/providers"
	"github.com/seed1312cc15/weft/providers/mem"
	"github.com/seed1312cc15/weft/providers/providertest"
)

// A provider of one's own, proven with providertest: frames over any net.Conn, each behind its length in four bytes.
type connLink struct {
	conn net.Conn
	in   *bufio.Reader
}

func newConnLink(c net.Conn) providers.Link { return &connLink{c, bufio.NewReader(c)} }

var errFrame = errors.New("connlink: a frame of no or too great length")

func (l *connLink) Send(ctx context.Context, frame []byte) error {
	if len(frame) == 0 || len(frame) > providers.MaxFrame {
		return errFrame
	}
	return l.during(ctx, func() error {
		b := binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(frame)), uint32(len(frame)))
		_, err := l.conn.Write(append(b, frame...))
		return err
	})
}

func (l *connLink) Receive(ctx context.Context) (frame []byte, err error) {
	err = l.during(ctx, func() error {
		var head [4]byte
		if _, err := io.ReadFull(l.in, head[:]); err != nil {
			return err
		}
		n := binary.BigEndian.Uint32(head[:])
		if n == 0 || n > providers.MaxFrame {
			return errFrame
		}
		frame = make([]byte, n)
		_, err := io.ReadFull(l.in, frame)
		return err
	})
	return frame, err
}

// during calls fn, which the end of ctx interrupts by closing the connection: a frame may have gone out in part.
func (l *connLink) during(ctx context.Context, fn func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { l.conn.Close() })
	err := fn()
	if !stop() {
		return errors.Join(ctx.Err(), err)
	}
	return err
}

func (l *connLink) Close() error {
	if err := l.conn.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

func connectLinks(t testing.TB) (dialer, acceptor providers.Link) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	a, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	b, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return newConnLink(a), newConnLink(b)
}

// ownStore is a store under test: that of package mem here, which survives the death of a process since there is none.
type ownStore struct{ s *mem.Store }

func (b *ownStore) Store() providers.Store { return b.s }
func (b *ownStore) Crash(testing.TB)       { b.s = b.s.Reopen() }
func (b *ownStore) Damage(_ testing.TB, document string, position uint64) bool {
	b.s.Damage(document, position)
	return true
}

func TestOwnLink(t *testing.T) {
	providertest.TestLink(t, connectLinks)
	defaultChecks(t, "10")
	providertest.TestProvider(t, providertest.Provider{
		Connect: connectLinks,
		Open:    func(testing.TB) providertest.Backend { return &ownStore{mem.NewStore()} },
	})
}
