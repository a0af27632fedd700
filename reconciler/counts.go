package reconciler

import (
	"fmt"
	"strings"

	"selvage/configs"
	"selvage/fabric"
)

// Counts sums a plan up.
type Counts struct {
	Create  int `json:"create"`
	Update  int `json:"update"`
	Move    int `json:"move"`
	Delete  int `json:"delete"`
	Release int `json:"release"`
	// Quarantine are paused and renamed before they are deleted, Leave paused because git moved them to another fabric.
	Quarantine int `json:"quarantine,omitempty"`
	Leave      int `json:"leave,omitempty"`
	Protected  int `json:"protected,omitempty"` // kept though the release no longer holds them
	Keep       int `json:"keep"`
	Deferred   int `json:"deferred"`
	Blocked    int `json:"blocked"`
	Labels     int `json:"labels"` // kept resources whose release labels will ride along
	Drifted    int `json:"drifted"`
	Restart    int `json:"restart,omitempty"`
}

func (c Counts) String() string {
	var parts []string
	for _, p := range []struct {
		n    int
		word string
	}{{c.Create, "create"}, {c.Update, "update"}, {c.Move, "move"}, {c.Delete, "delete"}, {c.Restart, "restart"}, {c.Quarantine, "into quarantine"}, {c.Leave, "leaving"}, {c.Release, "released"}, {c.Deferred, "deferred"}, {c.Blocked, "blocked"}, {c.Protected, "protected"}} {
		if p.n > 0 {
			word := p.word
			if p.n > 1 && (word == "create" || word == "update" || word == "move" || word == "delete" || word == "restart") {
				word += "s"
			}
			parts = append(parts, fmt.Sprintf("%d %s", p.n, word))
		}
	}
	if len(parts) == 0 {
		return "no changes"
	}
	if c.Drifted > 0 {
		parts[len(parts)-1] += fmt.Sprintf(" (%d drifted)", c.Drifted)
	}
	return strings.Join(parts, ", ")
}

// count sums a plan up.
func count(p *Plan) {
	for _, c := range p.Changes {
		switch {
		case c.Hindrance == fabric.Deferred:
			p.Counts.Deferred++
		case c.Hindrance == fabric.Blocked:
			p.Counts.Blocked++
		case c.Action == fabric.Create:
			p.Counts.Create++
		case c.Action == fabric.Update:
			p.Counts.Update++
		case c.Action == fabric.Move:
			p.Counts.Move++
		case c.Action == fabric.Delete:
			p.Counts.Delete++
		case c.Action == fabric.Quarantine:
			p.Counts.Quarantine++
		case c.Action == fabric.Leave:
			p.Counts.Leave++
		case c.Action == fabric.Restart:
			p.Counts.Restart++
		case c.Action == fabric.Release:
			p.Counts.Release++
		case c.Reason.Code == configs.Protected:
			p.Counts.Protected++
		default:
			p.Counts.Keep++
			if c.Labels > 0 {
				p.Counts.Labels++
			}
		}
		if c.Cause == fabric.Drift {
			p.Counts.Drifted++
		}
	}
}
