package reconciler

import (
	"context"
	"fmt"

	"selvage/configs"
	"selvage/gitwatch"
	"selvage/reconciler/ledger"
)

// choose picks the revision to reconcile to: the newest candidate that may, or what a person asked for.
func (rd *round) choose(ctx context.Context) error {
	repo := rd.Repositories[rd.d.Project.Name]
	f := follow(rd.d)
	if rd.ask.By != "" || rd.ask.Dry {
		follows := rd.followsOf(repo)
		for _, named := range []gitwatch.Follow{{Branch: rd.ask.Revision}, {Tag: rd.ask.Revision}} {
			if rd.ask.Revision != "" && named.Check() == nil {
				follows = append(follows, named)
			}
		}
		if _, err := repo.Poll(ctx, follows); err != nil {
			return rd.fail(configs.GitUnreachable, err)
		}
	}
	rd.mu.Lock()
	unread := rd.unread[repo.Dir()]
	rd.mu.Unlock()
	last := repo.Last()
	switch {
	case last == nil && unread != nil:
		return rd.over(configs.GitUnreachable, unread.Error())
	case last == nil:
		return rd.over(configs.GitUnreachable, "it was not read yet")
	case unread != nil: // go on with what was seen last: drift is still put right
		rd.note(configs.Found(configs.GitUnreachable, repo.URL(), unread.Error()))
	}
	rd.sighting = last.At
	candidates, findings, err := rd.candidates(ctx, repo)
	if err != nil {
		return rd.fail(configs.GitUnreachable, err)
	}
	rd.note(findings...)
	if len(candidates) > 0 {
		rd.newest = candidates[0].Commit
	}
	moved, err := rd.remember(ctx, candidates)
	if err != nil {
		return err
	}
	if len(rd.settled) > 0 { // first see to the end of what the fabric has just taken in
		rd.target = rd.known.Target
		return nil
	}
	if rd.ask.Revision != "" {
		return rd.asked(ctx, repo, candidates, moved)
	}
	passedOver := map[string]bool{}
	for _, c := range rd.known.PassedOver {
		passedOver[c] = true
	}
	base := rd.known.Live // nothing older is taken, nor what does not descend from it
	if rd.known.underWay() {
		base = rd.known.Target
	}
	for i, c := range candidates {
		v := revision(c)
		if !base.IsZero() && c.Commit == base.Commit {
			switch m := moved[c.Ref]; {
			case m != nil && i == 0:
				rd.note(*m)
			case m == nil && c.Ref != base.Ref: // the same commit under a newer name
				rd.target = v
				return nil
			}
			break // it is newer than the rest
		}
		if m := moved[c.Ref]; m != nil {
			rd.note(*m)
			if c.Ref == base.Ref {
				break // its tag was moved: stay where we are
			}
			continue
		}
		if passedOver[c.Commit] {
			rd.note(configs.Found(configs.TagSkipped, c.Name, "passed over when "+rd.known.ApprovedRevision.Name+" was applied by "+rd.known.ApprovedBy))
			continue
		}
		if !base.IsZero() {
			descends, err := repo.Ancestor(ctx, base.Commit, c.Commit)
			if err != nil {
				return rd.fail(configs.GitUnreachable, err)
			}
			if !descends {
				rd.note(configs.Found(configs.NotDescendant, c.Name, c.Name+" "+short(c.Commit)+", live is "+base.String()))
				continue
			}
		}
		rd.target = v
		return nil
	}
	if base.IsZero() {
		if len(rd.out.Findings) > 0 && len(moved) > 0 {
			return rd.over(configs.TagMoved, "and there is no other candidate")
		}
		return rd.over(configs.NoCandidate, f.String())
	}
	rd.target = base
	return rd.descent(ctx, repo)
}

// descent finds out whether the target descends from what is live.
func (rd *round) descent(ctx context.Context, repo *gitwatch.Repository) (err error) {
	if rd.known.Live.IsZero() || rd.known.Live.Commit == rd.target.Commit {
		return nil
	}
	if rd.descends, err = repo.Ancestor(ctx, rd.known.Live.Commit, rd.target.Commit); err != nil {
		return rd.fail(configs.GitUnreachable, err)
	}
	return nil
}

// asked takes the revision that a person named.
func (rd *round) asked(ctx context.Context, repo *gitwatch.Repository, candidates []gitwatch.Revision, moved map[string]*configs.Finding) error {
	v, err := repo.Resolve(ctx, rd.ask.Revision)
	if err != nil {
		return rd.fail(configs.UnknownRevision, err)
	}
	rd.target = revision(v)
	if m := moved[v.Ref]; m != nil {
		rd.moved = m
	}
	for _, c := range candidates {
		if c.Commit == v.Commit {
			break
		}
		rd.passed = append(rd.passed, c.Commit)
	}
	return rd.descent(ctx, repo)
}

// remember writes down each tag that is seen for the first time, and raises the alarm for each that
// points elsewhere than it did. It returns the alarms by ref.
func (rd *round) remember(ctx context.Context, candidates []gitwatch.Revision) (map[string]*configs.Finding, error) {
	repository := rd.Repositories[rd.d.Project.Name].URL()
	alarms := map[string]*configs.Finding{}
	var entries []ledger.Entry
	rd.mu.Lock()
	for _, c := range candidates {
		if rd.d.Follow.Tag == "" {
			break // a branch moves by design
		}
		seen, known := rd.state.tags[tagKey(repository, c.Ref)]
		t := tagSeen{Repository: repository, Ref: c.Ref, Object: c.Object, Commit: c.Commit}
		switch {
		case !known:
			entries = append(entries, ledger.Entry{Kind: kindTag, Text: fmt.Sprintf("%s is %s, first seen", c.Name, short(c.Commit)), Data: encode(t)})
		case seen.Object != c.Object:
			f := configs.Found(configs.TagMoved, c.Name, fmt.Sprintf("%s was %s and is %s now", c.Name, short(seen.Commit), short(c.Commit)))
			alarms[c.Ref] = &f
			if seen.Moved != c.Object {
				seen.Moved = c.Object
				entries = append(entries, ledger.Entry{Kind: kindTag, Deployment: rd.name, Code: string(f.Code), Text: f.Text, Data: encode(seen)})
			}
		}
	}
	rd.mu.Unlock()
	if len(entries) > 0 && !rd.ask.Dry {
		if _, err := rd.record(ctx, entries...); err != nil {
			return nil, rd.fail(configs.LedgerFailed, err)
		}
	}
	return alarms, nil
}

func revision(v gitwatch.Revision) Revision {
	version := v.Version
	if version == "" {
		version = v.Name
	}
	return Revision{Ref: v.Ref, Name: v.Name, Version: version, Object: v.Object, Commit: v.Commit, By: v.Tagger, When: v.Tagged}
}

func short(commit string) string {
	if len(commit) > 7 {
		return commit[:7]
	}
	return commit
}
