package reconciler

import (
	"cmp"
	"context"
	"slices"

	"selvage/fabric"
)

// mostUnstable is how many fields of one resource are told apart as unstable. Of more, the resource as a whole is.
const mostUnstable = 50

// Unstable are the fields of a resource that were different right after we wrote it. They are left alone until what is
// sent is another document (law 5): at most one reset is spent on them.
type Unstable struct {
	Sent  string   `json:"sent"`  // digest of the document that was written
	Paths []string `json:"paths"` // sorted; an empty one stands for all of it
}

// of are the paths that are unstable in what was sent last.
func (u *Unstable) of(sent string) []string {
	if u == nil || u.Sent != sent {
		return nil
	}
	return u.Paths
}

// and is u with what another look after a write of the same document found; nil where nothing is unstable.
func (u *Unstable) and(sent string, paths []string) *Unstable {
	all := append(slices.Clone(u.of(sent)), paths...)
	slices.Sort(all)
	all = slices.Compact(all)
	switch {
	case len(all) == 0:
		return nil
	case len(all) > mostUnstable || all[0] == "":
		all = []string{""}
	}
	return &Unstable{Sent: sent, Paths: all}
}

// unstablePaths are the paths of fields, as the ledger keeps them.
func unstablePaths(fields []fabric.Field) []string {
	if len(fields) > mostUnstable {
		return []string{""}
	}
	var paths []string
	for _, f := range fields {
		paths = append(paths, f.Path)
	}
	return paths
}

// news are the fields that were not known to be unstable.
func (u *Unstable) news(sent string, fields []fabric.Field) []fabric.Field {
	return slices.DeleteFunc(slices.Clone(fields), func(f fabric.Field) bool { return fabric.Covered(u.of(sent), f.Path) })
}

// readLate reads back what was written and, because something went wrong right after it, not looked at. The look of this
// round does for it, however late it is: what somebody edited meanwhile can't be told from what did not stay, and to write
// it once more might go on for ever.
func (rd *round) readLate(ctx context.Context) error {
	if rd.ask.Dry {
		return nil
	}
	rd.mu.Lock()
	open := map[fabric.Key]bool{}
	for _, i := range rd.state.intents[rd.name] {
		for _, k := range i.Keys {
			open[k] = true
		}
	}
	var late []fabric.Change
	for k, a := range rd.state.applied[rd.name] {
		owner := fabric.Owner{Deployment: rd.name, Key: k}
		if a.Read != "" || a.Sent == "" || a.Kind.Attached() || open[k] {
			continue
		}
		if obj, _, _ := rd.live.Lookup(rd.Installation, a.Kind, owner, a.ID); a.shows(obj) {
			late = append(late, fabric.Change{Key: k, Kind: a.Kind, ID: a.ID, Owner: owner, Action: fabric.Update})
		}
	}
	rd.mu.Unlock()
	if len(late) == 0 {
		return nil
	}
	if err := rd.render(ctx); err != nil {
		return err
	}
	slices.SortFunc(late, func(a, b fabric.Change) int { return cmp.Compare(a.Key, b.Key) })
	found, err := rd.readListed(ctx, rd.rereading(late))
	if err != nil {
		return err
	}
	return rd.takeIn(ctx, late, found)
}

// wavers reports that a field of the deployment is different from what was written, and left alone.
func (rd *round) wavers() bool {
	rd.mu.Lock()
	defer rd.mu.Unlock()
	for _, a := range rd.state.applied[rd.name] {
		if len(a.Unstable.of(a.Sent)) > 0 {
			return true
		}
	}
	return rd.unstable
}
