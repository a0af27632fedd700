package main

import (
	"bytes"
	"strings"
	"testing"

	"selvage/configs"
)

// example is the check of the example that we ship, and of a project.
func example(t *testing.T) check {
	t.Helper()
	c, err := configs.Load("../../configs/selvage.example.yaml", configs.Options{Credentials: "../../configs/testdata/credentials"})
	if err != nil {
		t.Fatal(err)
	}
	return check{Valid: true, Config: "selvage.yaml", Deployments: deploymentsOf(c), Projects: []projectCheck{{Path: ".", Name: "Hello", Jobs: 1, Pipelines: 1, Wheels: 1}}}
}

func asJSON(t *testing.T, c check) string {
	t.Helper()
	for i := range c.Deployments {
		// It is tested where it is made, and changes with every word of the example.
		if len(c.Deployments[i].Digest) != 64 {
			t.Errorf("digest %q", c.Deployments[i].Digest)
		}
		c.Deployments[i].Digest = strings.Repeat("0", 64)
	}
	var b bytes.Buffer
	if err := (&app{out: &b}).printJSON(c); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestOverlaid(t *testing.T) {
	for want, o := range map[string]configs.Overlay{
		"-":                    {Schedule: "keep"},
		"schedule paused":      {Schedule: "paused"},
		"libraries maven":      {Libraries: configs.Libraries{Maven: "https://m"}},
		"libraries pypi":       {Libraries: configs.Libraries{PyPI: "https://p"}},
		"notifications nobody": {Notifications: map[string][]string{}},
		"run_as lead":          {RunAs: configs.RunAs{User: "lead"}},
		"config_instance prod, tags 2, parameters 1, libraries pypi maven, patch 1": {ConfigInstance: "prod", Tags: map[string]string{"a": "", "b": ""},
			Parameters: map[string]string{"a": ""}, Libraries: configs.Libraries{PyPI: "p", Maven: "m"}, Patch: make([]configs.Patch, 1)},
	} {
		if got := overlaid(o); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	if got := follows(configs.Follow{Tag: "v*", Order: configs.Tagged}) + "; " + follows(configs.Follow{Branch: "main"}); got != "tags v* by date; branch main" {
		t.Error(got)
	}
}
