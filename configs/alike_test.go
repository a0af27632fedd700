package configs

import (
	"encoding/json"
	"testing"
	"time"
)

func TestAlike(t *testing.T) {
	made := func() *Config {
		f := &Fabric{Name: "qa", ProphecyIDs: []string{"1"}, Databricks: &Databricks{Host: "https://qa.example", Attributes: map[string]Secret{"token": secretFrom("t", "${credential:t}")}}}
		p := &Project{Name: "hello", Poll: time.Minute, Auth: GitAuth{Username: "u", Password: secretFrom("p", "${env:P}")}}
		d := &Deployment{Project: p, Fabric: f, Overlay: Overlay{Patch: []Patch{{Jobs: "*", Merge: map[string]any{"n": json.Number("1"), "gone": nil}}}}}
		return &Config{Fabrics: map[string]*Fabric{"qa": f}, Projects: map[string]*Project{"hello": p}, Deployments: []*Deployment{d}}
	}
	if !Alike(made(), made()) {
		t.Fatal("a configuration is not like itself")
	}
	for name, change := range map[string]func(c *Config){
		"the value of a secret":  func(c *Config) { c.Fabrics["qa"].Databricks.Attributes["token"] = secretFrom("u", "${credential:t}") },
		"the source of a secret": func(c *Config) { c.Fabrics["qa"].Databricks.Attributes["token"] = secretFrom("t", "${credential:u}") },
		"the name of a secret": func(c *Config) {
			c.Fabrics["qa"].Databricks.Attributes = map[string]Secret{"toke": secretFrom("t", "${credential:t}")}
		},
		"one secret more":         func(c *Config) { c.Fabrics["qa"].Databricks.Attributes["x"] = NewSecret("x") },
		"an unset secret":         func(c *Config) { c.Projects["hello"].Auth.Password = Secret{} },
		"text":                    func(c *Config) { c.Fabrics["qa"].Databricks.Host = "" },
		"a number":                func(c *Config) { c.Projects["hello"].Poll++ },
		"an element":              func(c *Config) { c.Fabrics["qa"].ProphecyIDs[0] = "2" },
		"a list's length":         func(c *Config) { c.Fabrics["qa"].ProphecyIDs = nil },
		"a fabric":                func(c *Config) { c.Fabrics["x"] = c.Fabrics["qa"] },
		"nothing where something": func(c *Config) { c.Fabrics["qa"].Databricks = nil },
		"a number in a patch":     func(c *Config) { c.Deployments[0].Overlay.Patch[0].Merge["n"] = json.Number("2") },
		"the kind of a value":     func(c *Config) { c.Deployments[0].Overlay.Patch[0].Merge["n"] = "1" },
		"a value instead of nil":  func(c *Config) { c.Deployments[0].Overlay.Patch[0].Merge["gone"] = "1" },
	} {
		c := made()
		change(c)
		if Alike(made(), c) || Alike(c, made()) {
			t.Errorf("%s makes no difference", name)
		}
	}
}
