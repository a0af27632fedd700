package reconciler

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"selvage/configs"
	"selvage/gitwatch"
	"selvage/reconciler/ledger"
)

// reloaded is what the ledger holds of a reload.
type reloaded struct {
	Configuration string `json:"configuration"` // digest
	Before        string `json:"before"`        // digest
	Trigger       string `json:"trigger"`       // what had us look: "SIGHUP"
	// The difference is cut to what an entry can hold; the text counts all of it.
	difference
}

// Reload keeps the deployments by another setup from now on. The trigger, in a few words, is what had somebody look.
//
// A deployment that means the same as before goes on as if nothing had happened. One that means something else is
// woken at once; a round of it that is under way sends no further request. One that is no longer there is released: what
// it owns is left as it is, and no longer managed.
//
// The entry of the ledger is written first. After an error, which is that of the ledger or a *RestartError, the setup
// before is still in force, and s is the caller's to close.
func (r *Reconciler) Reload(ctx context.Context, s *Setup, trigger string) error {
	r.reloading.Lock()
	defer r.reloading.Unlock()
	before := r.setup // changed by this method alone
	if s.Config.State != before.Config.State {
		return &RestartError{Running: before.Config.State, Wanted: s.Config.State}
	}
	s.prepare(before)
	d := s.after(before)
	if _, err := r.record(ctx, reloadEntry(s, before, d, trigger)); err != nil {
		return err
	}
	r.mu.Lock()
	r.setup, before.replaced = s, true
	unused := before.users == 0
	r.refused = configs.Finding{}
	for _, name := range d.Changed { // what came of the old terms says nothing of the new
		delete(r.tries, name)
		delete(r.backOff, name)
	}
	for dir := range r.unread {
		if s.followers[dir] == nil {
			delete(r.unread, dir)
		}
	}
	r.mu.Unlock()

	for _, login := range s.Logins {
		login()
	}
	if r.watcher != nil {
		r.watcher.Set(r.watches(s)...)
		for dir := range s.Logins {
			r.watcher.Hint(dir)
		}
	}
	for _, names := range [][]string{d.Changed, d.Added} {
		for _, name := range names {
			if s.seen(name) { // else the first poll wakes it
				r.queue.wake(name)
			}
		}
	}
	for _, name := range d.Released {
		r.queue.wake(name) // to be dismissed, after a round that is under way
	}
	if unused && before.Retire != nil {
		before.Retire()
	}
	return nil
}

func reloadEntry(s, before *Setup, d difference, trigger string) ledger.Entry {
	text := fmt.Sprintf("configuration reloaded (%s): %.6s instead of %.6s; %s", trigger, s.Config.Digest, before.Config.Digest, d)
	if s.Config.Digest == before.Config.Digest {
		text = fmt.Sprintf("configuration reloaded (%s): still %.6s; %s", trigger, s.Config.Digest, d)
	}
	data := reloaded{s.Config.Digest, before.Config.Digest, trigger, d}
	e := ledger.Entry{Kind: kindReload, Text: text, Data: encode(data)}
	for most := 1000; len(e.Data) > shownBytes; most /= 2 {
		for _, list := range []*[]string{&data.Changed, &data.Added, &data.Released, &data.Fabrics, &data.Logins} {
			*list = (*list)[:min(len(*list), most)]
		}
		e.Data = encode(data)
	}
	return e
}

// RestartError says that a configuration can't take the place of the running one.
type RestartError struct{ Running, Wanted string } // folders of the state

func (e *RestartError) Error() string {
	return fmt.Sprintf("state is %s and was %s: a running daemon can't move its state", e.Wanted, e.Running)
}

// Refuse notes why the configuration on disk can't take the place of the one in force, which goes on; the zero
// Finding says that the one on disk is the one in force again. It is written down when it is news.
func (r *Reconciler) Refuse(ctx context.Context, why configs.Finding) (news bool, err error) {
	r.reloading.Lock()
	defer r.reloading.Unlock()
	r.mu.Lock()
	was := r.refused
	r.refused = why
	r.mu.Unlock()
	if was == why {
		return false, nil
	}
	e := ledger.Entry{Kind: kindReload, Code: string(why.Code), Text: why.Text}
	if why.Code == "" {
		e.Text = fmt.Sprintf("the configuration on disk is the one that runs again: %.6s", r.config().Digest)
	} else {
		e.Data = encode(why)
	}
	_, err = r.record(ctx, e)
	return true, err
}

// Configuration implements Operator.
func (r *Reconciler) Configuration(context.Context) (Configuration, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.setup.Config
	return Configuration{File: c.File, Digest: c.Digest, Since: r.setup.since, Refused: r.refused}, nil
}

// dismiss releases, untouched, what a deployment owns that the configuration no longer has (law 11), and forgets the
// rest of it. No round of it is under way.
func (r *Reconciler) dismiss(ctx context.Context, name string) error {
	r.mu.Lock()
	owned := slices.Sorted(maps.Keys(r.state.applied[name]))
	delete(r.last, name)
	delete(r.newest, name)
	delete(r.backOff, name)
	delete(r.wrote, name)
	delete(r.tries, name)
	delete(r.rendered, name)
	r.mu.Unlock()
	if len(owned) == 0 {
		return nil
	}
	return r.relinquish(ctx, name, owned, "the deployment is no longer in the configuration")
}

// watches are the mirrors of a setup that somebody follows.
func (r *Reconciler) watches(s *Setup) []gitwatch.Watch {
	var list []gitwatch.Watch
	for dir, ds := range s.followers {
		w := gitwatch.Watch{Name: dir, Interval: ds[0].Project.Poll, Poll: func(ctx context.Context) (*gitwatch.Sighting, error) { return r.poll(ctx, dir) }}
		for _, d := range ds {
			w.Interval = min(w.Interval, d.Project.Poll)
		}
		list = append(list, w)
	}
	return list
}

// poll reads the refs of the remote of a mirror, and fetches what is followed by now.
func (r *Reconciler) poll(ctx context.Context, dir string) (*gitwatch.Sighting, error) {
	s := r.use()
	defer r.leave(s)
	ds := s.followers[dir]
	if len(ds) == 0 {
		return nil, fmt.Errorf("poll %s: nobody follows it any more", dir)
	}
	var follows []gitwatch.Follow
	for _, d := range ds {
		follows = append(follows, follow(d))
	}
	return s.Repositories[ds[0].Project.Name].Poll(ctx, follows)
}

// polled takes in what a poll saw, and wakes those who follow it.
func (r *Reconciler) polled(ctx context.Context, dir string, err error) {
	s := r.use()
	defer r.leave(s)
	ds := s.followers[dir]
	if len(ds) == 0 {
		return
	}
	r.mu.Lock()
	r.unread[dir] = err
	r.mu.Unlock()
	for _, d := range ds {
		if err == nil {
			r.sighted(ctx, s, d)
		}
		r.queue.wake(d.Name())
	}
}

// candidates are what the deployment may choose from. Refs that it follows only since a reload may have been seen without
// having been fetched: then it polls for itself.
func (rd *round) candidates(ctx context.Context, repo *gitwatch.Repository) ([]gitwatch.Revision, []configs.Finding, error) {
	list, findings, err := repo.Candidates(ctx, follow(rd.d))
	if !errors.Is(err, gitwatch.ErrMissingObject) {
		return list, findings, err
	}
	s, err := rd.poll(ctx, repo.Dir())
	if err != nil {
		return nil, nil, err
	}
	rd.sighting = s.At
	return repo.Candidates(ctx, follow(rd.d))
}
