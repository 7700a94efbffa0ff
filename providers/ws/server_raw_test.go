//go:build !js

package ws_test

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/seed1312cc15/weft/providers"
	"github.com/seed1312cc15/weft/vclock"
)

// rawClient is a hostile client: it writes what it likes on a TCP connection.
type rawClient struct {
	t testing.TB
	net.Conn
	br *bufio.Reader
}

// dialRaw upgrades a connection by hand.
func dialRaw(t testing.TB, url string, header ...string) *rawClient {
	t.Helper()
	r, response := tryRaw(t, url, header...)
	if response.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("upgrade: %s", response.Status)
	}
	return r
}

func tryRaw(t testing.TB, url string, header ...string) (*rawClient, *http.Response) {
	t.Helper()
	host := strings.TrimPrefix(url, "ws://")
	c, err := net.Dial("tcp", host)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.(*net.TCPConn).SetReadBuffer(64 << 10)
	c.SetDeadline(time.Now().Add(20 * time.Second))
	fmt.Fprintf(c, "GET /any/path HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"+
		"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n%s\r\n", host, strings.Join(append(header, ""), "\r\n"))
	r := &rawClient{t, c, bufio.NewReader(c)}
	response, err := http.ReadResponse(r.br, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r, response
}

const (
	opContinue = 0x0
	opText     = 0x1
	opBinary   = 0x2
	opClose    = 0x8
	opPing     = 0x9
	opPong     = 0xa
	final      = 0x80
)

// head returns the head of a masked WebSocket frame, with a mask of zeros.
func head(first byte, length uint64) []byte {
	b := []byte{first}
	switch {
	case length < 126:
		b = append(b, 0x80|byte(length))
	case length < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(length))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), length)
	}
	return append(b, 0, 0, 0, 0)
}

// message sends a binary message; it is no error if the server has gone.
func (r *rawClient) message(payload []byte) error {
	_, err := r.Write(append(head(final|opBinary, uint64(len(payload))), payload...))
	return err
}

func (r *rawClient) frame(v ...any) error {
	b, err := cbor.Marshal(v)
	if err != nil {
		r.t.Fatal(err)
	}
	return r.message(b)
}

func (r *rawClient) hello(token string) *rawClient {
	r.frame(1, 0, 1, 1, map[int]any{1: []byte(token)})
	return r
}

// open opens a document and waits until it is accepted.
func (r *rawClient) open(channel int, document string, replica vclock.Replica) *rawClient {
	r.t.Helper()
	r.frame(5, channel, []byte(document), map[int]any{1: replica[:], 2: []byte{0}, 6: 1 << 20})
	if f := r.await(providers.FrameAccept, providers.FrameRefuse); f[0] != uint64(providers.FrameAccept) {
		r.t.Fatalf("refused: %v", f)
	}
	return r
}

// next returns the next WebSocket frame of the server.
func (r *rawClient) next() (first byte, payload []byte, err error) {
	var h [2]byte
	if _, err := io.ReadFull(r.br, h[:]); err != nil {
		return 0, nil, err
	}
	n := uint64(h[1] & 0x7f)
	switch n {
	case 126:
		var x [2]byte
		_, err = io.ReadFull(r.br, x[:])
		n = uint64(binary.BigEndian.Uint16(x[:]))
	case 127:
		var x [8]byte
		_, err = io.ReadFull(r.br, x[:])
		n = binary.BigEndian.Uint64(x[:])
	}
	if err == nil {
		payload = make([]byte, n)
		_, err = io.ReadFull(r.br, payload)
	}
	return h[0], payload, err
}

// await returns the next frame of the protocol that is of one of the types.
func (r *rawClient) await(types ...providers.FrameType) []any {
	r.t.Helper()
	for {
		first, payload, err := r.next()
		if err != nil {
			r.t.Fatalf("waiting for %v: %v", types, err)
		}
		if first&0xf == opClose {
			r.t.Fatalf("waiting for %v: closed, %x", types, payload)
		}
		if first&0xf != opBinary {
			continue
		}
		var f []any
		if err := cbor.Unmarshal(payload, &f); err != nil {
			r.t.Fatal(err)
		}
		for _, t := range types {
			if f[0] == uint64(t) {
				return f
			}
		}
	}
}

// closed reads until the server ends the connection, and returns its close code, 0 if it sent none.
func (r *rawClient) closed() (code int) {
	r.t.Helper()
	for {
		first, payload, err := r.next()
		if err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				r.t.Error("the server does not end the connection")
			}
			return code
		}
		if first&0xf == opClose && len(payload) >= 2 && code == 0 {
			code = int(binary.BigEndian.Uint16(payload))
			r.Write(append(head(final|opClose, 2), payload[:2]...))
		}
	}
}

func closeCode(c providers.Code) int { return 4000 + int(c) }

func crc(b []byte) uint32 { return crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)) }
