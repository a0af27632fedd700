package reconciler

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/bmatcuk/doublestar/v4"

	"selvage/artifacts"
	"selvage/configs"
	"selvage/fabric"
	"selvage/reconciler/adoption"
)

// AdoptRequest asks which live jobs are those of some deployments, and may accept the answer.
type AdoptRequest struct {
	Deployments []string `json:"deployments"` // names, or patterns over them
	// What follows is about one deployment alone, but for GiveUp "all".
	Baseline string                `json:"baseline,omitempty"` // the release that is live; empty: what most live jobs say
	State    []adoption.Row        `json:"state,omitempty"`    // of the previous tool
	Match    map[fabric.Key]string `json:"match,omitempty"`    // ids of live jobs that the person chooses
	GiveUp   []string              `json:"give_up,omitempty"`  // "all", KEY, or KEY:PATH
	// Accept is the digest of the proposal that the person has seen and accepts, or at least its first six digits.
	Accept string `json:"accept,omitempty"`
	By     string `json:"by"`
}

// Takeover is what is proposed for some deployments of one request.
type Takeover struct {
	Digest      string     `json:"digest"` // of all proposals that have something to accept; empty for nothing
	Deployments []Adoption `json:"deployments"`
	Accepted    bool       `json:"accepted"`
}

// Adoption is the proposal for one deployment.
type Adoption struct {
	Deployment string    `json:"deployment"`
	At         time.Time `json:"at"` // when the look at the fabric began
	Baseline   Revision  `json:"baseline"`
	// Versions are the releases that live jobs of the project say they are of, the most frequent first.
	Versions []adoption.Version `json:"versions,omitempty"`
	Matched  []Match            `json:"matched"`
	// Ours are the keys of jobs that the deployment manages already.
	Ours       []fabric.Key       `json:"ours,omitempty"`
	Unclear    []adoption.Unclear `json:"unclear,omitempty"`
	Missing    []fabric.Key       `json:"missing,omitempty"` // of the release, and not live
	Strays     []adoption.Stray   `json:"strays,omitempty"`
	Duplicates int                `json:"duplicates"`
	Findings   []configs.Finding  `json:"findings,omitempty"`
	// Patch is the text under overlay: that keeps every edit which an overlay can keep.
	Patch  string `json:"patch,omitempty"`
	Digest string `json:"digest,omitempty"` // empty where there is nothing to accept

	documents map[fabric.Key]fabric.Doc // live, of what is matched
	made      []fabric.Key
	held      bool // accepting it pins the deployment to the baseline
}

// Match is one live job that is one of the release.
type Match struct {
	adoption.Pair
	Kind fabric.Kind `json:"kind"`
	// Blocked is why it can't be compared, and is not taken over now; zero if it can.
	Blocked configs.Finding       `json:"blocked,omitzero"`
	Differs []adoption.Difference `json:"differs,omitempty"`
	Labels  int                   `json:"labels,omitempty"` // fields that only name the release
	Kept    []fabric.Kept         `json:"kept,omitempty"`
}

// Count is the number of differences of a class.
func (m Match) Count(c adoption.Class) int {
	n := 0
	for _, d := range m.Differs {
		if d.Class == c {
			n++
		}
	}
	return n
}

// Waiting are the edits that nobody has decided about: neither an overlay keeps them, nor were they given up.
func (a Adoption) Waiting() int {
	n := 0
	for _, m := range a.Matched {
		n += len(adoption.Edits(m.Differs))
	}
	return n
}

// Free are the matches that can be taken over.
func (a Adoption) Free() []Match {
	return slices.DeleteFunc(slices.Clone(a.Matched), func(m Match) bool { return m.Blocked.Code != "" })
}

// Adopt implements Operator.
func (r *Reconciler) Adopt(ctx context.Context, q AdoptRequest) (Takeover, error) {
	ctx, stop := r.whileRunning(ctx)
	defer stop()
	s := r.use()
	defer r.leave(s)
	ds, err := s.chosen(q.Deployments)
	if err != nil {
		return Takeover{}, err
	}
	if err := q.check(len(ds)); err != nil {
		return Takeover{}, err
	}
	if q.Accept != "" { // no round may come between the look and what is written
		for _, d := range ds {
			if err := r.queue.hold(ctx, d.Name()); err != nil {
				return Takeover{}, err
			}
			defer r.queue.done(d.Name(), time.Now())
		}
	}
	var t Takeover
	began := time.Now()
	seen := map[string]*listing{} // one of each fabric serves all
	hit := map[string]bool{}
	for _, d := range ds {
		rd := &round{Reconciler: r, Setup: s, d: d, name: d.Name(), ask: ask{By: q.By, Dry: true}, at: began, descends: true}
		a, err := rd.propose(ctx, q, seen, hit)
		if err != nil {
			return t, err
		}
		t.Deployments = append(t.Deployments, a)
	}
	for _, u := range q.GiveUp {
		if !hit[u] && u != "all" {
			return t, fmt.Errorf("--give-up %s: no edit is like that", u)
		}
	}
	var digests []string
	for _, a := range t.Deployments {
		if a.Digest != "" {
			digests = append(digests, a.Deployment, a.Digest)
		}
	}
	if len(digests) == 2 {
		t.Digest = digests[1]
	} else if len(digests) > 0 {
		t.Digest = digestOf(digests)
	}
	if q.Accept == "" {
		return t, nil
	}
	return r.accept(ctx, q, t)
}

// check refuses what can't be about several deployments.
func (q AdoptRequest) check(deployments int) error {
	one := q.Baseline != "" || len(q.State) > 0 || len(q.Match) > 0 || slices.ContainsFunc(q.GiveUp, func(u string) bool { return u != "all" })
	switch {
	case deployments > 1 && one:
		return errors.New("a baseline, a state file, a choice and an edit that is given up are those of one deployment: name one")
	case q.Accept != "" && len(q.Accept) < 6:
		return fmt.Errorf("proposal %q: give at least its first six digits", q.Accept)
	case q.Accept != "" && q.By == "":
		return errors.New("nobody asked: accepting needs to know who does")
	}
	return nil
}

// chosen are the deployments of names and patterns, each once, in the order of the configuration.
func (s *Setup) chosen(names []string) ([]*configs.Deployment, error) {
	wanted := map[string]bool{}
	for _, name := range names {
		if !strings.ContainsAny(name, "*?[{") {
			if _, err := s.deployment(name); err != nil {
				return nil, err
			}
			wanted[name] = true
			continue
		}
		any := false
		for _, d := range s.Config.Deployments {
			if ok, err := doublestar.Match(name, d.Name()); err == nil && ok {
				wanted[d.Name()], any = true, true
			}
		}
		if !any {
			return nil, fmt.Errorf("%w: none is like %q", ErrUnknownDeployment, name)
		}
	}
	return slices.DeleteFunc(slices.Clone(s.Config.Deployments), func(d *configs.Deployment) bool { return !wanted[d.Name()] }), nil
}

// propose finds out which live jobs are those of the deployment, and how they differ.
func (rd *round) propose(ctx context.Context, q AdoptRequest, seen map[string]*listing, hit map[string]bool) (Adoption, error) {
	place, ok := rd.Fabrics[rd.d.Fabric.Name].(fabric.Adopter)
	if !ok {
		return Adoption{}, fmt.Errorf("%s: nothing is known of other tools' jobs on fabric %s", rd.name, rd.d.Fabric.Name)
	}
	a := Adoption{Deployment: rd.name, documents: map[fabric.Key]fabric.Doc{}}
	rd.mu.Lock()
	rd.known = rd.state.deployed[rd.name]
	applied := maps.Clone(rd.state.applied[rd.name])
	a.made = slices.Sorted(maps.Keys(rd.state.handed[rd.name]))
	rd.mu.Unlock()
	all, err := rd.lookAtAll(ctx, place, seen)
	if err != nil {
		return a, err
	}
	rd.live = all.live
	a.At = rd.live.At
	rows, in := q.State, adoption.Input{Fabrics: rd.d.Fabric.ProphecyIDs, Chosen: q.Match, Accepted: map[fabric.Key]string{}}
	in.Rows = rows
	if id := rd.d.Project.ProphecyID; id != "" {
		in.Projects = []string{id}
	}
	in.Live = rd.unowned(all.jobs, applied, &in)
	for k, id := range q.Match {
		if !slices.ContainsFunc(in.Live, func(l adoption.Live) bool { return l.ID == id }) {
			return a, fmt.Errorf("%s: --match %s=%s: no live job that nobody owns has this id", rd.name, k, id)
		}
	}
	a.Versions = adoption.Versions(in)
	candidates, err := rd.baseline(ctx, q.Baseline, &a)
	if err != nil {
		return a, err
	}
	if err := rd.build(ctx); err != nil {
		return a, err
	}
	if err := rd.inFull(ctx); err != nil {
		return a, err
	}
	if err := rd.render(ctx); err != nil {
		return a, err
	}
	a.Baseline = rd.target
	before := place.Before(rd.release.Jobs, rd.bindingOf(rd.target))
	keys := slices.DeleteFunc(rd.desired.Keys(), func(k fabric.Key) bool { // an access list goes with its job
		r, _ := rd.desired.Lookup(k)
		_, part := k.AttachedTo(r.Kind)
		return part
	})
	for _, k := range keys {
		if o, owned := applied[k]; owned && !o.unmarked() {
			a.Ours = append(a.Ours, k)
			continue
		}
		in.Projects = append(in.Projects, before[k].Projects...)
		in.Jobs = append(in.Jobs, adoption.Job{Key: k, Name: rd.nameOf(k), Files: before[k].Files})
	}
	slices.Sort(in.Projects)
	in.Projects = slices.Compact(in.Projects)
	for k := range q.Match {
		if !slices.Contains(keys, k) || slices.Contains(a.Ours, k) {
			return a, fmt.Errorf("%s: --match %s: the release has no such job for this deployment that is not managed already", rd.name, k)
		}
	}
	r := adoption.Match(in)
	a.Unclear, a.Missing, a.Strays, a.Duplicates = r.Unclear, r.Missing, r.Strays, r.Duplicates
	if err := rd.readMatched(ctx, r.Matched); err != nil {
		return a, err
	}
	all.live = rd.live
	if err := rd.differences(ctx, place, q, &a, r.Matched, before, candidates, hit); err != nil {
		return a, err
	}
	if err := rd.keepEdits(ctx, place, &a, before); err != nil {
		return a, err
	}
	a.made = slices.DeleteFunc(a.made, func(k fabric.Key) bool { return !slices.Contains(a.Missing, k) })
	a.held = rd.known.Live.IsZero() && (rd.known.Hold == nil || rd.known.Hold.Revision.Commit != rd.target.Commit)
	if len(a.Free()) > 0 || len(a.made) > 0 || rd.known.Disowned != nil && len(keys) > 0 {
		a.Digest = a.digest()
	}
	return a, nil
}

// listing is what was seen of a fabric with all definitions, and what the live jobs without a mark say of themselves.
type listing struct {
	live *fabric.Live
	jobs []adoption.Live
}

// lookAtAll lists the fabric, once for all deployments of a request.
func (rd *round) lookAtAll(ctx context.Context, place fabric.Adopter, seen map[string]*listing) (*listing, error) {
	name := rd.d.Fabric.Name
	if l := seen[name]; l != nil {
		return l, nil
	}
	live, err := rd.Fabrics[name].Observe(ctx, fabric.Scope{Owned: rd.ownedOn(name), All: true})
	if err != nil {
		return nil, rd.fail(configs.FabricUnreachable, fmt.Errorf("fabric %s: %w", name, err))
	}
	if !live.Complete {
		return nil, rd.fail(configs.FabricUnreachable, fmt.Errorf("fabric %s: the listing is not complete", name))
	}
	l := &listing{live: live}
	for _, o := range live.Objects() {
		if !o.Managed && !o.Unread {
			l.jobs = append(l.jobs, adoption.Live{ID: o.ID, Name: o.Name, URL: o.URL, Traces: place.Traces(o)})
		}
	}
	seen[name] = l
	return l, nil
}

// unowned are the live jobs that no installation has marked and that no deployment of ours has accepted, but this one.
func (rd *round) unowned(all []adoption.Live, applied map[fabric.Key]Applied, in *adoption.Input) []adoption.Live {
	taken := map[string]bool{}
	rd.mu.Lock()
	for dep, owned := range rd.state.applied {
		for k, o := range owned {
			if dep == rd.name && o.unmarked() {
				in.Accepted[k] = o.ID
				continue
			}
			if dep == rd.name || rd.sameHost(dep) {
				taken[o.ID] = true
			}
		}
	}
	rd.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(all), func(l adoption.Live) bool { return taken[l.ID] })
}

// sameHost reports that another deployment is on the same workspace, perhaps under another name of it.
func (rd *round) sameHost(deployment string) bool {
	d, ok := rd.Config.Deployment(deployment)
	return ok && d.Fabric.Databricks.Host == rd.d.Fabric.Databricks.Host
}

// baseline chooses the release that the live jobs came from, and returns all candidates.
func (rd *round) baseline(ctx context.Context, asked string, a *Adoption) ([]Revision, error) {
	repo := rd.Repositories[rd.d.Project.Name]
	if asked != "" {
		v, err := rd.named(ctx, asked)
		if err != nil {
			return nil, err
		}
		rd.target = v
	} else if last := repo.Last(); last == nil || last.At.Before(rd.at) { // projects of one repository share a poll
		if _, err := repo.Poll(ctx, rd.followsOf(repo)); err != nil {
			return nil, rd.fail(configs.GitUnreachable, err)
		}
	}
	found, _, err := rd.candidates(ctx, repo)
	if err != nil {
		return nil, rd.fail(configs.GitUnreachable, err)
	}
	sieve := rd.owners.sieve(rd.tenants[rd.d.Project.Name], follow(rd.d), found)
	var candidates []Revision
	for i := 0; ; i++ {
		c, more, err := sieve.at(ctx, i)
		if err != nil {
			return nil, rd.fail(configs.NotBuilt, err)
		}
		if !more {
			break
		}
		candidates = append(candidates, revision(c))
	}
	switch {
	case asked != "" && !rd.known.Live.IsZero() && rd.target.Commit != rd.known.Live.Commit:
		return nil, fmt.Errorf("%s runs %s already: more jobs are taken over for that release", rd.name, rd.known.Live)
	case asked != "":
		return candidates, nil
	case !rd.known.Live.IsZero():
		rd.target = rd.known.Live
		return candidates, nil
	case rd.known.Hold != nil:
		rd.target = rd.known.Hold.Revision
		return candidates, nil
	case len(candidates) == 0:
		return nil, rd.fail(configs.NoCandidate, errors.New(follow(rd.d).String()))
	}
	for _, v := range a.Versions {
		if c, ok := ofVersion(candidates, v); ok {
			rd.target = c
			return candidates, nil
		}
	}
	rd.target = candidates[0]
	a.Findings = append(a.Findings, configs.Found(configs.AdoptUnclear, rd.name, rd.target.String()))
	return candidates, nil
}

// ofVersion is the candidate of a release as live jobs name it.
func ofVersion(candidates []Revision, v adoption.Version) (Revision, bool) {
	for _, c := range candidates {
		if v.Tag != "" && c.Name == v.Tag {
			return c, true
		}
	}
	for _, c := range candidates {
		if c.Version == v.Version {
			return c, true
		}
	}
	// A tag v1.2.0 is often deployed as 1.2.0.
	bare := func(version string) string { return strings.TrimPrefix(version, "v") }
	var alike []Revision
	for _, c := range candidates {
		if bare(c.Version) == bare(v.Version) {
			alike = append(alike, c)
		}
	}
	if len(alike) != 1 {
		return Revision{}, false
	}
	return alike[0], true
}

func (rd *round) nameOf(k fabric.Key) string {
	if r, p := rd.desired.Lookup(k); p == fabric.Present {
		return r.Name
	}
	for _, j := range rd.release.Jobs {
		if fabric.Key(j.Key) == k {
			return j.Name
		}
	}
	return ""
}

// differences compares each match with what its first apply would make of it.
func (rd *round) differences(ctx context.Context, place fabric.Adopter, q AdoptRequest, a *Adoption, pairs []adoption.Pair,
	before map[fabric.Key]fabric.Before, candidates []Revision, hit map[string]bool) error {
	objects := map[string]fabric.Object{}
	for _, o := range rd.live.Objects() {
		objects[o.ID] = o
	}
	own := ownReleases{rd: rd, place: place, candidates: candidates, known: map[string]map[fabric.Key]fabric.Before{}}
	for _, p := range pairs {
		o := objects[p.ID]
		m := Match{Pair: p, Kind: o.Kind}
		if r, presence := rd.desired.Lookup(p.Key); presence == fabric.Present {
			a.documents[p.Key] = o.Doc
			m.Kept = adoption.Unkept(p.Key, place.Kept(r, before[p.Key], o.Doc), q.GiveUp, hit)
		} else {
			m.Blocked, _ = rd.desired.Why(p.Key)
		}
		a.Matched = append(a.Matched, m)
	}
	planned, err := rd.planAs(ctx, a, rd.desired)
	if err != nil {
		return err
	}
	for i, m := range a.Matched {
		c, ok := planned[m.Key]
		if m.Blocked.Code != "" || !ok {
			continue
		}
		r, _ := rd.desired.Lookup(m.Key)
		r.Doc = c.Desired
		of, err := own.before(ctx, m.Pair)
		if err != nil {
			return err
		}
		if of.Doc.IsZero() {
			of = before[m.Key]
		}
		m.Differs, m.Labels = adoption.Differences(adoption.Comparing{Rules: rd.Fabrics[rd.d.Fabric.Name].Rules(m.Kind), Resource: r,
			Live: a.documents[m.Key], Before: before[m.Key], Own: of, Kept: m.Kept})
		adoption.GiveUp(m.Key, m.Differs, q.GiveUp, hit)
		a.Matched[i] = m
	}
	return nil
}

// planAs are the changes of the plan that there would be if what is matched were accepted, by key: the proposal shows what
// the planner would do.
func (rd *round) planAs(ctx context.Context, a *Adoption, desired *fabric.Desired) (map[fabric.Key]fabric.Change, error) {
	plan := func() Plan {
		in := rd.planInput()
		in.Desired = desired
		for _, m := range a.Matched {
			if m.Blocked.Code == "" {
				in.Owned[m.Key] = Owning{Applied{Kind: m.Kind, ID: m.ID, Name: m.Name, Adopted: true, Kept: m.Kept}, fabric.Doc{}, a.documents[m.Key]}
				delete(in.Handed, m.Key)
			}
		}
		return NewPlan(in)
	}
	p := plan()
	learnt, err := rd.askOutside(ctx, p)
	if err != nil {
		return nil, err
	}
	if learnt {
		p = plan()
	}
	changes := make(map[fabric.Key]fabric.Change, len(p.Changes))
	for _, c := range p.Changes {
		changes[c.Key] = c
	}
	return changes, nil
}

// ownReleases reads the releases that single live jobs say they are of, where those are others than the baseline.
type ownReleases struct {
	rd         *round
	place      fabric.Adopter
	candidates []Revision
	known      map[string]map[fabric.Key]fabric.Before // by commit
}

// before is what the previous tool wrote of a job at the release that the live one says it is of; zero where that is
// the baseline, or is not known.
func (o ownReleases) before(ctx context.Context, p adoption.Pair) (fabric.Before, error) {
	c, ok := ofVersion(o.candidates, adoption.Version{Version: p.Version, Tag: p.Tag})
	if !ok || c.Commit == o.rd.target.Commit {
		return fabric.Before{}, nil
	}
	if all, read := o.known[c.Commit]; read {
		return all[p.Key], nil
	}
	o.known[c.Commit] = nil
	tree, err := o.rd.Repositories[o.rd.d.Project.Name].Tree(ctx, c.Commit)
	if err != nil {
		return fabric.Before{}, o.rd.fail(configs.NotBuilt, fmt.Errorf("%s: %w", c, err))
	}
	root, err := projectRoot(tree, o.rd.d.Project.Path)
	if err != nil {
		return fabric.Before{}, nil // the project lay elsewhere then
	}
	project, _, err := artifacts.ReadProject(tree, root)
	if err != nil {
		return fabric.Before{}, nil
	}
	o.known[c.Commit] = o.place.Before(project.Jobs, o.rd.bindingOf(c))
	return o.known[c.Commit][p.Key], nil
}

// digest names what a person accepts: what is taken for what, what the first apply would change of it, and what is
// left out.
func (a Adoption) digest() string {
	type pair struct {
		Key, ID string
		Differs []adoption.Difference
		Kept    []fabric.Kept
	}
	var pairs []pair
	for _, m := range a.Free() {
		pairs = append(pairs, pair{string(m.Key), m.ID, m.Differs, m.Kept})
	}
	return digestOf(a.Deployment, a.Baseline.Commit, a.held, pairs, a.Unclear, a.Missing, a.Strays, a.made)
}

// Count counts over all deployments.
func (t Takeover) Count() Counted {
	var c Counted
	for _, a := range t.Deployments {
		c.Matched += len(a.Matched)
		c.Ours += len(a.Ours)
		c.Unclear += len(a.Unclear)
		c.Missing += len(a.Missing)
		c.Strays += len(a.Strays)
		c.Duplicates += a.Duplicates
		c.Waiting += a.Waiting()
	}
	return c
}

// Counted sums proposals up.
type Counted struct {
	Matched    int `json:"matched"`
	Ours       int `json:"ours"`
	Unclear    int `json:"unclear"`
	Missing    int `json:"missing"`
	Strays     int `json:"strays"`
	Duplicates int `json:"duplicates"`
	Waiting    int `json:"waiting"` // edits that nobody has decided about
}

// String is the sum for people: 300 matched, 0 duplicates, 1 not live.
func (c Counted) String() string {
	parts := []string{fmt.Sprintf("%d matched, %d duplicates", c.Matched, c.Duplicates)}
	for _, p := range []struct {
		n    int
		what string
	}{{c.Unclear, "ambiguous"}, {c.Missing, "not live"}, {c.Strays, "live without a job in the release"}, {c.Ours, "managed already"}} {
		if p.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", p.n, p.what))
		}
	}
	return strings.Join(parts, ", ")
}
