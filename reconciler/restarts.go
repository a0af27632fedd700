package reconciler

import (
	"time"

	"selvage/configs"
	"selvage/fabric"
)

// DueRestart is a restart that an update of a resource left to do: runs that began before it go on with the old definition.
type DueRestart struct {
	// Token is the nonce of the update's intent. A run that is started with it starts once, however often that is asked.
	Token  string    `json:"token"`
	Before time.Time `json:"before"` // when the update was done
	// Runs are those that the first attempt set out to cancel. Once they are known, no others are.
	Runs []string `json:"runs,omitempty"`
	// Owed is set where runs were cancelled for an earlier update and none may have been started instead yet.
	Owed bool `json:"owed,omitempty"`
}

// restarts reports that a change of a resource is to be picked up by its runs at once.
func (b *planner) restarts(c fabric.Change) bool {
	rules := b.Rules(c.Kind)
	if rules.Endless == nil {
		return false
	}
	return b.Restart.Of(string(c.Key)) || b.Restart.Continuous && rules.Endless(c.Desired) && rules.Endless(c.Live)
}

// restart is the change of a resource that is as it should be, but for the runs that began before its last update.
func (b *planner) restart(c fabric.Change, o Owning) fabric.Change {
	if o.Restart == nil || b.Rules(c.Kind).Endless == nil || !b.Restart.Continuous && !b.Restart.Of(string(c.Key)) {
		return c
	}
	c.Action = fabric.Restart
	c.Restart = &fabric.Due{Token: o.Restart.Token, Before: o.Restart.Before, Runs: o.Restart.Runs, Owed: o.Restart.Owed || len(o.Restart.Runs) > 0}
	c.Reason = configs.Found(configs.Restarted, string(c.Key), "")
	return b.refused(c, o)
}

// restartDue takes in that an update, by the intent with a nonce, was done at a time and leaves a restart to do. Runs that were cancelled for an
// earlier one are still missed.
func (a Applied) restartDue(nonce string, at time.Time) Applied {
	due := &DueRestart{Token: nonce, Before: at}
	if a.Restart != nil {
		due.Owed = a.Restart.Owed || len(a.Restart.Runs) > 0
	}
	a.Restart = due
	return a
}

// restartBegun takes in which runs a restart sets out to cancel.
func (s *state) restartBegun(dep string, i intentMade) {
	if i.Op != fabric.OpRestart {
		return
	}
	for _, k := range i.Keys {
		if a, ok := s.applied[dep][k]; ok && a.Restart != nil && len(a.Restart.Runs) == 0 && len(i.Runs) > 0 {
			due := *a.Restart
			due.Runs = i.Runs
			a.Restart = &due
			s.apply(dep, k, a)
		}
	}
}
