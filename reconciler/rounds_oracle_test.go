package reconciler

import (
	"fmt"
	"slices"
	"time"

	"github.com/bmatcuk/doublestar/v4"

	"selvage/configs"
	"selvage/fabric"
)

// simTruth is what only the oracle knows of a live job.
type simTruth struct {
	owner     fabric.Owner // whose it was made, or moved; zero for copies and what people made
	committed string       // the last fabric id that git had when it was written last, or was in the release since
	fenced    time.Time    // when it was put into quarantine
	resting   fabric.Doc   // what it was then
}

// written notes a request that was carried out.
func (j *simTruth) written(d *simDeployment, c fabric.Change, now time.Time) {
	j.owner, j.fenced, j.resting = c.Owner, time.Time{}, fabric.Doc{}
	if c.Action == fabric.Quarantine {
		j.fenced, j.resting = now, c.Desired
	}
	if g, ok := d.seen[c.Key]; ok && g.committed != "" && !c.Action.Rests() {
		j.committed = g.committed
	}
}

// simAbsence is since when a key is known to be absent, by refs and by a listing, with nothing in between that says
// otherwise.
type simAbsence struct{ refs, listing time.Time }

// simOracle is what one deployment has a right to do. It keeps its own books, from what really happened.
type simOracle struct{ absent map[fabric.Key]simAbsence }

func newSimOracle() simOracle { return simOracle{absent: map[fabric.Key]simAbsence{}} }

// selects reports that the configuration gives a job to the deployment.
func (d *simDeployment) selects(k fabric.Key, committed string) bool {
	if len(d.Jobs) > 0 {
		return slices.ContainsFunc(d.Jobs, func(p string) bool { return doublestar.MatchUnvalidated(p, string(k)) })
	}
	return slices.Contains(d.Fabric.ProphecyIDs, committed)
}

func (d *simDeployment) protects(k fabric.Key) bool {
	return slices.ContainsFunc(slices.Concat(d.Policy.Protect, d.Protect), func(p string) bool { return doublestar.MatchUnvalidated(p, string(k)) })
}

// witness takes note of what a round saw. The first sighting of an absence needs a whole release; the listing with it
// may be any, for it only begins the time.
func (s *sim) witness(d *simDeployment, rd *round) {
	for _, k := range simKeys {
		_, present := d.seen[k]
		_, known := d.oracle.absent[k]
		switch {
		case present || d.protects(k):
			delete(d.oracle.absent, k)
		case !d.partial && !known:
			d.oracle.absent[k] = simAbsence{d.sighting, rd.live.At}
		}
	}
	for _, j := range d.workspace.jobs { // git has it, for this deployment
		for _, t := range []*simTruth{&j.truth, &j.origin} {
			if g, ok := d.seen[t.owner.Key]; ok && t.owner.Deployment == d.Name() && d.selects(t.owner.Key, g.committed) && g.committed != "" && !g.broken {
				t.committed = g.committed
			}
		}
	}
}

// judge says whether a request that is about to be carried out is right.
func (s *sim) judge(d *simDeployment, rd *round, c fabric.Change, j *simJob, owned, deleted, fenced int) {
	bad := func(format string, args ...any) {
		if s.wrong == "" {
			s.wrong = fmt.Sprintf("round %d: %s: %s %s: %s", s.tally.rounds, d.Name(), c.Action, c.Key, fmt.Sprintf(format, args...))
		}
	}
	from := c.Key
	if c.From != "" {
		from = c.From
	}
	if c.Action != fabric.Create && j.truth.owner != (fabric.Owner{Deployment: d.Name(), Key: from}) && j.truth.owner != c.Owner {
		bad("job %s is not its own, but that of %v", j.id, j.truth.owner)
	}
	g, inGit := d.seen[c.Key]
	policy := d.Policy.Prune
	allowed := min(policy.Max, max(1, policy.Percent*owned/100))
	switch c.Action {
	case fabric.Delete, fabric.Quarantine:
		a, known := d.oracle.absent[c.Key]
		switch {
		case inGit:
			bad("git has it")
		case d.partial:
			bad("the release is not whole")
		case !rd.live.Complete:
			bad("the listing is not whole")
		case d.protects(c.Key):
			bad("it is protected")
		case !known:
			bad("its absence was never seen")
		case d.sighting.Sub(a.refs) < 45*time.Second || rd.live.At.Sub(a.listing) < 45*time.Second:
			bad("its absence was seen %s and %s ago", d.sighting.Sub(a.refs), rd.live.At.Sub(a.listing))
		case deleted > allowed || fenced > allowed:
			bad("%d deletions, %d into quarantine of %d, %d allowed", deleted, fenced, owned, allowed)
		}
		if to, ok := d.Moved[string(c.Key)]; ok && to != string(c.Key) {
			_, ours := s.r.state.applied[d.Name()][fabric.Key(to)]
			_, was := s.r.state.formerly[d.Name()][fabric.Key(to)]
			if _, there := d.seen[fabric.Key(to)]; there && !ours && !was {
				bad("it is %s now", to)
			}
		}
		if c.Action == fabric.Quarantine {
			break
		}
		switch {
		case j.runs > 0 && policy.ActiveRuns != configs.RunsIgnore:
			bad("%d runs are under way", j.runs)
		case policy.Quarantine > 0 && j.truth.fenced.IsZero():
			bad("it was in no quarantine")
		case policy.Quarantine > 0 && s.now.Sub(j.truth.fenced) < policy.Quarantine:
			bad("it is in quarantine for %s only", s.now.Sub(j.truth.fenced))
		case !j.truth.fenced.IsZero() && j.doc.Digest() != j.truth.resting.Digest():
			bad("somebody changed it after it was put into quarantine")
		}
	case fabric.Leave:
		switch {
		case !inGit && c.Key == from && d.Moved[string(c.Key)] == "":
			bad("git has it nowhere")
		case len(d.Jobs) > 0:
			bad("the deployment has it by its key")
		case inGit && (d.selects(c.Key, g.committed) || g.committed == ""):
			bad("git has it here")
		case j.truth.committed != d.Fabric.ProphecyIDs[0]:
			bad("git did not move it: it was committed for %q", j.truth.committed)
		}
	case fabric.Create, fabric.Update, fabric.Move:
		if !inGit || g.broken || !d.selects(c.Key, g.committed) {
			bad("git does not have it here")
		}
		if c.Action == fabric.Create && !rd.live.Complete {
			bad("the listing is not whole")
		}
		s.twice(d, c, j, g, bad)
	}
}

// twice finds a job that starts here while it still starts where git took it away from.
func (s *sim) twice(d *simDeployment, c fabric.Change, j *simJob, g gitJob, bad func(string, ...any)) {
	starts := c.Desired.At("every") != nil && c.Desired.At("paused") == nil
	if !starts || j != nil && j.starts() || g.committed == "" {
		return // it does not start, or did before; or git moved it nowhere
	}
	for _, other := range s.deployments {
		a, owns := s.r.state.applied[other.Name()][c.Key]
		if other == d || !owns || len(other.Jobs) > 0 || a.Committed == "" {
			continue
		}
		there := other.workspace.find(a.ID)
		if there != nil && there.starts() && there.truth.committed == other.Fabric.ProphecyIDs[0] && g.committed != other.Fabric.ProphecyIDs[0] {
			bad("job %s of %s still starts there", there.id, other.Name())
		}
	}
}
