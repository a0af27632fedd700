package configs

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
)

// digest is the SHA-256 of the canonical form of a configuration: JSON with sorted keys, the defaults
// filled in, and each Secret as its source. A hash of a short password could be guessed, so none is in it.
func digest(c *Config) string {
	type doc = map[string]any
	source := func(s Secret) string { return s.Source() }
	fabrics, projects, policies := doc{}, doc{}, doc{}
	for name, f := range c.Fabrics {
		attributes := doc{}
		for k, s := range f.Databricks.Attributes {
			attributes[k] = source(s)
		}
		fabrics[name] = doc{"host": f.Databricks.Host, "attributes": attributes, "rate": f.Databricks.RequestsPerSecond,
			"prophecy_ids": f.ProphecyIDs, "artifacts": f.Artifacts}
	}
	for name, p := range c.Projects {
		projects[name] = doc{"git": p.Git, "path": p.Path, "prophecy_id": p.ProphecyID, "prophecy_url": p.ProphecyURL, "poll": p.Poll,
			"auth": []string{p.Auth.Username, source(p.Auth.Password), source(p.Auth.SSHKey), p.Auth.KnownHosts}}
	}
	for name, p := range c.Policies {
		policies[name] = doc{"prune": []int{p.Prune.Max, p.Prune.Percent}, "heal": p.Heal}
	}
	deployments := doc{}
	for _, d := range c.Deployments {
		deployments[d.Name()] = doc{"policy": d.Policy.Name, "mode": d.Mode, "follow": []string{d.Follow.Branch, d.Follow.Tag, string(d.Follow.Order)},
			"jobs": d.Jobs, "instance": d.Overlay.ConfigInstance, "schedule": d.Overlay.Schedule, "tags": d.Overlay.Tags}
	}
	data, err := json.Marshal(doc{"version": 1, "state": c.State, "fabrics": fabrics, "projects": projects, "policies": policies, "deployments": deployments})
	if err != nil {
		panic(fmt.Sprintf("configs: encode strings and numbers: %v", err)) // finite numbers and text always encode
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
