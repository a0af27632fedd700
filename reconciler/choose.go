package reconciler

import (
	"context"
	"fmt"
	"strings"

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
	moved, err := rd.remember(ctx, candidates)
	if err != nil {
		return err
	}
	if first, any, err := rd.owners.sieve(rd.tenants[rd.d.Project.Name], f, candidates).at(ctx, 0); err == nil && any {
		rd.newest = first.Commit // as sighted has it
	}
	sieve := rd.owners.sieve(rd.tenants[rd.d.Project.Name], f, candidates)
	sieve.moved = moved
	defer func() { rd.note(sieve.told()...) }()
	if len(rd.settled) > 0 { // first see to the end of what the fabric has just taken in
		rd.target = rd.known.Target
		return nil
	}
	if rd.ask.Revision != "" {
		return rd.asked(ctx, repo, candidates, moved)
	}
	if rd.known.Hold != nil {
		return rd.atHold(ctx, repo, sieve, moved)
	}
	passedOver := map[string]bool{}
	for _, c := range rd.known.PassedOver {
		passedOver[c] = true
	}
	base := rd.known.Live // nothing older is taken, nor what does not descend from it
	if rd.known.underWay() {
		base = rd.known.Target
	}
	for i := 0; ; i++ {
		c, more, err := sieve.at(ctx, i)
		if err != nil {
			return rd.unknown(ctx, base, err)
		}
		if !more {
			break
		}
		v := revision(c)
		rd.rule = sieve.rules[i]
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
		if n := len(sieve.ambiguous); n > 0 {
			return rd.over(configs.TagAmbiguous, sieve.ambiguous[0].Subject+" releases "+strings.TrimPrefix(sieve.ambiguous[0].Text, configs.TagAmbiguous.Sentence()+": "))
		}
		if sieve.foreign > 0 {
			return rd.over(configs.NoCandidate, fmt.Sprintf("%s: %d match, and release other projects of the repository", f, sieve.foreign))
		}
		return rd.over(configs.NoCandidate, f.String())
	}
	rd.rule = ""
	rd.target = base
	return rd.descent(ctx, repo)
}

// unknown ends the choice at a candidate of which nobody can tell whose it is: it may be the release that
// should be live. What is live stays, and its drift is still put right; the answer of the round is the error.
func (rd *round) unknown(ctx context.Context, base Revision, err error) error {
	err = rd.fail(configs.NotBuilt, err)
	if ctx.Err() != nil || rd.ask != (ask{}) || base.IsZero() {
		return err
	}
	rd.unbuilt, rd.unbuiltWhy = err, rd.out.Result
	rd.out.Result = configs.Finding{}
	rd.rule, rd.target = "", base
	return rd.descent(ctx, rd.Repositories[rd.d.Project.Name])
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
		// Only what is known to be another project's was not passed over.
		if !rd.foreign(ctx, c) {
			rd.passed = append(rd.passed, c.Commit)
		}
	}
	return rd.descent(ctx, repo)
}

// remember writes down each tag that is seen for the first time, and raises the alarm for each that
// points elsewhere than it did, unless it is another project's. It returns the alarms by ref.
func (rd *round) remember(ctx context.Context, candidates []gitwatch.Revision) (map[string]*configs.Finding, error) {
	if rd.d.Follow.Tag == "" {
		return nil, nil // a branch moves by design
	}
	repository := rd.Repositories[rd.d.Project.Name].URL()
	var entries []ledger.Entry
	elsewhere := map[string]tagSeen{} // by ref: as it was
	rd.mu.Lock()
	for _, c := range candidates {
		seen, known := rd.state.tags[tagKey(repository, c.Ref)]
		switch {
		case !known:
			t := tagSeen{Repository: repository, Ref: c.Ref, Object: c.Object, Commit: c.Commit}
			entries = append(entries, ledger.Entry{Kind: kindTag, Text: fmt.Sprintf("%s is %s, first seen", c.Name, short(c.Commit)), Data: encode(t)})
		case seen.Object != c.Object:
			elsewhere[c.Ref] = seen
		}
	}
	rd.mu.Unlock()
	alarms := map[string]*configs.Finding{}
	for _, c := range candidates {
		seen, moved := elsewhere[c.Ref]
		if !moved || rd.neverOurs(ctx, c, seen.Commit) {
			continue
		}
		f := configs.Found(configs.TagMoved, c.Name, fmt.Sprintf("%s was %s and is %s now", c.Name, short(seen.Commit), short(c.Commit)))
		alarms[c.Ref] = &f
		if seen.Moved != c.Object {
			seen.Moved = c.Object
			entries = append(entries, ledger.Entry{Kind: kindTag, Deployment: rd.name, Code: string(f.Code), Text: f.Text, Data: encode(seen)})
		}
	}
	if len(entries) > 0 && !rd.ask.Dry {
		if _, err := rd.record(ctx, entries...); err != nil {
			return nil, rd.fail(configs.LedgerFailed, err)
		}
	}
	return alarms, nil
}

// neverOurs reports that a tag which was moved is known to release another project, there as here. A tag that was
// moved on to another project's commit was ours.
func (rd *round) neverOurs(ctx context.Context, c gitwatch.Revision, before string) bool {
	was := c
	was.Commit = before
	return rd.foreign(ctx, c) && rd.foreign(ctx, was)
}

// foreign reports that a candidate is known to release another project.
func (rd *round) foreign(ctx context.Context, c gitwatch.Revision) bool {
	if rd.d.Follow.Tag == "" {
		return false
	}
	st, err := rd.owners.stands(ctx, rd.tenants[rd.d.Project.Name], c)
	return err == nil && st.reason.Code == configs.TagForeign
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
