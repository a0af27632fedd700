package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"selvage/reconciler"
	"selvage/reconciler/control"
)

// session is somebody to ask: the running daemon, or the state itself.
type session struct {
	reconciler.Operator
	state string // its folder
	by    string // who asks, where the daemon does not see that for itself
	alone bool   // no daemon is running
	close func() error
}

// ask finds somebody to ask. With a daemon that is the daemon; without one, the state is opened here, under
// its lock.
func (a *app) ask(ctx context.Context) (*session, error) {
	state, err := a.state()
	if err != nil {
		return nil, err
	}
	s := &session{state: state, by: control.Person(os.Getuid())}
	client, err := control.Dial(ctx, filepath.Join(state, socketFile))
	switch {
	case err == nil:
		s.Operator, s.close = client, client.Close
		return s, nil
	case !errors.Is(err, control.ErrNotRunning):
		return nil, hinted("ask as a user of the service's group, or: sudo -u selvage selvage ...", "%w", err)
	}
	c, err := a.config()
	if err != nil {
		return nil, err
	}
	i, err := openInstallation(ctx, c, nil)
	if err != nil {
		return nil, err
	}
	s.Operator, s.close, s.alone = i, i.Close, true
	return s, nil
}
