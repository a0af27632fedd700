package reconciler

import (
	"fmt"
	"strings"
	"time"

	"selvage/configs"
)

// Verdict is what a gate says of a plan.
type Verdict struct {
	Gate   string          `json:"gate"`
	State  VerdictState    `json:"state"`
	Reason configs.Finding `json:"reason,omitzero"`
}

// VerdictState is pass, wait or block.
type VerdictState string

const (
	Pass VerdictState = "pass"
	Hold VerdictState = "wait"
	Stop VerdictState = "block"
)

// Facts are what gates judge by, besides the plan.
type Facts struct {
	Deployment string
	Mode       configs.Mode
	Ever       bool // something was applied before
	Approved   bool // a person approved this plan
	ApprovedBy string
	Descends   bool // from the live release, or there is none
	Moved      *configs.Finding
	Suspension *Suspension
	Disowned   *Disownment
	Unapproved bool // nobody has approved a plan since jobs were adopted
	// Idle are findings about parts of the overlay that no job of the deployment has a place for.
	Idle []configs.Finding
}

// Gates judges a plan. It is pure. Only gates that say something about this plan are listed.
func Gates(p Plan, f Facts, now time.Time) []Verdict {
	var vs []Verdict
	add := func(gate string, state VerdictState, reason configs.Finding) {
		vs = append(vs, Verdict{gate, state, reason})
	}
	// What only a person can lift passes when the person has approved this very plan.
	person := func(gate string, state VerdictState, why configs.Finding) {
		if f.Approved {
			add(gate, Pass, configs.Found(configs.Approved, f.Deployment, f.ApprovedBy))
			return
		}
		add(gate, state, why)
	}
	if f.Mode != configs.Apply {
		add("mode", Hold, configs.Found(configs.Observing, f.Deployment, ""))
	}
	if s := f.Suspension; s != nil && (s.Until.IsZero() || now.Before(s.Until)) {
		add("suspend", Hold, suspensionFinding(*s))
	}
	if d := f.Disowned; d != nil {
		add("disown", Hold, configs.Found(configs.Disowned, f.Deployment, d.String()))
	}
	// A part of the configuration would silently not apply: no approval makes that what a person wanted.
	for _, idle := range f.Idle {
		add("overlay", Stop, idle)
	}
	switch n := adopting(p); {
	case !f.Ever:
		person("first apply", Hold, configs.Found(configs.FirstApply, f.Deployment, ""))
	case f.Unapproved && n > 0:
		person("first apply", Hold, configs.Found(configs.FirstApply, f.Deployment, fmt.Sprintf("%d taken over", n)))
	}
	if f.Moved != nil {
		person("tag", Stop, *f.Moved)
	}
	if !f.Descends {
		person("descent", Hold, configs.Found(configs.NotDescendant, f.Deployment, ""))
	}
	return vs
}

func suspensionFinding(s Suspension) configs.Finding {
	particulars := "by " + s.By
	if !s.Until.IsZero() {
		particulars = "until " + s.Until.Format("Mon 2 Jan 15:04 MST") + ", " + particulars
	}
	if s.Why != "" {
		particulars += ": " + s.Why
	}
	f := configs.Found(configs.Suspended, s.Target, particulars)
	f.Next = "selvage resume " + s.Target // which may be the fabric
	return f
}

// open reports that no gate holds the plan back.
func open(vs []Verdict) bool {
	for _, v := range vs {
		if v.State != Pass {
			return false
		}
	}
	return true
}

// waiting are the verdicts that hold a plan back.
func waiting(vs []Verdict) []Verdict {
	var w []Verdict
	for _, v := range vs {
		if v.State != Pass {
			w = append(w, v)
		}
	}
	return w
}

// judged is what counts and gates say of a plan, to see whether that changed.
func judged(c Counts, vs []Verdict) string { return c.String() + "; " + verdictLine(vs) }

// verdictLine is the verdicts in one line, to see whether they changed.
func verdictLine(vs []Verdict) string {
	var parts []string
	for _, v := range vs {
		parts = append(parts, fmt.Sprintf("%s %s %s", v.State, v.Gate, v.Reason.Code))
	}
	return strings.Join(parts, "; ")
}
