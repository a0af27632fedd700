package emulator

import (
	"context"
	"net"
	"sync"
)

// PipeListener is a listener whose connections are net.Pipe pairs: no socket, no file descriptor.
//
// It serves a workspace inside a testing/synctest bubble, where a goroutine that waits on a real
// socket, be it an idle keep-alive connection, keeps the fake clock from ever moving. The client dials with
//
//	&http.Transport{DialContext: l.DialContext}
//
// and the plain host "http://emulator" (https would start TLS). The rate limiter, retries, back-off,
// inactivity timeout and token refresh of the vendor's SDK then all run on the fake clock. Before the
// bubble ends, call the stop function of Workspace.Serve: it closes the server's ends of all
// connections, which also ends the client's goroutines; CloseIdleConnections is not needed, nor is
// DisableKeepAlives. A client and its transport belong to the bubble that made them.
type PipeListener struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

// NewPipeListener makes a listener that anything in the process can dial.
func NewPipeListener() *PipeListener {
	return &PipeListener{conns: make(chan net.Conn), done: make(chan struct{})}
}

// DialContext connects to the listener; network and address are ignored. It fails with net.ErrClosed
// after Close, and with the context's error when nobody accepts in time.
func (l *PipeListener) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case l.conns <- server:
		return client, nil
	case <-l.done:
		return nil, &net.OpError{Op: "dial", Net: "pipe", Addr: pipeAddr{}, Err: net.ErrClosed}
	case <-ctx.Done():
		return nil, &net.OpError{Op: "dial", Net: "pipe", Addr: pipeAddr{}, Err: ctx.Err()}
	}
}

// Accept waits for the next dial.
func (l *PipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

// Close ends Accept and every later dial. Connections already made stay open.
func (l *PipeListener) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

// Addr is a name only; there is nothing to resolve.
func (l *PipeListener) Addr() net.Addr { return pipeAddr{} }

type pipeAddr struct{}

func (pipeAddr) Network() string { return "pipe" }
func (pipeAddr) String() string  { return "emulator" }
