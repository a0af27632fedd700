package fabric

import "time"

// Restart is a change that ends the runs of a resource that go on with an old definition, so that others begin with the new
// one. It sends no definition.
const Restart Action = "restart"

// OpRestart is the intent of a Restart. Its requests may be repeated safely: a run is cancelled once, and started with a
// token.
const OpRestart Op = "restart"

// Due says which runs a Restart is about.
type Due struct {
	Token  string    `json:"token"`  // at most 64 characters: a run that is started with it starts once
	Before time.Time `json:"before"` // runs that began before have the old definition
	// Runs are the ids of those that an earlier attempt set out to cancel; empty at the first. Then no others are.
	Runs []string `json:"runs,omitempty"`
	// Owed is set where runs were cancelled and none was started instead yet.
	Owed bool `json:"owed,omitempty"`
}

func (d *Due) token() string {
	if d == nil {
		return ""
	}
	return d.Token
}
