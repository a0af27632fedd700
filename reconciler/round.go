package reconciler

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"selvage/artifacts"
	"selvage/configs"
	"selvage/fabric"
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
	*Setup // in force when the round began
	d      *configs.Deployment
	name   string
	ask    ask
	at     time.Time
	out    Decision

	known      Deployed // as of the beginning of the round
	sighting   time.Time
	target     Revision       // what to reconcile to
	newest     string         // commit of the newest candidate
	rule       artifacts.Rule // why the target's tag is this project's
	moved      *configs.Finding
	descends   bool
	passed     []string // commits of newer candidates, when a person asked for an older one
	release    *artifacts.Release
	outline    bool // release is its outline
	partial    bool // the release may lack what is in git
	live       *fabric.Live
	desired    *fabric.Desired
	renderings []configs.Finding // what was found while rendering it
	compared   *compared         // comparisons with it that are known
	binding    string            // digest of what the configuration says
	facts      Facts
	settled    []fabric.Step // taken in by the fabric since an earlier round
	whole      bool          // nothing of the target is left to be written but what is blocked
	unbuilt    error         // why the newest release can't be built, with the answer that says so
	unbuiltWhy configs.Finding
	read       map[fabric.Key]bool             // resources that this round read on their own
	agedTold   bool                            // that what is read in turns is old
	unstable   bool                            // a field was still different after it was written
	outside    map[fabric.Outside]fabric.Sight // what this round asked about
	askedRuns  map[fabric.Key]bool             // whose runs this round asked about
	active     map[fabric.Key]int              // and how many are under way, as far as that is known
	held       map[fabric.Key]configs.Finding  // what the fabric held back when it was to be written
	between    between
	went       int // how often the round went on with another plan after it wrote
	done       int // what it had written by then
}

// errOver ends a round whose decision is made.
var errOver = errors.New("the round is over")

// reconcile looks at one deployment as a whole and does what may be done. The error is for what
// a person has to be told as an error; the decision is complete either way.
// A deployment that the configuration lacks is ErrUnknownDeployment.
func (r *Reconciler) reconcile(ctx context.Context, name string, a ask) (Decision, error) {
	s := r.use()
	defer r.leave(s)
	d, err := s.deployment(name)
	if err != nil {
		return Decision{}, err
	}
	now := time.Now()
	rd := &round{Reconciler: r, Setup: s, d: d, name: name, ask: a, at: now, descends: true}
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
	for _, step := range []func(context.Context) error{rd.settle, rd.choose, rd.build, rd.look, rd.resolve, rd.readLate, rd.plan, rd.judge, rd.act} {
		if err = step(ctx); err != nil {
			break
		}
	}
	if errors.Is(err, errOver) {
		err = nil
	}
	if err == nil && rd.unbuilt != nil {
		err, rd.out.Result = rd.unbuilt, rd.unbuiltWhy
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
	rd.alarms()
	rd.address()
	if !a.Dry {
		if derr := rd.decided(ctx); derr != nil && err == nil {
			err = derr
		}
		r.keepDecision(rd.out)
		r.flush()
	}
	return rd.out, err
}

// address puts the names of this round into the commands that findings say to run next.
func (rd *round) address() {
	fill := func(f *configs.Finding) {
		tag := rd.target.Name
		if f.Code == configs.TagMoved || f.Code == configs.NotDescendant && f.Subject != rd.name {
			tag = f.Subject
		}
		f.Next = strings.NewReplacer("DEPLOYMENT", rd.name, "TAG", tag).Replace(f.Next)
	}
	fill(&rd.out.Result)
	for i := range rd.out.Verdicts {
		fill(&rd.out.Verdicts[i].Reason)
	}
	rd.out.Findings = slices.DeleteFunc(rd.out.Findings, func(f configs.Finding) bool {
		return f.Code == configs.TagSkipped && f.Subject == rd.target.Name // it was taken, by a person
	})
	for i := range rd.out.Findings {
		fill(&rd.out.Findings[i])
	}
	for i := range rd.out.Plan.Changes {
		fill(&rd.out.Plan.Changes[i].Reason)
	}
}

// keepDecision keeps what is asked for later, without the documents: those of a look would outlive it.
func (r *Reconciler) keepDecision(d Decision) {
	d.Plan.Changes = slices.Clone(d.Plan.Changes)
	for i := range d.Plan.Changes {
		c := &d.Plan.Changes[i]
		c.Desired, c.Live, c.Sent, c.Blobs = fabric.Doc{}, fabric.Doc{}, fabric.Doc{}, nil
	}
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

// backOff is until when a deployment writes nothing of a commit by the terms that it has, and why.
type backOff struct {
	terms  terms
	commit string
	until  time.Time
	why    string
	held   configs.Finding // where nothing went wrong, and the fabric only had a reason to wait
}

func (b backOff) concerns(rd *round) bool {
	return b.commit == rd.target.Commit && b.terms == rd.terms[rd.name]
}

// leaveAlone keeps rounds that nobody asks for from writing, until then or for as long as the back-off says,
// and returns until when that is. A newer release is not kept back by what came of an older one (law 9),
// nor another configuration.
func (rd *round) leaveAlone(until time.Time, why string) time.Time {
	rd.mu.Lock()
	if !rd.backOff[rd.name].concerns(rd) {
		delete(rd.tries, rd.name)
	}
	rd.mu.Unlock()
	if later := rd.later(); later.After(until) {
		until = later
	}
	rd.mu.Lock()
	rd.backOff[rd.name] = backOff{terms: rd.terms[rd.name], commit: rd.target.Commit, until: until, why: why}
	rd.mu.Unlock()
	return until
}

// backingOff ends the round if a write went wrong a moment ago.
func (rd *round) backingOff() error {
	rd.mu.Lock()
	b := rd.backOff[rd.name]
	rd.mu.Unlock()
	if rd.ask.By != "" || !b.concerns(rd) || !rd.at.Before(b.until) {
		return nil
	}
	if rd.out.Again.IsZero() || b.until.Before(rd.out.Again) {
		rd.out.Again = b.until
	}
	if b.held.Code != "" {
		rd.out.Result = b.held
		return errOver
	}
	return rd.over(configs.BackingOff, b.why)
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
	// A round that begins has time to compare; one that has just written a thousand jobs does not.
	if err := rd.lookBy(ctx, notBefore, fabric.Scope{Compare: !rd.ask.Dry}); err != nil {
		return err
	}
	return rd.noteAccords(ctx)
}

func (rd *round) lookSince(ctx context.Context, notBefore time.Time) error {
	return rd.lookBy(ctx, notBefore, fabric.Scope{})
}

// lookBy gets a look that began no earlier than notBefore. Where it has to take one, it does as the scope says besides what
// is owned.
func (rd *round) lookBy(ctx context.Context, notBefore time.Time, s fabric.Scope) error {
	place := rd.d.Fabric.Name
	live, err := rd.looks[place].since(ctx, notBefore, func(ctx context.Context) (*fabric.Live, error) {
		s.Owned, s.Apart = rd.ownedOn(place), rd.d.Project.Poll*3/4
		return rd.Fabrics[place].Observe(ctx, s)
	})
	if err != nil {
		return rd.fail(configs.FabricUnreachable, fmt.Errorf("fabric %s: %w", place, err))
	}
	rd.live = live
	if live.Doubt.Code != "" && !slices.Contains(rd.out.Findings, live.Doubt) {
		rd.note(live.Doubt)
	}
	if seen := live.Census(rd.Installation); live.Complete {
		n := rd.unmarkedOn(place)
		seen.Ours, seen.Free = seen.Ours+n, max(seen.Free-n, 0)
		rd.out.Seen = &seen
	}
	return nil
}

// ownedOn lists what all deployments own on a fabric.
func (rd *round) ownedOn(place string) []fabric.Owned {
	rd.mu.Lock()
	defer rd.mu.Unlock()
	var owned []fabric.Owned
	for _, d := range rd.Config.Deployments {
		if d.Fabric.Name != place {
			continue
		}
		for k, a := range rd.state.applied[d.Name()] {
			owned = append(owned, fabric.Owned{Owner: fabric.Owner{Deployment: d.Name(), Key: k}, Kind: a.Kind, ID: a.ID, Accord: a.Accord})
		}
	}
	slices.SortFunc(owned, func(a, b fabric.Owned) int {
		return cmp.Or(cmp.Compare(a.Deployment, b.Deployment), cmp.Compare(a.Key, b.Key))
	})
	return owned
}

// rendering is the last thing that was rendered for a deployment.
type rendering struct {
	terms    terms
	release  string
	binding  string
	desired  *fabric.Desired
	findings []configs.Finding
	compared *compared
}

// bindingOf is what besides the release decides what a revision means here.
func (rd *round) bindingOf(v Revision) fabric.Binding {
	b := fabric.Binding{
		Installation: rd.Installation, Deployment: rd.name, Tag: v.Name, Version: v.Version,
		ProjectID: rd.d.Project.ProphecyID, ProphecyURL: rd.d.Project.ProphecyURL, FabricIDs: rd.d.Fabric.ProphecyIDs,
		Jobs: rd.d.Jobs, Root: rd.live.Root, Sources: rd.live.Sources, Overlay: rd.d.Overlay, Isolation: rd.Config.Isolation, Allow: rd.d.Allow, ManagedBy: rd.d.Fabric.Databricks.ManagedBy,
	}
	if b.Guardrails = rd.d.Fabric.Guardrails; b.Guardrails != nil {
		b.Deployer = rd.live.Principal
	}
	return b
}

// render says what the release means here.
func (rd *round) render(ctx context.Context) error {
	b := rd.bindingOf(rd.target)
	binding := string(encode(b))
	said := binding
	if len(rd.d.Moved) > 0 {
		said += string(encode(rd.d.Moved))
	}
	rd.binding = fmt.Sprintf("%x", sha256.Sum256([]byte(said)))
	rd.mu.Lock()
	last := rd.rendered[rd.name]
	rd.mu.Unlock()
	if last.terms != rd.terms[rd.name] || last.release != rd.release.Digest || last.binding != binding {
		if err := rd.inFull(ctx); err != nil {
			return err
		}
		desired, findings, err := rd.Fabrics[rd.d.Fabric.Name].Render(rd.release, b)
		if err != nil {
			return rd.fail(configs.NotRendered, err)
		}
		last = rendering{rd.terms[rd.name], rd.release.Digest, binding, desired, findings, &compared{}}
		rd.mu.Lock()
		rd.rendered[rd.name] = last
		rd.mu.Unlock()
	}
	if rd.desired == nil { // a round may render twice
		rd.note(rd.elsewhere(last.findings)...)
	}
	rd.desired, rd.renderings, rd.compared = last.desired, last.findings, last.compared
	return nil
}

// elsewhere says, of each job that the deployment does not select, which fabric of the configuration it is
// committed for, and who deploys it there. What is approved does not depend on it, so it is no part of the binding.
func (rd *round) elsewhere(findings []configs.Finding) []configs.Finding {
	committed := map[string]string{} // key of the job to the id of its fabric
	for _, j := range rd.release.Jobs {
		committed[j.Key] = cmp.Or(j.FabricUID, j.FabricID)
	}
	findings = slices.Clone(findings)
	for i, f := range findings {
		if id := committed[f.Subject]; f.Code == configs.JobUnselected && id != "" {
			findings[i].Text += rd.whose(id)
		}
	}
	return findings
}

func (rd *round) whose(id string) string {
	for _, name := range slices.Sorted(maps.Keys(rd.Config.Fabrics)) {
		if !slices.Contains(rd.Config.Fabrics[name].ProphecyIDs, id) {
			continue
		}
		for _, d := range rd.Config.Deployments {
			if d.Fabric.Name == name && d.Project.Name == rd.d.Project.Name {
				return fmt.Sprintf(", which is fabric %s, where this project has the deployment %s", name, d.Name())
			}
		}
		return fmt.Sprintf(", which is fabric %s, where this project has no deployment", name)
	}
	return ", which no fabric of this configuration carries"
}

// plan compares what should be with what is.
func (rd *round) plan(ctx context.Context) error {
	if err := rd.render(ctx); err != nil {
		return err
	}
	rd.note(rd.readings()...)
	return rd.compare(ctx)
}

// compare makes a plan of what the round has seen, and has the fabric look for what that plan depends on.
func (rd *round) compare(ctx context.Context) error {
	rd.out.Plan = NewPlan(rd.planInput())
	for _, more := range []func(context.Context, Plan) (bool, error){rd.readAttached, rd.readUntold} {
		if read, err := more(ctx, rd.out.Plan); err != nil {
			return err
		} else if read {
			rd.out.Plan = NewPlan(rd.planInput())
		}
	}
	learnt, err := rd.askOutside(ctx, rd.out.Plan)
	if err != nil {
		return err
	}
	counted, err := rd.askRuns(ctx, rd.out.Plan)
	if err == nil && (learnt || counted) {
		rd.out.Plan = NewPlan(rd.planInput())
	}
	return err
}

// planInput is what the round has seen.
func (rd *round) planInput() PlanInput {
	in := PlanInput{
		Installation: rd.Installation, Deployment: rd.name, Desired: rd.desired, Rendered: rd.renderings, Live: rd.live,
		Rules: rd.Fabrics[rd.d.Fabric.Name].Rules, Open: map[fabric.Key]bool{}, Opened: map[fabric.Key]string{}, Sighting: rd.sighting, Compared: rd.compared,
		// Polls are jittered: two that are three quarters of an interval apart are two.
		Apart: rd.d.Project.Poll * 3 / 4, Prune: rd.d.Policy.Prune, Heal: rd.d.Policy.Heal, HealSaid: rd.d.Policy.HealSaid, Handed: map[fabric.Key]bool{}, Partial: rd.partial, Force: rd.ask.By != "",
		Moved: make(map[fabric.Key]fabric.Key, len(rd.d.Moved)), Outside: rd.sights(),
		Protect: rd.d.Protected(), Active: rd.active, Held: rd.held, Elsewhere: rd.stillElsewhere(),
		Now: rd.at, Restless: rd.between.restless(), Restart: rd.d.Restart,
	}
	if len(rd.d.Jobs) == 0 {
		in.Selects = rd.d.Fabric.ProphecyIDs
	}
	for old, k := range rd.d.Moved {
		in.Moved[fabric.Key(old)] = fabric.Key(k)
	}
	if rd.d.Fabric.Visibility != configs.SeesOwn {
		in.Unseen = rd.live.Unseen
	}
	rd.mu.Lock()
	applied, formerly := maps.Clone(rd.state.applied[rd.name]), maps.Clone(rd.state.formerly[rd.name])
	in.Absences = maps.Clone(rd.state.absences[rd.name])
	for k := range rd.state.handed[rd.name] {
		in.Handed[k] = true
	}
	in.Pauses, in.Contests = maps.Clone(rd.state.pauses[rd.name]), maps.Clone(rd.state.contests[rd.name])
	for _, i := range rd.state.intents[rd.name] {
		for n, k := range i.Keys {
			in.Open[k], in.Open[i.from(n)] = true, true
			in.Opened[k] = at(i.Committed, n)
		}
	}
	rd.mu.Unlock()
	in.Owned, in.Formerly = rd.owning(applied), rd.owning(formerly)
	return in
}

func (rd *round) owning(applied map[fabric.Key]Applied) map[fabric.Key]Owning {
	m := make(map[fabric.Key]Owning, len(applied))
	for k, a := range applied {
		m[k] = Owning{a, rd.documents.get(a.Sent), rd.documents.get(a.Read)}
	}
	return m
}
