package main

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"

	"github.com/coreos/go-systemd/v22/daemon"
	"go.uber.org/zap"

	"selvage/configs"
	"selvage/reconciler"
)

// reloader has the daemon run by what the configuration on disk says, once it changes.
type reloader struct {
	*installation
	load        func() (*configs.Config, error)
	credentials string   // folder of ${credential:NAME}; empty if there is none
	files       []string // that the last load read, or found mistakes in; empty before it
	seen        string   // what the files held then
	tell        func(string)
}

// What has the reloader look.
const (
	onSignal = "SIGHUP"
	onChange = "the file changed"
)

// run looks when a file of the configuration or a credential changes, and on SIGHUP, until ctx ends.
func (r *reloader) run(ctx context.Context, hup <-chan os.Signal) {
	trigger := onChange // since it was loaded and before it was watched
	for {
		paths := r.paths()
		w, err := watchPaths(paths) // before looking, so that nothing falls between
		if err != nil {
			r.log.Warn("changes of the configuration are not noticed by themselves: send SIGHUP, or systemctl reload", zap.Error(err))
		}
		r.look(ctx, trigger)
		if slices.Equal(paths, r.paths()) {
			trigger = w.wait(ctx, hup)
		}
		w.close()
		if ctx.Err() != nil {
			return
		}
	}
}

// paths are the files and folders that a configuration is read from.
func (r *reloader) paths() []string {
	paths := slices.Concat(r.now.config.Files, r.files)
	if r.credentials != "" {
		paths = append(paths, r.credentials)
	}
	slices.Sort(paths)
	return slices.Compact(paths)
}

// look loads what is on disk, and brings it into force if it is another configuration, or if a credential in it is
// another one. What can't be loaded changes nothing, and is told.
func (r *reloader) look(ctx context.Context, trigger string) {
	seen := contentsOf(r.paths()) // before loading: what changes meanwhile is seen the next time
	if trigger == onChange && seen == r.seen {
		return // something else happened in the folder
	}
	r.seen = seen
	if trigger == onSignal {
		r.reloading()
		defer r.tell(daemon.SdNotifyReady)
	}
	c, err := r.load()
	r.files = nil
	var problems configs.Problems
	if errors.As(err, &problems) {
		for _, p := range problems {
			r.files = append(r.files, p.File)
		}
	} else if err == nil {
		r.files = c.Files
	}
	switch {
	case err != nil:
		r.refuse(ctx, configs.ConfigRefused, err)
		return
	case r.inForce(c):
		r.refuse(ctx, "", nil)
		if trigger == onSignal {
			r.log.Info("the configuration and its credentials are the same as before", zap.String("configuration", c.Digest))
		}
		return
	}
	if trigger != onSignal {
		r.reloading()
		defer r.tell(daemon.SdNotifyReady)
	}
	err = r.reload(ctx, c, trigger)
	var restart *reconciler.RestartError
	switch {
	case errors.As(err, &restart):
		r.refuse(ctx, configs.ConfigRestart, err)
	case err != nil:
		r.refuse(ctx, configs.ConfigRefused, err)
	}
}

// inForce reports that a configuration means what the running one means, with the same credentials.
func (r *reloader) inForce(c *configs.Config) bool {
	now := r.now.config
	return c.Digest == now.Digest && configs.Alike(c.Fabrics, now.Fabrics) && configs.Alike(c.Projects, now.Projects)
}

// reloading tells systemd that what it knows of us is not up to date; it takes both in one message alone.
func (r *reloader) reloading() {
	r.tell(daemon.SdNotifyReloading + "\n" + daemon.SdNotifyMonotonicUsec())
}

// refuse tells why the configuration on disk is not in force; without an error, that it is.
func (r *reloader) refuse(ctx context.Context, code configs.Code, err error) {
	if ctx.Err() != nil {
		return // the daemon stops
	}
	var why configs.Finding
	if err != nil {
		why = configs.Found(code, r.now.config.File, brief(err))
	}
	news, werr := r.Refuse(ctx, why)
	switch {
	case werr != nil:
		r.log.Error("write down what became of the configuration", zap.Error(werr))
	case news && err != nil:
		r.log.Error("the configuration before is still in force", zap.Strings("mistakes", strings.Split(err.Error(), "\n")))
	}
}

// brief is the first mistake of a configuration on one line.
func brief(err error) string {
	text := err.Error()
	more := ""
	var problems configs.Problems
	if errors.As(err, &problems) && len(problems) > 0 {
		text = problems[0].Error()
		if n := len(problems) - 1; n > 0 {
			more = ", and " + plural(n, "more mistake")
		}
	}
	first, _, _ := strings.Cut(text, "\n")
	return first + more
}
