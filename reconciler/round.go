package reconciler

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"selvage/artifacts"
	"selvage/configs"
	"selvage/fabric"
	"selvage/gitwatch"
	"selvage/reconciler/ledger"
)

// ask is what a person wants of a round; the zero ask is a round that nobody asked for.
type ask struct {
	Revision string // a tag, branch or commit instead of the newest candidate
	Plan     string // digest, or the beginning of it, of the plan that the person approves
	By       string // who asks
	Dry      bool   // look only: nothing is written, to the ledger neither
}

// round is one reconcile of one deployment, from looking to writing. Each step of it may end it.
type round struct {
	*Reconciler
	d    *configs.Deployment
	name string
	ask  ask
	at   time.Time
	out  Decision

	known    Deployed // as of the beginning of the round
	sighting time.Time
	target   Revision // what to reconcile to
	newest   string   // commit of the newest candidate
	moved    *configs.Finding
	descends bool
	passed   []string // commits of newer candidates, when a person asked for an older one
	release  *artifacts.Release
	partial  bool // the release may lack what is in git
	live     *fabric.Live
	desired  *fabric.Desired
	facts    Facts
	settled  []fabric.Step // taken in by the fabric since an earlier round
	unstable bool          // a field was still different after it was written
}

// errOver ends a round whose decision is made.
var errOver = errors.New("the round is over")

// reconcile looks at one deployment as a whole and does what may be done. The error is for what
// a person has to be told as an error; the decision is complete either way.
func (r *Reconciler) reconcile(ctx context.Context, d *configs.Deployment, a ask) (Decision, error) {
	now := time.Now()
	rd := &round{Reconciler: r, d: d, name: d.Name(), ask: a, at: now, descends: true}
	rd.out = Decision{Deployment: rd.name, At: now}
	r.mu.Lock()
	rd.known = r.state.deployed[rd.name]
	broken := r.broken
	r.mu.Unlock()
	rd.out.Revision, rd.out.Phase = rd.known.Live, rd.known.Phase
	if broken != nil && !a.Dry {
		rd.out.Result = configs.Found(configs.LedgerFailed, rd.name, broken.Error())
		r.keepDecision(rd.out)
		return rd.out, broken
	}
	var err error
	for _, step := range []func(context.Context) error{rd.settle, rd.choose, rd.build, rd.look, rd.resolve, rd.plan, rd.judge, rd.act} {
		if err = step(ctx); err != nil {
			break
		}
	}
	if errors.Is(err, errOver) {
		err = nil
	}
	switch {
	case err == nil:
	case errors.Is(err, context.Canceled):
		return rd.out, err
	case rd.out.Result.Code == "":
		rd.out.Result = configs.Found(configs.NotBuilt, rd.name, err.Error())
	}
	if err != nil && rd.out.Again.IsZero() {
		rd.out.Again = rd.later()
	}
	if !a.Dry {
		if derr := rd.decided(ctx); derr != nil && err == nil {
			err = derr
		}
		r.keepDecision(rd.out)
		r.flush()
	}
	return rd.out, err
}

func (r *Reconciler) keepDecision(d Decision) {
	r.mu.Lock()
	r.last[d.Deployment] = d
	r.mu.Unlock()
}

// over ends the round with this answer.
func (rd *round) over(code configs.Code, particulars string) error {
	rd.out.Result = configs.Found(code, rd.name, particulars)
	return errOver
}

// fail ends the round with an error that has this code. A fabric that wants to be left alone is no
// error: the round is over until then.
func (rd *round) fail(code configs.Code, err error) error {
	var busy *fabric.Busy
	if errors.As(err, &busy) {
		rd.out.Again = busy.Until
		return rd.over(configs.BackingOff, err.Error())
	}
	rd.out.Result = configs.Found(code, rd.name, err.Error())
	return fmt.Errorf("%s: %w", rd.name, err)
}

func (rd *round) note(fs ...configs.Finding) { rd.out.Findings = append(rd.out.Findings, fs...) }

// later is when to try again after something failed: doubling from five seconds to five minutes.
func (rd *round) later() time.Time {
	rd.mu.Lock()
	defer rd.mu.Unlock()
	n := rd.tries[rd.name]
	rd.tries[rd.name] = n + 1
	return rd.at.Add(min(5*time.Second<<min(n, 10), 5*time.Minute))
}

// choose picks the revision to reconcile to: the newest candidate that may, or what a person asked for.
func (rd *round) choose(ctx context.Context) error {
	repo := rd.Repositories[rd.d.Project.Name]
	f := follow(rd.d)
	if rd.ask.By != "" || rd.ask.Dry {
		follows := []gitwatch.Follow{f}
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
	candidates, findings, err := repo.Candidates(ctx, f)
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
	if rd.ask.Revision != "" {
		return rd.asked(ctx, repo, candidates, moved)
	}
	passedOver := map[string]bool{}
	for _, c := range rd.known.PassedOver {
		passedOver[c] = true
	}
	for i, c := range candidates {
		v := revision(c)
		if !rd.known.Live.IsZero() && c.Commit == rd.known.Live.Commit {
			if m := moved[c.Ref]; m != nil && i == 0 {
				rd.note(*m)
			}
			break // what is live is newer than the rest
		}
		if m := moved[c.Ref]; m != nil {
			rd.note(*m)
			if c.Ref == rd.known.Live.Ref {
				break // the tag that is live was moved: stay where we are
			}
			continue
		}
		if passedOver[c.Commit] {
			rd.note(configs.Found(configs.TagSkipped, c.Name, "passed over when "+rd.known.ApprovedRevision.Name+" was applied by "+rd.known.ApprovedBy))
			continue
		}
		if !rd.known.Live.IsZero() {
			descends, err := repo.Ancestor(ctx, rd.known.Live.Commit, c.Commit)
			if err != nil {
				return rd.fail(configs.GitUnreachable, err)
			}
			if !descends {
				rd.note(configs.Found(configs.NotDescendant, c.Name, c.Name+" "+short(c.Commit)+", live is "+rd.known.Live.String()))
				continue
			}
		}
		rd.target = v
		return nil
	}
	if rd.known.Live.IsZero() {
		if len(rd.out.Findings) > 0 && len(moved) > 0 {
			return rd.over(configs.TagMoved, "and there is no other candidate")
		}
		return rd.over(configs.NoCandidate, f.String())
	}
	rd.target = rd.known.Live
	return nil
}

// asked takes the revision that a person named.
func (rd *round) asked(ctx context.Context, repo *gitwatch.Repository, candidates []gitwatch.Revision, moved map[string]*configs.Finding) error {
	v, err := repo.Resolve(ctx, rd.ask.Revision)
	if err != nil {
		return rd.fail(configs.NoCandidate, err)
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
	if !rd.known.Live.IsZero() && rd.known.Live.Commit != v.Commit {
		if rd.descends, err = repo.Ancestor(ctx, rd.known.Live.Commit, v.Commit); err != nil {
			return rd.fail(configs.GitUnreachable, err)
		}
	}
	return nil
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

// made is a release with what was found while making it.
type made struct {
	release  *artifacts.Release
	findings []configs.Finding
	// partial: the tree holds entries whose names can't be trusted, so that what the release lacks
	// may be in git all the same.
	partial bool
}

// build turns the commit into a release.
func (rd *round) build(ctx context.Context) error {
	rd.out.Revision = rd.target
	key := rd.d.Project.Name + "\x00" + rd.target.Commit
	rd.mu.Lock()
	m, known := rd.releases[key]
	rd.mu.Unlock()
	if !known {
		var err error
		if m, err = rd.make(ctx); err != nil {
			return err
		}
		rd.mu.Lock()
		rd.releases[key] = m
		rd.mu.Unlock()
	}
	rd.note(m.findings...)
	rd.release, rd.partial = m.release, m.partial
	rd.target.Release = rd.release.Digest
	rd.out.Revision = rd.target
	if rd.ask.Dry || rd.known.Target.Commit == rd.target.Commit && rd.known.Target.Ref == rd.target.Ref {
		return nil
	}
	text := fmt.Sprintf("%s, %d pipelines, %d jobs", rd.target, len(rd.release.Pipelines), len(rd.release.Jobs))
	if rd.target.By != "" {
		text += ", released by " + rd.target.By + " (claimed)"
	}
	_, err := rd.record(ctx, ledger.Entry{Kind: kindRelease, Deployment: rd.name, Text: text, Data: encode(rd.target)})
	if err != nil {
		return rd.fail(configs.LedgerFailed, err)
	}
	return rd.reach(ctx, Built, nil)
}

// make reads and builds the project at the commit.
func (rd *round) make(ctx context.Context) (made, error) {
	tree, err := rd.Repositories[rd.d.Project.Name].Tree(ctx, rd.target.Commit)
	if err != nil {
		return made{}, rd.fail(configs.GitUnreachable, err)
	}
	root, err := projectRoot(tree, rd.d.Project.Path)
	if err != nil {
		return made{}, rd.fail(configs.NotBuilt, fmt.Errorf("%s: %w", rd.target, err))
	}
	release, findings, err := rd.Builder.Build(ctx, tree, rd.d.Project.Name, root, rd.target.Commit)
	if err != nil {
		rd.note(findings...)
		return made{}, rd.fail(configs.NotBuilt, fmt.Errorf("%s: %w", rd.target, err))
	}
	odd := tree.Odd()
	return made{release, append(findings, odd...), len(odd) > 0}, nil
}

// projectRoot is the configured folder of the project, or the only one there is.
func projectRoot(tree artifacts.Tree, configured string) (string, error) {
	if configured != "" {
		return configured, nil
	}
	roots, err := artifacts.FindProjects(tree)
	switch {
	case err != nil:
		return "", err
	case len(roots) == 0:
		return "", errors.New("there is no pbt_project.yml in it")
	case len(roots) > 1:
		return "", fmt.Errorf("there are %d projects in it (%s, ...): set path: of the project in selvage.yaml", len(roots), roots[0])
	}
	return roots[0], nil
}

// look observes the fabric. A look that others took a moment ago will do, unless we wrote since, or
// a person waits for the answer.
func (rd *round) look(ctx context.Context) error {
	rd.mu.Lock()
	notBefore := rd.at.Add(-rd.d.Project.Poll / 2)
	if wrote := rd.wrote[rd.name]; wrote.After(notBefore) {
		notBefore = wrote
	}
	rd.mu.Unlock()
	if rd.ask.By != "" || rd.ask.Dry {
		notBefore = rd.at
	}
	return rd.lookSince(ctx, notBefore)
}

func (rd *round) lookSince(ctx context.Context, notBefore time.Time) error {
	place := rd.d.Fabric.Name
	live, err := rd.looks[place].since(ctx, notBefore, func(ctx context.Context) (*fabric.Live, error) {
		return rd.Fabrics[place].Observe(ctx, fabric.Scope{Owned: rd.ownedOn(place)})
	})
	if err != nil {
		return rd.fail(configs.FabricUnreachable, fmt.Errorf("fabric %s: %w", place, err))
	}
	rd.live = live
	return nil
}

// ownedOn lists what all deployments own on a fabric, and once did.
func (r *Reconciler) ownedOn(place string) []fabric.Owned {
	r.mu.Lock()
	defer r.mu.Unlock()
	var owned []fabric.Owned
	for _, all := range []map[string]map[fabric.Key]Applied{r.state.applied, r.state.formerly} {
		for _, d := range r.Config.Deployments {
			if d.Fabric.Name != place {
				continue
			}
			for k, a := range all[d.Name()] {
				if a.ID != "" {
					owned = append(owned, fabric.Owned{Owner: fabric.Owner{Deployment: d.Name(), Key: k}, Kind: a.Kind, ID: a.ID})
				}
			}
		}
	}
	slices.SortFunc(owned, func(a, b fabric.Owned) int {
		if a.Deployment != b.Deployment {
			return cmpString(a.Deployment, b.Deployment)
		}
		return cmpString(string(a.Key), string(b.Key))
	})
	return owned
}

func cmpString(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// rendering is the last thing that was rendered for a deployment.
type rendering struct {
	release  string
	binding  string
	desired  *fabric.Desired
	findings []configs.Finding
}

// render says what the release means here.
func (rd *round) render() error {
	b := fabric.Binding{
		Installation: rd.Installation, Deployment: rd.name, Tag: rd.target.Name, Version: rd.target.Version,
		ProjectID: rd.d.Project.ProphecyID, ProphecyURL: rd.d.Project.ProphecyURL, FabricIDs: rd.d.Fabric.ProphecyIDs,
		Jobs: rd.d.Jobs, Root: rd.live.Root, Overlay: rd.d.Overlay,
	}
	binding := string(encode(b))
	rd.mu.Lock()
	last := rd.rendered[rd.name]
	rd.mu.Unlock()
	if last.release != rd.release.Digest || last.binding != binding {
		desired, findings, err := rd.Fabrics[rd.d.Fabric.Name].Render(rd.release, b)
		if err != nil {
			return rd.fail(configs.NotRendered, err)
		}
		last = rendering{rd.release.Digest, binding, desired, findings}
		rd.mu.Lock()
		rd.rendered[rd.name] = last
		rd.mu.Unlock()
	}
	rd.desired = last.desired
	rd.note(last.findings...)
	return nil
}

// plan compares what should be with what is.
func (rd *round) plan(ctx context.Context) error {
	if err := rd.render(); err != nil {
		return err
	}
	rd.out.Plan = rd.compare()
	return nil
}

// compare makes a plan of what the round has seen.
func (rd *round) compare() Plan {
	in := PlanInput{
		Installation: rd.Installation, Deployment: rd.name, Desired: rd.desired, Live: rd.live,
		Rules: rd.Fabrics[rd.d.Fabric.Name].Rules, Open: map[fabric.Key]bool{}, Sighting: rd.sighting,
		// Polls are jittered: two that are three quarters of an interval apart are two.
		Apart: rd.d.Project.Poll * 3 / 4, Prune: rd.d.Policy.Prune, Heal: rd.d.Policy.Heal, Partial: rd.partial, Force: rd.ask.By != "",
	}
	rd.mu.Lock()
	applied, formerly := maps.Clone(rd.state.applied[rd.name]), maps.Clone(rd.state.formerly[rd.name])
	in.Absences = maps.Clone(rd.state.absences[rd.name])
	for _, i := range rd.state.intents[rd.name] {
		for _, k := range i.Keys {
			in.Open[k] = true
		}
	}
	rd.mu.Unlock()
	in.Owned, in.Formerly = rd.owning(applied), rd.owning(formerly)
	return NewPlan(in)
}

func (rd *round) owning(applied map[fabric.Key]Applied) map[fabric.Key]Owning {
	m := make(map[fabric.Key]Owning, len(applied))
	for k, a := range applied {
		m[k] = Owning{a, rd.documents.get(a.Sent), rd.documents.get(a.Read)}
	}
	return m
}
