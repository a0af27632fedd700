package reconciler

import (
	"context"
	"fmt"
	"slices"
	"time"

	"selvage/configs"
	"selvage/fabric"
	"selvage/reconciler/ledger"
)

// stillElsewhere finds the jobs of the release that other deployments of the project have on their fabrics and are
// to leave by it. A deployment that selects jobs by their keys is meant to have them, wherever they are committed for.
func (rd *round) stillElsewhere() map[fabric.Key]Elsewhere {
	still := map[fabric.Key]Elsewhere{}
	rd.mu.Lock()
	defer rd.mu.Unlock()
	for _, d := range rd.Config.Deployments { // in the order of their names
		if d.Project != rd.d.Project || d == rd.d || len(d.Jobs) > 0 {
			continue
		}
		for old, a := range rd.state.applied[d.Name()] {
			k := rd.keyNow(d, old)
			if leaves(d.Fabric.ProphecyIDs, a.Committed, rd.desired.Committed(k)) {
				still[k] = Elsewhere{d.Name(), rd.keepsIt(d)}
			}
		}
	}
	return still
}

// keyNow is the key by which the release holds what another deployment has under an older one.
func (rd *round) keyNow(d *configs.Deployment, k fabric.Key) fabric.Key {
	now := k
	for range len(d.Moved) + 1 {
		if _, p := rd.desired.Lookup(now); p != fabric.Absent || rd.desired.Unselected(now) {
			return now
		}
		next, moved := d.Moved[string(now)]
		if !moved {
			break
		}
		now = fabric.Key(next)
	}
	return k
}

// keepsIt says what keeps another deployment from pausing a job that it is to leave; empty where nothing is known of
// it. The words are the same as long as the reason is. The caller holds mu.
func (rd *round) keepsIt(d *configs.Deployment) string {
	known, result := rd.state.deployed[d.Name()], rd.last[d.Name()].Result
	s, suspended := rd.state.suspended(d.Name(), time.Now())
	switch behind := known.Live.Commit != rd.target.Commit; {
	case d.Mode != configs.Apply:
		return "it only observes"
	case suspended:
		return s.Target + " is suspended by " + s.By
	case behind && d.Follow != rd.d.Follow:
		return fmt.Sprintf("it follows %s and has %s live", follow(d), known.Live)
	case result.Level() >= configs.Wait:
		return result.Code.Sentence()
	case behind:
		return "it has not come to this release yet"
	}
	return ""
}

// wakeSiblings has the other deployments of the project looked at: what they wait for may have happened here.
func (rd *round) wakeSiblings() {
	for _, d := range rd.Config.Deployments {
		if d.Project == rd.d.Project && d != rd.d {
			rd.queue.wake(d.Name())
		}
	}
}

// left reports that one of the changes took a job off the fabric that git moved elsewhere.
func left(changes []fabric.Change) bool {
	return slices.ContainsFunc(changes, func(c fabric.Change) bool {
		return c.Action == fabric.Leave || c.Action == fabric.Release && c.Reason.Code == configs.LeftFabric
	})
}

// askRuns has the fabric count the runs under way of what the plan would delete, unless this round did so before. It
// reports whether that taught us anything.
func (rd *round) askRuns(ctx context.Context, p Plan) (bool, error) {
	byKind := map[fabric.Kind][]fabric.Change{}
	for _, c := range p.Changes {
		if slices.Contains(p.Runs, c.Key) && !rd.askedRuns[c.Key] {
			byKind[c.Kind] = append(byKind[c.Kind], c)
		}
	}
	for kind, changes := range byKind {
		var ids []string
		for _, c := range changes {
			ids = append(ids, c.ID)
		}
		active, err := rd.Fabrics[rd.d.Fabric.Name].Active(ctx, kind, ids)
		if err != nil {
			return false, rd.fail(configs.FabricUnreachable, fmt.Errorf("fabric %s: look for runs: %w", rd.d.Fabric.Name, err))
		}
		if rd.askedRuns == nil {
			rd.askedRuns, rd.active = map[fabric.Key]bool{}, map[fabric.Key]int{}
		}
		for _, c := range changes {
			rd.askedRuns[c.Key] = true
			if n, known := active[c.ID]; known {
				rd.active[c.Key] = n
			}
		}
	}
	return len(byKind) > 0, nil
}

// goneEntries write down what a plan saw of resources that the release no longer holds, or not any more for this
// fabric.
func (rd *round) goneEntries(p Plan) []ledger.Entry {
	var entries []ledger.Entry
	if len(p.Absent)+len(p.Back) > 0 {
		text := "absent from the release: " + joinKeys(p.Absent)
		if len(p.Absent) == 0 {
			text = "in the release again: " + joinKeys(p.Back)
		}
		entries = append(entries, ledger.Entry{Kind: kindAbsent, Deployment: rd.name, Code: string(configs.AbsentOnce), Text: text,
			Data: encode(absent{Absence{rd.sighting, rd.live.At}, p.Absent, p.Back})})
	}
	if len(p.Uncounted) > 0 {
		entries = append(entries, ledger.Entry{Kind: kindAbsent, Deployment: rd.name, Code: string(configs.Protected),
			Text: "protected, so that its absence no longer counts: " + joinKeys(p.Uncounted), Data: encode(absent{Absence: Absence{rd.sighting, rd.live.At}, Back: p.Uncounted})})
	}
	if len(p.Recommitted) > 0 {
		text := fmt.Sprintf("the fabrics that %s are committed for", number(len(p.Recommitted), "definition"))
		entries = append(entries, ledger.Entry{Kind: kindCommitted, Deployment: rd.name, Text: text, Data: encode(committedFor{p.Recommitted})})
	}
	return entries
}
