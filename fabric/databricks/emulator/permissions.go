package emulator

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// grantee is a direct permission on a job.
type grantee struct{ kind, name, level string } // kind is user_name, group_name or service_principal_name

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
		if slices.ContainsFunc(out, func(o grantee) bool { return o.kind == g.kind && o.name == g.name }) {
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
	return append(slices.DeleteFunc(list, func(g grantee) bool { return g.name == creator }), grantee{kind, creator, "IS_OWNER"})
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
func (w *Workspace) permitted(c *call) (*job, *failure) {
	return w.find(c, c.path[strings.LastIndex(c.path, "/")+1:], false)
}

func (w *Workspace) readPermissions(c *call) (answer, *failure) {
	w.mu.Lock()
	defer w.mu.Unlock()
	j, f := w.permitted(c)
	if f != nil {
		return answer{}, f
	}
	return ok(permissionsOf(j))
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
			i := slices.IndexFunc(merged, func(o grantee) bool { return o.kind == g.kind && o.name == g.name })
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
	j, f := w.permitted(c)
	if f != nil {
		return answer{}, f
	}
	owners := 0
	access := combine(j.access, sent)
	for _, g := range access {
		if g.level == "IS_OWNER" {
			owners++
		}
	}
	if owners != 1 {
		return answer{}, refused(http.StatusBadRequest, "INVALID_PARAMETER_VALUE", "The job must have exactly one owner.")
	}
	changed := *j
	changed.access = access
	w.state.put(&changed)
	return ok(permissionsOf(&changed))
}

// permissionsOf shows direct permissions and the inherited one of the admins.
func permissionsOf(j *job) map[string]any {
	list := []any{}
	for _, g := range j.access {
		list = append(list, map[string]any{g.kind: g.name, "display_name": g.name,
			"all_permissions": []any{map[string]any{"permission_level": g.level, "inherited": false}}})
	}
	list = append(list, map[string]any{"group_name": "admins", "all_permissions": []any{map[string]any{
		"permission_level": "CAN_MANAGE", "inherited": true, "inherited_from_object": []any{"/jobs/"}}}})
	return map[string]any{"object_id": fmt.Sprintf("/jobs/%d", j.id), "object_type": "job", "access_control_list": list}
}
