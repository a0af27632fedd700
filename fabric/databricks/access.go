package databricks

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"selvage/configs"
	"selvage/fabric"
)

// accessField is where a job's request says who may do what with the job. The service reads it there when a job is
// made, and never again; we take it out and keep it as a resource of its own.
const accessField = "access_control_list"

// levels are what the list of a job can give, from the least to the most. Each includes those before it.
var levels = []string{"CAN_VIEW", "CAN_MANAGE_RUN", canManage, isOwner}

const (
	canManage = "CAN_MANAGE"
	isOwner   = "IS_OWNER"
)

// rank orders levels; one that is not known is below all.
func rank(level string) int { return slices.Index(levels, level) }

// principalKinds are the fields that name who gets a level, each with its word.
var principalKinds = []struct{ field, word string }{
	{"user_name", "user"}, {"group_name", "group"}, {"service_principal_name", "service principal"},
}

const (
	mostGrants    = 500  // of one list
	mostPrincipal = 1000 // bytes
)

// grant is one entry of an access list.
type grant struct{ kind, name, level string } // kind is a field of principalKinds

// principal is who gets it, as in paths: "user a@shop.example". The service does not tell users apart by the case of
// their addresses, nor service principals by that of their ids.
func (g grant) principal() string {
	for _, k := range principalKinds {
		if k.field == g.kind {
			if g.kind == "group_name" {
				return k.word + " " + g.name
			}
			return k.word + " " + strings.ToLower(g.name)
		}
	}
	return "?"
}

func (g grant) entry() map[string]any {
	return map[string]any{g.kind: g.name, "permission_level": g.level}
}

// grantOf reads an entry of a list as far as it is one.
func grantOf(e any) grant {
	m, _ := e.(map[string]any)
	var g grant
	for _, k := range principalKinds {
		if name, _ := m[k.field].(string); name != "" {
			g.kind, g.name = k.field, name
		}
	}
	g.level, _ = m["permission_level"].(string)
	return g
}

// grants are at most one for each principal, by principal: of several the highest.
type grants map[string]grant

func (gs grants) add(g grant) {
	if had, ok := gs[g.principal()]; !ok || rank(had.level) < rank(g.level) {
		if ok {
			g.name = had.name // as it was spelled first
		}
		gs[g.principal()] = g
	}
}

// grantsOf reads the grants under a field of a document.
func grantsOf(d fabric.Doc, field string) grants {
	gs := grants{}
	list, _ := d.At(field).([]any)
	for _, e := range list {
		gs.add(grantOf(e))
	}
	return gs
}

// owner is who owns the job; false where the list says nothing of it.
func (gs grants) owner() (grant, bool) {
	for _, g := range gs {
		if g.level == isOwner {
			return g, true
		}
	}
	return grant{}, false
}

// list is the grants in an order that depends on nothing else.
func (gs grants) list() []any {
	var list []any
	for _, principal := range slices.Sorted(maps.Keys(gs)) {
		list = append(list, gs[principal].entry())
	}
	return list
}

// access takes the access list out of the request, and with it what the overlay did to it.
func (n *rendering) access(d *draft) {
	n.guardAccess(d)
	d.entries = d.request[accessField]
	delete(d.request, accessField)
	told := d.Overlay
	d.Overlay = slices.DeleteFunc(slices.Clone(told), ofAccess)
	for _, f := range told {
		if ofAccess(f) {
			d.entriesOverlay = append(d.entriesOverlay, f)
			delete(d.Overlaid, f.Path)
		}
	}
}

// permit makes a resource of its own of the access list. An empty one declares nothing, as in most committed jobs: what
// is live stays.
func (n *rendering) permit(d *draft) {
	if _, odd := d.Key.AttachedTo(Permissions); odd {
		d.block(configs.JobBroken, nil, fmt.Sprintf("its key ends in :%s, by which the access list of a job goes", Permissions))
		return
	}
	at := d.at.member(accessField)
	list, isList := d.entries.([]any)
	switch {
	case d.blocked != nil || d.entries == nil || isList && len(list) == 0:
		return
	case !isList:
		d.block(configs.AccessBroken, at, "expected a list")
		return
	case len(list) > mostGrants:
		d.block(configs.AccessBroken, at, fmt.Sprintf("%d entries; at most %d are taken", len(list), mostGrants))
		return
	}
	gs := grants{}
	for i, e := range list {
		g, ok := n.granted(d, at.element(i), e)
		if !ok {
			return
		}
		gs.add(g)
	}
	var owners []string
	for _, g := range gs {
		if g.level == isOwner {
			owners = append(owners, g.principal())
		}
	}
	slices.Sort(owners)
	switch {
	case len(owners) > 1:
		d.block(configs.AccessBroken, at, fmt.Sprintf("a job has one owner, and %s are to be it", strings.Join(owners, " and ")))
		return
	case len(owners) == 1:
		n.found(configs.AccessCompleted, d.subject(at), "the owner is "+owners[0])
	}
	d.set = &fabric.Resource{
		Key: fabric.Attach(d.Key, Permissions), Kind: Permissions, Name: d.Name, Needs: []fabric.Key{d.Key},
		Overlay: d.entriesOverlay, Overlaid: map[string]bool{},
		Doc: fabric.NewDoc(map[string]any{"job_id": fabric.Ref{Kind: Job, Key: d.Key}, accessField: gs.list()}),
	}
	for _, f := range d.entriesOverlay {
		d.set.Overlaid[f.Path] = true
	}
}

// ofAccess reports a field of the access list.
func ofAccess(f fabric.Field) bool {
	return f.Path == accessField || strings.HasPrefix(f.Path, accessField+"[")
}

// granted reads one entry as committed, and blocks the job where the service could not take it as it is meant.
func (n *rendering) granted(d *draft, at *spot, e any) (grant, bool) {
	broken := func(at *spot, format string, args ...any) (grant, bool) {
		d.block(configs.AccessBroken, at, fmt.Sprintf(format, args...))
		return grant{}, false
	}
	m, ok := e.(map[string]any)
	if !ok {
		return broken(at, "expected an object")
	}
	named := 0
	for _, field := range slices.Sorted(maps.Keys(m)) {
		is := slices.ContainsFunc(principalKinds, func(k struct{ field, word string }) bool { return k.field == field })
		switch text, isText := m[field].(string); {
		case !is && field != "permission_level" && field != "display_name":
			return broken(at, "%s is no field of an entry", shorten(field, mostOfKey))
		case !isText:
			return broken(at.member(field), "expected text")
		case is && text != "":
			named++
		}
	}
	g := grantOf(m)
	g.name = n.filled(d, at.member(g.kind), g.name)
	switch {
	case named != 1:
		return broken(at, "an entry names one of user_name, group_name and service_principal_name; this one names %d", named)
	case len(g.name) > mostPrincipal:
		return broken(at.member(g.kind), "%d bytes; at most %d are taken", len(g.name), mostPrincipal)
	case strings.ContainsFunc(g.name, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return broken(at.member(g.kind), "the name holds control characters")
	case rank(g.level) < 0:
		return broken(at.member("permission_level"), "%q is none of %s", shorten(g.level, mostOfKey), strings.Join(levels, ", "))
	case g.level == isOwner && g.kind == "group_name":
		return broken(at.member("permission_level"), "a group can't own a job")
	}
	return g, d.blocked == nil
}
