package databricks

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"selvage/fabric"
)

// Permissions is the kind of a job's access list. Its document is
//
//	{"job_id": 8812, "access_control_list": [{"user_name": "a@shop.example", "permission_level": "CAN_VIEW"}]}
//
// with one entry for each principal, and live also "inherited", entries that come from elsewhere, and "deployer",
// who we are there. Three things are live that desired does not say, and are no difference (see implied):
//
//   - the owner, where desired names none: it stays whoever it is;
//   - our own CAN_MANAGE, which we are given with each write, or the next one would be refused;
//   - what a desired entry asks for and its principal inherits.
const Permissions = fabric.Permissions

const permissionsPath = "/api/2.0/permissions/jobs/"

var accessRules = &fabric.Rules{
	KeyFuncs:   map[string]func(any) string{accessField: principalOf},
	OutputOnly: map[string]bool{"inherited": true, "deployer": true},
	Aliases: map[string]func(desired, live string) bool{
		accessField + "[].user_name": strings.EqualFold, accessField + "[].service_principal_name": strings.EqualFold,
	},
	Implied: implied,
}

func principalOf(e any) string { return grantOf(e).principal() }

// implied is a live list as it is compared with a desired one.
func implied(desired, live fabric.Doc) fabric.Doc {
	if desired.IsZero() || live.IsZero() {
		return live
	}
	want, inherited := grantsOf(desired, accessField), grantsOf(live, "inherited")
	_, owned := want.owner()
	deployer := principalOf(live.At("deployer"))
	have := grants{}
	for principal, g := range grantsOf(live, accessField) {
		asked, named := want[principal]
		if g.level == isOwner && !owned || g.level == canManage && principal == deployer {
			switch {
			case !named:
				continue
			case rank(asked.level) < rank(g.level):
				g.level = asked.level
			}
		}
		have[principal] = g
	}
	for principal, g := range want {
		if _, direct := have[principal]; !direct && rank(inherited[principal].level) >= rank(g.level) {
			have[principal] = g
		}
	}
	d := live.Object()
	d[accessField] = have.list()
	return fabric.NewDoc(d)
}

// toSend are the entries to send: desired with what it implies.
func toSend(desired, live fabric.Doc) []any {
	want := grantsOf(desired, accessField)
	deployer := grantOf(live.At("deployer"))
	if _, named := want.owner(); !named {
		owner, there := grantsOf(live, accessField).owner()
		if !there {
			owner = deployer
		}
		owner.level = isOwner
		want.add(owner)
	}
	deployer.level = canManage
	want.add(deployer)
	return want.list()
}

// readAccess reads the access list of a job.
func (w *Workspace) readAccess(ctx context.Context, id string) (fabric.Doc, error) {
	if err := validID(id); err != nil {
		return fabric.Doc{}, err
	}
	me, err := w.whoAmI(ctx)
	if err != nil {
		return fabric.Doc{}, err
	}
	var answer struct {
		Object string `json:"object_id"`
		List   []struct {
			User      string `json:"user_name"`
			Group     string `json:"group_name"`
			Principal string `json:"service_principal_name"`
			All       []struct {
				Level     string `json:"permission_level"`
				Inherited bool   `json:"inherited"`
			} `json:"all_permissions"`
		} `json:"access_control_list"`
	}
	if err := w.get(ctx, permissionsPath+id, nil, &answer); err != nil {
		return fabric.Doc{}, fmt.Errorf("read the access list of job %s: %w", id, err)
	}
	if answer.Object != "" && answer.Object != "/jobs/"+id {
		return fabric.Doc{}, fmt.Errorf("read the access list of job %s: the workspace answers with that of %s", id, w.redact(answer.Object))
	}
	direct, inherited := grants{}, grants{}
	for _, e := range answer.List {
		g := grantOf(map[string]any{"user_name": e.User, "group_name": e.Group, "service_principal_name": e.Principal})
		if g.kind == "" {
			return fabric.Doc{}, fmt.Errorf("read the access list of job %s: an entry names nobody", id)
		}
		for _, p := range e.All {
			g.level = p.Level
			if p.Inherited {
				inherited.add(g)
			} else {
				direct.add(g)
			}
		}
	}
	deployer := "user_name"
	if applicationID.MatchString(me) {
		deployer = "service_principal_name"
	}
	return fabric.NewDoc(map[string]any{
		"job_id": json.Number(id), accessField: direct.list(), "inherited": inherited.list(), "deployer": map[string]any{deployer: me},
	}).Packed(), nil
}

// asDeclared reports that a live list is as desired.
func asDeclared(desired, live fabric.Doc) bool {
	fields, _ := fabric.Compare(fabric.Comparison{Rules: accessRules, Desired: desired, Live: live})
	return len(fields) == 0
}

// permit brings the access list of a job to what it should be. It looks first, for it replaces the list as a whole: the
// owner has to stand in it, what is as desired is not written, and what no plan has seen is not written over.
func (w *Workspace) permit(ctx context.Context, c fabric.Change, j fabric.Journal) fabric.Result {
	switch {
	case c.Action == fabric.Delete:
		return fabric.Result{ID: c.ID, Status: fabric.Refused, Err: errors.New("an access list goes with its job")}
	case !c.Action.Sends():
		return fabric.Result{ID: c.ID, Status: fabric.Done}
	}
	err := sendable(c)
	number, _ := c.Desired.At("job_id").(json.Number)
	id := number.String()
	if err == nil {
		err = validID(id)
	}
	if err != nil {
		return fabric.Result{ID: id, Status: fabric.Refused, Err: err}
	}
	job, _ := c.Key.AttachedTo(c.Kind)
	var live fabric.Doc
	var refused error
	return w.perform(ctx, mutation{
		class: permissionWrite,
		intent: fabric.Intent{Nonce: fabric.NewNonce(), Op: fabric.OpUpdate, Keys: []fabric.Key{c.Key}, ID: id, Sent: []fabric.Doc{c.Desired},
			Text: fmt.Sprintf("set the permissions of job %s (%s)", id, job)},
		before: func(ctx context.Context) error {
			var err error
			live, err = w.readList(ctx, id)
			switch {
			case err != nil && listRefused(err): // that is an outcome, to be written down, of this one alone
				refused = err
				return nil
			case err != nil || c.Live.IsZero() || asDeclared(c.Desired, live):
				return err
			}
			return c.Unchanged(accessRules, c.Mark, live)
		},
		send: func(ctx context.Context) (string, error) {
			if refused != nil || asDeclared(c.Desired, live) {
				return id, refused
			}
			body := fabric.NewDoc(map[string]any{accessField: toSend(c.Desired, live)})
			_, err := w.send(ctx, call{method: http.MethodPut, path: permissionsPath + id, body: body.Canonical()})
			if err != nil && meaning(err) != fabric.Doubtful {
				live = fabric.Doc{} // it stays as it was, so that reading it so is no sign of a lag
			}
			w.lists.forget(id, live) // whatever was read before the answer
			return id, err
		},
		look: func(ctx context.Context) (string, bool, error) {
			live, err := w.readAccess(ctx, id)
			return id, err == nil && asDeclared(c.Desired, live), err
		},
	}, j)
}
