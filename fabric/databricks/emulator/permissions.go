package emulator

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// grantee is a direct permission on a job.
type grantee struct{ kind, name, level string } // kind is user_name, group_name or service_principal_name

// same reports another one of the same principal. The names of groups, and of nothing else, are told apart by case.
func (g grantee) same(o grantee) bool {
	return g.kind == o.kind && (g.name == o.name || g.kind != "group_name" && strings.EqualFold(g.name, o.name))
}

var principalKinds = []string{"user_name", "group_name", "service_principal_name"}

var permissionLevels = []string{"CAN_VIEW", "CAN_MANAGE_RUN", "CAN_MANAGE", "IS_OWNER"}

// grantees reads an access_control_list. full asks for exactly one owner, as PUT and create do.
func grantees(v any, full bool) ([]grantee, *failure) {
	list, isList := v.([]any)
	if v != nil && !isList || len(list) != len(objects(v)) {
		return nil, malformed("Could not parse request object: access_control_list is not a list of objects")
	}
	var out []grantee
	owners := 0
	for _, e := range objects(v) {
		var g grantee
		if count(e, principalKinds...) != 1 {
			return nil, invalid("An entry of access_control_list must name exactly one of %s", strings.Join(principalKinds, ", "))
		}
		for _, kind := range principalKinds {
			if name := textField(e, kind); name != "" {
				g.kind, g.name = kind, name
			}
		}
		g.level = textField(e, "permission_level")
		if !slices.Contains(permissionLevels, g.level) {
			return nil, invalid("Permission level %q of %s must be one of %s", g.level, g.name, strings.Join(permissionLevels, ", "))
		}
		if slices.ContainsFunc(out, g.same) {
			return nil, invalid("Principal %s appears more than once in the access control list", g.name)
		}
		if g.level == "IS_OWNER" {
			if owners++; g.kind == "group_name" {
				return nil, invalid("Group %s cannot be the owner of a job", g.name)
			}
		}
		out = append(out, g)
	}
	if owners > 1 || full && owners != 1 {
		return nil, invalid("The job must have exactly one owner.")
	}
	return out, nil
}

// ownedBy adds the creator as owner to a list without one.
func ownedBy(creator string, list []grantee) []grantee {
	if slices.ContainsFunc(list, func(g grantee) bool { return g.level == "IS_OWNER" }) {
		return list
	}
	kind := "user_name"
	if !strings.Contains(creator, "@") {
		kind = "service_principal_name"
	}
	return append(slices.DeleteFunc(list, func(g grantee) bool { return g.kind == kind && strings.EqualFold(g.name, creator) }), grantee{kind, creator, "IS_OWNER"})
}

// grants reports that an access list gives a user one of the last levels, from level on, by name or by a group. What
// admins may is in no list.
func (w *Workspace) grants(j *job, user, level string) bool {
	if _, guest := w.o.Guests[user]; !guest {
		return true
	}
	enough := permissionLevels[slices.Index(permissionLevels, level):]
	groups := w.groupsOf(user)
	return slices.ContainsFunc(j.access, func(g grantee) bool {
		mine := g.name == user && g.kind != "group_name" || g.kind == "group_name" && slices.Contains(groups, g.name)
		return mine && slices.Contains(enough, g.level)
	})
}

// permitted finds the job of /permissions/jobs/ID.
func (w *Workspace) permitted(c *call, writing bool) (*job, *failure) {
	id := c.path[strings.LastIndex(c.path, "/")+1:]
	if n, f := number(id, "job_id"); f == nil && !writing && w.o.Unverified.PermissionsOutlive && w.state.deleted[n] != nil {
		return w.state.deleted[n], nil
	}
	return w.find(c, id, writing)
}

func (w *Workspace) readPermissions(c *call) (answer, *failure) {
	w.mu.Lock()
	defer w.mu.Unlock()
	j, f := w.permitted(c, false)
	if f != nil {
		return answer{}, f
	}
	return ok(w.permissionsOf(j, c.now))
}

// putPermissions replaces all direct permissions.
func (w *Workspace) putPermissions(c *call) (answer, *failure) {
	return w.changePermissions(c, true, func(_, sent []grantee) []grantee { return sent })
}

// patchPermissions sets the permissions of the principals sent; it removes nobody.
func (w *Workspace) patchPermissions(c *call) (answer, *failure) {
	return w.changePermissions(c, false, func(have, sent []grantee) []grantee {
		merged := slices.Clone(have)
		for _, g := range sent {
			i := slices.IndexFunc(merged, g.same)
			if i < 0 {
				merged = append(merged, g)
				continue
			}
			merged[i] = g
		}
		return merged
	})
}

func (w *Workspace) changePermissions(c *call, full bool, combine func(have, sent []grantee) []grantee) (answer, *failure) {
	body, f := decode(c.body, jsonLimit)
	if f != nil {
		return answer{}, f
	}
	sent, f := grantees(body["access_control_list"], full)
	if f != nil {
		return answer{}, f
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	j, f := w.permitted(c, true)
	if f != nil {
		return answer{}, f
	}
	changed, f := w.grant(j, combine(j.access, sent), c.now)
	if f != nil {
		return answer{}, f
	}
	if _, guest := w.o.Guests[c.user]; guest && changed.owner() != j.owner() {
		return answer{}, refused(http.StatusForbidden, "PERMISSION_DENIED", "Only a workspace administrator can change the owner of job %d.", j.id)
	}
	w.state.put(changed)
	return ok(w.permissionsOf(changed, c.now))
}

func (j *job) owner() string {
	for _, g := range j.access {
		if g.level == "IS_OWNER" {
			return strings.ToLower(g.name)
		}
	}
	return ""
}

// grant is the job with other direct permissions.
func (w *Workspace) grant(j *job, access []grantee, now time.Time) (*job, *failure) {
	owners := 0
	for _, g := range access {
		if g.level == "IS_OWNER" {
			owners++
		}
		if w.o.Principals != nil && !slices.Contains(w.o.Principals, g.name) {
			return nil, refused(http.StatusNotFound, "RESOURCE_DOES_NOT_EXIST", "Principal: %s does not exist.", g.name)
		}
	}
	if owners != 1 {
		return nil, refused(http.StatusBadRequest, "INVALID_PARAMETER_VALUE", "The job must have exactly one owner.")
	}
	if w.o.Unverified.AdminsInherit {
		access = slices.DeleteFunc(slices.Clone(access), func(g grantee) bool { return g.kind == "group_name" && g.name == "admins" })
	}
	changed := *j
	changed.accessWas, changed.accessAt = j.access, now.Add(w.o.Unverified.PermissionsLag)
	changed.access = access
	return &changed, nil
}

// permissionsOf shows direct permissions and the inherited one of the admins.
func (w *Workspace) permissionsOf(j *job, now time.Time) map[string]any {
	inherited := map[string]any{"permission_level": "CAN_MANAGE", "inherited": true, "inherited_from_object": []any{"/jobs/"}}
	access, list, admins := j.access, []any{}, false
	if now.Before(j.accessAt) {
		access = j.accessWas
	}
	for _, g := range access {
		name := g.name
		if g.kind == "user_name" && w.o.Unverified.UserNamesLowered {
			name = strings.ToLower(name)
		}
		all := []any{map[string]any{"permission_level": g.level, "inherited": false}}
		if g.kind == "group_name" && g.name == "admins" {
			all, admins = append(all, inherited), true
		}
		list = append(list, map[string]any{g.kind: name, "display_name": name, "all_permissions": all})
	}
	if !admins {
		list = append(list, map[string]any{"group_name": "admins", "all_permissions": []any{inherited}})
	}
	return map[string]any{"object_id": fmt.Sprintf("/jobs/%d", j.id), "object_type": "job", "access_control_list": list}
}

// Access are the direct permissions of a job, sorted, as "user_name a@shop.example CAN_VIEW"; none where it is not there.
func (w *Workspace) Access(id int64) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var list []string
	if j := w.state.jobs[id]; j != nil {
		for _, g := range j.access {
			list = append(list, g.kind+" "+g.name+" "+g.level)
		}
	}
	slices.Sort(list)
	return list
}

// SetAccess replaces the direct permissions of a job by hand: body is as for the API's PUT. It fails where the real
// service would.
func (w *Workspace) SetAccess(id int64, body []byte) error {
	object, f := decode(body, jsonLimit)
	var sent []grantee
	if f == nil {
		sent, f = grantees(object["access_control_list"], true)
	}
	if f != nil {
		return fmt.Errorf("set permissions of job %d by hand: %s", id, f.message)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	j := w.state.jobs[id]
	if j == nil {
		return ErrNoJob(id)
	}
	changed, f := w.grant(j, sent, w.o.Now())
	if f != nil {
		return fmt.Errorf("set permissions of job %d by hand: %s", id, f.message)
	}
	changed.accessAt = w.o.Now() // by hand there is no lag to test
	w.state.put(changed)
	return nil
}
