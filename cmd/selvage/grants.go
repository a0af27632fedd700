package main

import (
	"cmp"
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"selvage/configs"
	"selvage/fabric/databricks"
	"selvage/reconciler"
)

// grants are the rights that a fabric's principal needs, ready for an admin.
type grants struct {
	Fabric    string             `json:"fabric"`
	Host      string             `json:"host"`
	Principal string             `json:"principal"`
	Unasked   string             `json:"unasked,omitempty"` // why the workspace could not be asked who logs in
	From      string             `json:"from"`              // what they follow from
	Grants    []databricks.Grant `json:"grants"`
}

// grantsOf finds them out from the configuration, and from what was last sent where there is a state.
func grantsOf(ctx context.Context, c *configs.Config, name string) (grants, error) {
	f, ok := c.Fabrics[name]
	if !ok {
		return grants{}, hinted("name one of the configuration's fabrics", "unknown fabric %q", name)
	}
	g := grants{Fabric: name, Host: f.Databricks.Host}
	n := databricks.Needs{Artifacts: f.Artifacts, SeesOwn: f.Visibility == configs.SeesOwn}
	deployments := 0
	for _, d := range c.Deployments {
		if d.Fabric == f {
			n.Overlays = append(n.Overlays, d.Overlay)
			deployments++
		}
	}
	docs, lost, err := reconciler.LastSent(filepath.Join(c.State, ledgerDir), filepath.Join(c.State, documentsDir), name)
	if err != nil {
		return grants{}, err
	}
	n.Sent = docs
	g.From = fmt.Sprintf("the overlays of %s and %s as last sent", plural(deployments, "deployment"), plural(len(docs), "job"))
	if lost > 0 {
		g.From += fmt.Sprintf(" (%s can't be read)", plural(lost, "more"))
	}
	if n.Principal, err = principalOf(ctx, f); err != nil {
		g.Unasked = err.Error()
	}
	g.Principal = n.Principal
	g.Grants = databricks.Grants(n)
	return g, nil
}

// principalOf asks the workspace who logs in. Where it does not answer, the login may say it.
func principalOf(ctx context.Context, f *configs.Fabric) (string, error) {
	w, err := databricks.New(databricks.Options{Name: f.Name, Config: *f.Databricks, Root: f.Artifacts})
	if err == nil {
		defer w.Close()
		ctx, cancel := context.WithTimeout(ctx, lookTime)
		defer cancel()
		var name string
		if name, err = w.Principal(ctx); err == nil {
			return name, nil
		}
	}
	said := func(attribute string) string { return f.Databricks.Attributes[attribute].Reveal() }
	return cmp.Or(said("client_id"), said("azure_client_id"), said("username"), "PRINCIPAL"), err
}

// grants is what an admin gets.
func (s screen) grants(g grants) string {
	var b strings.Builder
	fmt.Fprintf(&b, "The least that %s needs on fabric %s (%s), by %s.\n", visible(g.Principal), visible(g.Fabric), visible(g.Host), g.From)
	if g.Unasked != "" {
		fmt.Fprintf(&b, "The workspace could not be asked who logs in (%s): see that the name is right.\n", visible(g.Unasked))
	}
	unverified := false
	for _, part := range []struct {
		by    databricks.By
		title string
	}{
		{databricks.Console, "In the settings, as an admin:"},
		{databricks.SQL, "In a SQL editor, as an owner of the catalog or a metastore admin:"},
		{databricks.CLI, "With the databricks command line, as an admin of the workspace:"},
	} {
		first, why := true, ""
		for _, grant := range g.Grants {
			if grant.By != part.by {
				continue
			}
			if first {
				b.WriteString("\n" + part.title + "\n")
			}
			this := grant.For
			if grant.Unverified {
				this, unverified = this+" (unverified)", true
			}
			if first || this != why {
				why = this
				fmt.Fprintf(&b, "  %s\n", s.paint(faint, "-- "+visible(why)))
			}
			first = false
			b.WriteString("  " + visible(grant.Statement) + "\n")
		}
	}
	if unverified {
		b.WriteString("\nUnverified: nobody has tried yet, on a real workspace, that this right is enough and a lesser one is not.\n")
	}
	b.WriteString("\nWhat jobs read and write when they run is theirs to be granted, beside their artifacts.\n")
	return b.String()
}
