package providers

import "context"

// Link carries frames between two sides, whole, in order, each once, until it ends. It may end at any moment; what was
// sent before may then be lost, from some frame on.
//
// Contract, which providertest.TestLink checks:
//
//  1. Receive returns the frames in the order of the peer's calls of Send, byte for byte, none empty, none twice.
//  2. Send does not keep frame after it returns; what Receive returns belongs to the caller.
//  3. Send blocks while the peer does not receive: after a bounded number of bytes.
//  4. Send and Receive return when their context ends, with its error. The link may be unusable from there on.
//  5. After Close, on either side, Send and Receive return errors: at once on the side that closed, on the other one
//     after the frames that had arrived. Those that were called before return too. A Receive that ends because the peer
//     closed in good order returns an error that wraps io.EOF.
//  6. A frame of MaxFrame bytes passes. A longer one may be refused with an error by either side.
//
// One goroutine may call Send while another calls Receive; Close may be called by any, more than once.
type Link interface {
	Send(ctx context.Context, frame []byte) error
	Receive(ctx context.Context) (frame []byte, err error)
	Close() error
}
