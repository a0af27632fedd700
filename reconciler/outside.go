package reconciler

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"selvage/configs"
	"selvage/fabric"
)

// outside holds a change back whose resource can't do without something that others put on the fabric, and that
// is not there, or of which nobody knows yet whether it is.
func (b *planner) outside(c *fabric.Change, p *Plan) {
	if c.Hindrance != fabric.Free || !c.Action.Sends() {
		return
	}
	r, _ := b.Desired.Lookup(c.Key)
	var missing, unseen []string
	for _, t := range r.Outside {
		if !slices.Contains(p.Asks, t) {
			p.Asks = append(p.Asks, t)
		}
		switch b.Outside[t] {
		case fabric.Absent:
			missing = append(missing, thing(t))
		case fabric.Unknown:
			unseen = append(unseen, thing(t))
		}
	}
	switch {
	case len(missing) > 0:
		c.Hindrance, c.Reason = fabric.Blocked, configs.Found(configs.OutsideMissing, string(c.Key), some(missing))
	case len(unseen) > 0:
		c.Hindrance, c.Reason = fabric.Blocked, configs.Found(configs.NotSeen, string(c.Key), some(unseen))
	}
}

func thing(t fabric.Outside) string { return fmt.Sprintf("%s %s", t.Kind, t.Name) }

// some are the first three of what may be many.
func some(names []string) string {
	if len(names) > 3 {
		names = append(names[:3:3], fmt.Sprintf("and %d more", len(names)-3))
	}
	return strings.Join(names, ", ")
}

// askOutside has the fabric look for the things that the plan depends on and that this round has not asked about. It
// reports whether that taught us anything. A plan that writes nothing asks nothing.
func (rd *round) askOutside(ctx context.Context, p Plan) (bool, error) {
	var open []fabric.Outside
	for _, t := range p.Asks {
		if _, asked := rd.outside[t]; !asked {
			open = append(open, t)
		}
	}
	if len(open) == 0 {
		return false, nil
	}
	seen, err := rd.Fabrics[rd.d.Fabric.Name].Outside(ctx, open)
	if err != nil {
		return false, rd.fail(configs.FabricUnreachable, fmt.Errorf("fabric %s: look for what others put there: %w", rd.d.Fabric.Name, err))
	}
	if rd.outside == nil {
		rd.outside = map[fabric.Outside]fabric.Presence{}
	}
	for _, t := range open {
		rd.outside[t] = seen[t] // Unknown where it does not say
	}
	return true, nil
}
