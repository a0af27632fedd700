package reconciler

import (
	"strings"
	"testing"

	"selvage/configs"
	"selvage/fabric/databricks/emulator"
)

// TestCommittedForElsewhere: of a job that the deployment does not select the answer says which fabric it is for,
// and who deploys it there.
func TestCommittedForElsewhere(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, fabrics, deployments, want string }{
		{"nowhere", "", "", ", which no fabric of this configuration carries"},
		{"a fabric without this project", `
  qa: {databricks: {host: "%[2]s", token: "${env:TOKEN}"}, prophecy_ids: [1174]}`, "", ", which is fabric qa, where this project has no deployment"},
		{"a fabric with it", `
  qa: {databricks: {host: "%[2]s", token: "${env:TOKEN}"}, prophecy_ids: [1174]}`, `
  - {project: hello, fabric: qa, follow: {tag: "HelloSelvage/*"}}`, ", which is fabric qa, where this project has the deployment hello@qa"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newSite(t, emulator.Options{})
			s.yaml = strings.Replace(s.yaml, "prophecy_ids: [4004]", "prophecy_ids: [4004]"+tt.fabrics, 1)
			s.yaml = strings.Replace(s.yaml, `    jobs: ["jobs/*"]
`, "", 1) + strings.TrimPrefix(tt.deployments, "\n")
			s.commit("HelloSelvage/1.0.0")
			s.open()
			d, err := s.Plan(t.Context(), "hello@production", "")
			if err != nil {
				t.Fatal(err)
			}
			n := 0
			for _, f := range d.Findings {
				if f.Code == configs.JobUnselected {
					n++
					if !strings.HasSuffix(f.Text, "it is committed for fabric 1174"+tt.want) {
						t.Errorf("%s: %s", f.Subject, f.Text)
					}
				}
			}
			if n != 3 {
				t.Errorf("%d jobs are not selected", n)
			}
			s.shut()
		})
	}
}
