package configs

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
)

// Digests are of a canonical form: JSON with sorted keys, the defaults filled in, and each Secret as its
// source. A hash of a short password could be guessed, so none is in it.

type doc = map[string]any

// digest fills in the digest of each deployment and returns that of the configuration.
func digest(c *Config) string {
	fabrics, projects, policies, deployments := doc{}, doc{}, doc{}, doc{}
	for name, f := range c.Fabrics {
		fabrics[name] = f.doc()
	}
	for name, p := range c.Projects {
		projects[name] = p.doc()
	}
	for name, p := range c.Policies {
		policies[name] = p.doc()
	}
	for _, d := range c.Deployments {
		d.Digest = sum(doc{"version": 1, "name": d.Name(), "project": projects[d.Project.Name], "fabric": fabrics[d.Fabric.Name],
			"policy": policies[d.Policy.Name], "mode": d.Mode, "follow": d.Follow, "jobs": d.Jobs, "overlay": d.Overlay, "moved": d.Moved, "protect": d.Protect, "restart": d.Restart, "allow": d.Allow, "isolation": c.Isolation})
		deployments[d.Name()] = d.Digest
	}
	return sum(doc{"version": 2, "state": c.State, "isolation": c.Isolation, "fabrics": fabrics, "projects": projects, "policies": policies, "deployments": deployments})
}

func (f *Fabric) doc() doc {
	attributes := doc{}
	for k, s := range f.Databricks.Attributes {
		attributes[k] = s.Source()
	}
	return doc{"host": f.Databricks.Host, "attributes": attributes, "rate": f.Databricks.RequestsPerSecond, "managed_by": f.Databricks.ManagedBy,
		"prophecy_ids": f.ProphecyIDs, "artifacts": f.Artifacts, "visibility": f.Visibility, "guardrails": f.Guardrails}
}

func (p *Project) doc() doc {
	return doc{"git": p.Git, "path": p.Path, "prophecy_id": p.ProphecyID, "prophecy_url": p.ProphecyURL, "tags": p.Tags, "poll": p.Poll,
		"auth": []string{p.Auth.Username, p.Auth.Password.Source(), p.Auth.SSHKey.Source(), p.Auth.KnownHosts}}
}

func (p *Policy) doc() doc {
	d := doc{"name": p.Name, "prune": []any{p.Prune.Max, p.Prune.Percent, p.Prune.Quarantine, p.Prune.ActiveRuns}, "heal": p.Heal, "protect": p.Protect}
	if p.HealSaid {
		d["heal_said"] = true
	}
	return d
}

func sum(d doc) string {
	data, err := json.Marshal(d)
	if err != nil {
		panic(fmt.Sprintf("configs: encode text, numbers and lists: %v", err)) // finite numbers, digits and text always encode
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
