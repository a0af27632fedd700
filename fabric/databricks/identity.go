package databricks

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// identity is who logs in, as the workspace says it.
type identity struct {
	name string // an e-mail address, or the application id of a service principal
	// unseen says why there may be jobs that the list does not show to it; empty where it sees all.
	unseen string
	asked  time.Time
}

const (
	mePath = "/api/2.0/preview/scim/v2/Me"
	// identityLife is how long an answer is believed. Whether somebody is an admin changes; asking costs a request.
	identityLife = time.Hour
	// mostGroups bounds what is looked at of an answer.
	mostGroups = 10_000
)

// admins is the group whose members see every job of a workspace.
const admins = "admins"

// whoAmI is the name of the principal that logs in: an e-mail address, or the application id of a service principal.
func (w *Workspace) whoAmI(ctx context.Context) (string, error) {
	me, err := w.identify(ctx)
	return me.name, err
}

// identify asks who logs in; once in a while it asks again. Where that fails, what it said before still holds: the name
// can't change under one login, and the next look asks again.
func (w *Workspace) identify(ctx context.Context) (identity, error) {
	w.mu.Lock()
	me := w.me
	w.mu.Unlock()
	if me.name != "" && time.Since(me.asked) < identityLife {
		return me, nil
	}
	fresh, err := w.askIdentity(ctx)
	if err != nil {
		if me.name != "" && ctx.Err() == nil {
			return me, nil
		}
		return identity{}, err
	}
	w.mu.Lock()
	w.me = fresh
	w.mu.Unlock()
	return fresh, nil
}

func (w *Workspace) askIdentity(ctx context.Context) (identity, error) {
	var answer struct {
		UserName string `json:"userName"`
		Groups   []struct {
			Display string `json:"display"`
		} `json:"groups"`
	}
	if err := w.get(ctx, mePath, nil, &answer); err != nil {
		return identity{}, fmt.Errorf("ask who logs in: %w", err)
	}
	me := identity{name: answer.UserName, asked: time.Now()}
	if me.name == "" || me.name == "." || me.name == ".." || strings.ContainsFunc(me.name, func(r rune) bool { return r <= ' ' || r == '/' || r == '\\' || r == 0x7f }) {
		return identity{}, fmt.Errorf("ask who logs in: the workspace answers with the name %q, which is no folder below /Workspace/Users; set artifacts of the fabric", w.redact(me.name))
	}
	// Only what the answer says proves that it sees all: an answer without groups says nothing.
	me.unseen = fmt.Sprintf("%s is not in the group %s of the workspace", w.redact(me.name), admins)
	if len(answer.Groups) == 0 {
		me.unseen = fmt.Sprintf("the workspace does not say which groups %s is in", w.redact(me.name))
	}
	for _, g := range answer.Groups[:min(len(answer.Groups), mostGroups)] {
		if g.Display == admins {
			me.unseen = ""
		}
	}
	return me, nil
}
