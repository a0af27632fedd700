package configs

import (
	"slices"
	"time"
)

// Prune says how resources go that git no longer holds. Their budget in one plan is
// min(Max, max(1, floor(Percent% of what is owned))). Max 0 deletes nothing.
type Prune struct {
	Max     int // 0 or more
	Percent int // 0 to 100
	// Quarantine is how long a resource that is to go stands paused, under another name, before it is deleted.
	// 0: it is deleted at once.
	Quarantine time.Duration
	// ActiveRuns is what happens to runs of it that are under way; empty: RunsWait.
	ActiveRuns ActiveRuns
}

// ActiveRuns says what a deletion does about runs of the job that are under way.
type ActiveRuns string

const (
	RunsWait   ActiveRuns = "wait"   // the default: nothing is deleted before they have ended
	RunsCancel ActiveRuns = "cancel" // they are canceled, and the job is deleted once they have ended
	RunsIgnore ActiveRuns = "ignore" // the job is deleted, and its runs end with it
)

// MinQuarantine is the shortest quarantine that there may be.
const MinQuarantine = time.Minute

// Protected are the doublestar patterns over keys of jobs that are kept when git no longer holds them: those of
// the policy, then those of the deployment.
func (d *Deployment) Protected() []string { return slices.Concat(d.Policy.Protect, d.Protect) }

func (l *loader) prune(v value, p *Prune) {
	m, ok := l.mapping(v, &pruneScope)
	if !ok {
		return
	}
	if v, ok := m.values["max"]; ok {
		p.Max = l.integer(v, 1_000_000)
	}
	if v, ok := m.values["percent"]; ok {
		p.Percent = l.integer(v, 100)
	}
	if v, ok := m.values["quarantine"]; ok {
		p.Quarantine = l.duration(v, MinQuarantine)
	}
	if t, ok := m.text("active_runs"); ok {
		p.ActiveRuns = ActiveRuns(l.oneOf(t, string(RunsWait), string(RunsCancel), string(RunsIgnore)))
	}
}
