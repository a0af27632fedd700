package databricks

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"selvage/configs"
	"selvage/fabric"
	"selvage/fabric/databricks/emulator"
)

const ourLine = "Managed by Selvage (deployment shop@test, installation test-installation). Change it in git, not here."

func managedBinding(by string) fabric.Binding {
	b := binding()
	b.ManagedBy = by
	return b
}

// described is a job whose committed description is this; with null none.
func described(t *testing.T, description string) string {
	t.Helper()
	return fmt.Sprintf(`{"fabric_id":"17","components":[],"request":{"name":"a","description":%s,"tasks":[{"task_key":"t","existing_cluster_id":"c","notebook_task":{"notebook_path":"/Workspace/n"}}]}}`, description)
}

func TestManagedLine(t *testing.T) {
	quoted := func(s string) string { b, _ := json.Marshal(s); return string(b) } // a string always encodes
	const release = "of __PROJECT_FULL_RELEASE_TAG_PLACEHOLDER__ \"(x)\""
	for _, tt := range []struct {
		name, committed  string
		live, sent, read string // descriptions; empty for none, "-" for no document
		desired          string
		fields           bool
		labels           int
		cause            fabric.Cause
	}{
		{name: "new", committed: `"Cleans."`, live: "Cleans.\n\n" + ourLine, sent: "Cleans.\n\n" + ourLine, read: "Cleans.\n\n" + ourLine, desired: "Cleans.\n\n" + ourLine},
		{name: "alone", committed: `null`, live: ourLine, sent: ourLine, read: ourLine, desired: ourLine},
		{name: "empty", committed: `""`, live: ourLine, sent: ourLine, read: ourLine, desired: ourLine},
		{name: "not there yet", committed: `"Cleans."`, live: "Cleans.", sent: "Cleans.", read: "Cleans.", desired: "Cleans.\n\n" + ourLine, labels: 1},
		{name: "not there yet, and nothing known", committed: `"Cleans."`, live: "Cleans.", sent: "-", read: "-", desired: "Cleans.\n\n" + ourLine, labels: 1},
		{name: "no description yet", committed: `null`, live: "", sent: "", read: "", desired: ourLine, labels: 1},
		{name: "in other words", committed: `"Cleans."`, live: "Cleans.\n\nManaged by Selvage: leave it.", sent: "Cleans.\n\nManaged by Selvage: leave it.", read: "Cleans.\n\nManaged by Selvage: leave it.", desired: "Cleans.\n\n" + ourLine, labels: 1},
		{name: "alone, in other words", committed: `null`, live: "Managed by Selvage: leave it.", sent: "Managed by Selvage: leave it.", read: "Managed by Selvage: leave it.", desired: ourLine, labels: 1},
		{name: "taken out by hand", committed: `"Cleans."`, live: "Cleans.", sent: "Cleans.\n\n" + ourLine, read: "Cleans.\n\n" + ourLine, desired: "Cleans.\n\n" + ourLine, fields: true, cause: fabric.Drift},
		{name: "edited before it", committed: `"Cleans."`, live: "Cleans it.\n\n" + ourLine, sent: "Cleans.\n\n" + ourLine, read: "Cleans.\n\n" + ourLine, desired: "Cleans.\n\n" + ourLine, fields: true, cause: fabric.Drift},
		{name: "another description", committed: `"Cleans all."`, live: "Cleans.\n\n" + ourLine, sent: "Cleans.\n\n" + ourLine, read: "Cleans.\n\n" + ourLine, desired: "Cleans all.\n\n" + ourLine, fields: true, cause: fabric.Commit},
		{name: "a description that goes", committed: `null`, live: "Cleans.\n\n" + ourLine, sent: "Cleans.\n\n" + ourLine, read: "Cleans.\n\n" + ourLine, desired: ourLine, fields: true, cause: fabric.Commit},
		{name: "another release", committed: quoted(release), live: "of Shop/1.1.0 \"(x)\"\n\n" + ourLine, sent: "of Shop/1.1.0 \"(x)\"\n\n" + ourLine, read: "of Shop/1.1.0 \"(x)\"\n\n" + ourLine,
			desired: "of Shop/1.2.0 \"(x)\"\n\n" + ourLine, labels: 1},
		{name: "another release, not there yet", committed: quoted(release), live: `of Shop/1.1.0 "(x)"`, sent: `of Shop/1.1.0 "(x)"`, read: `of Shop/1.1.0 "(x)"`, desired: "of Shop/1.2.0 \"(x)\"\n\n" + ourLine, labels: 1},
		{name: "another text with a release", committed: quoted(release), live: `of Shop/1.1.0 "(y)"`, sent: `of Shop/1.1.0 "(y)"`, read: `of Shop/1.1.0 "(y)"`, desired: "of Shop/1.2.0 \"(x)\"\n\n" + ourLine, fields: true, cause: fabric.Commit},
		{name: "no text", committed: `7`, live: "Cleans.", sent: "-", read: "-", fields: true, cause: fabric.Commit},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d, _ := render(t, releaseOf(t, map[string]string{"jobs/a": described(t, tt.committed)}), managedBinding(configs.ManagedByDescription))
			res, presence := d.Lookup("jobs/a")
			if presence != fabric.Present {
				t.Fatal(presence)
			}
			if got, _ := res.Doc.At("description").(string); got != tt.desired {
				t.Errorf("description %q, expected %q", got, tt.desired)
			}
			as := func(description string) fabric.Doc {
				if description == "-" {
					return fabric.Doc{}
				}
				m := res.Doc.Object()
				if delete(m, "description"); description != "" {
					m["description"] = description
				}
				return fabric.NewDoc(m)
			}
			fields, labels := fabric.Compare(fabric.Comparison{Rules: jobRules, Desired: res.Doc, Live: as(tt.live), Sent: as(tt.sent), Read: as(tt.read), Labels: res.Labels})
			if len(fields) > 0 != tt.fields || labels != tt.labels || tt.fields && (fields[0].Path != "description" || fields[0].Cause != tt.cause) {
				t.Errorf("%d labels, fields %+v", labels, fields)
			}
		})
	}
}

// A description that is as long as may be keeps its text, and the line is left out.
func TestManagedLineHasNoRoom(t *testing.T) {
	for _, tt := range []struct {
		name  string
		free  int
		fits  bool
		token string
	}{{"fits", len(ourLine) + 2, true, ""}, {"too long by one", len(ourLine) + 1, false, ""}, {"too long once it is filled", len(ourLine) + 2 + 11, false, "__PROJECT_ID_PLACEHOLDER__"}} {
		t.Run(tt.name, func(t *testing.T) {
			b := managedBinding(configs.ManagedByDescription)
			b.ProjectID = "123456789012"
			text := tt.token + strings.Repeat("é", mostDescription-tt.free)
			d, findings := render(t, releaseOf(t, map[string]string{"jobs/a": described(t, `"`+text+`"`)}), b)
			res, presence := d.Lookup("jobs/a")
			got, _ := res.Doc.At("description").(string)
			if presence != fabric.Present || strings.HasSuffix(got, ourLine) != tt.fits || !strings.HasPrefix(got, strings.ReplaceAll(text, tt.token, map[bool]string{true: b.ProjectID}[tt.token != ""])) {
				t.Errorf("%s, %d bytes of description", presence, len(got))
			}
			told := len(findings) == 1 && findings[0].Code == configs.ManagedLeftOut && strings.HasSuffix(findings[0].Subject, "request.description")
			if told == tt.fits {
				t.Errorf("findings %v", findings)
			}
		})
	}
}

func TestManagedLock(t *testing.T) {
	first, _ := render(t, releaseOf(t, map[string]string{"jobs/a": described(t, `"Cleans."`), "jobs/b": described(t, `null`)}), managedBinding(configs.ManagedByLock))
	a, _ := first.Lookup("jobs/a")
	b, _ := first.Lookup("jobs/b")
	if len(a.Blobs) != 1 || len(b.Blobs) != 1 || a.Blobs[0].Path != b.Blobs[0].Path {
		t.Fatalf("files %+v, %+v", a.Blobs, b.Blobs)
	}
	checkFiles(t, binding(), a)
	if a.Doc.At("edit_mode") != "UI_LOCKED" || a.Doc.At("deployment", "kind") != "BUNDLE" || a.Doc.At("deployment", "metadata_file_path") != a.Blobs[0].Path || a.Doc.At("description") != "Cleans." {
		t.Errorf("%s", a.Doc.Canonical())
	}
	var metadata struct {
		Version int
		Config  struct{ Bundle struct{ Name, Target string } }
	}
	if err := json.Unmarshal(a.Blobs[0].Content, &metadata); err != nil || metadata.Version != 1 || metadata.Config.Bundle.Name != "shop@test" || metadata.Config.Bundle.Target != "test" {
		t.Errorf("%s: %v", a.Blobs[0].Content, err)
	}
	next := managedBinding(configs.ManagedByLock)
	next.Tag, next.Version = "Shop/2.0.0", "2.0.0"
	second, _ := render(t, releaseOf(t, map[string]string{"jobs/a": described(t, `"Cleans."`)}), next)
	if again, _ := second.Lookup("jobs/a"); again.Doc.Digest() != a.Doc.Digest() {
		t.Error("another release changes the job")
	}
}

// A definition that no longer says whom its job runs as gives it back to the principal that logs in, since a reset
// without it would leave the old one.
func TestRunAsGoesBack(t *testing.T) {
	for me, field := range map[string]string{"deployer@selvage.example": "user_name", "0a1b2c3d-0000-4000-8000-00000000abcd": "service_principal_name"} {
		t.Run(field, func(t *testing.T) {
			r := overTCP(t, emulator.Options{User: me}, Options{})
			c := creation(t, "jobs/daily", "daily")
			without := c.Desired
			m := without.Object()
			m["run_as"] = map[string]any{"user_name": "old@shop.example"}
			c.Desired = fabric.NewDoc(m)
			o := r.w.Do(t.Context(), step(c), r.journal)
			if o.Err != nil {
				t.Fatal(o.Err)
			}
			obj := r.object(t, o.Results[0].ID)
			differ := func() []fabric.Field {
				fields, _ := fabric.Compare(fabric.Comparison{Rules: jobRules, Desired: without, Live: obj.Doc, Sent: c.Desired, Read: obj.Doc})
				return fields
			}
			c.Action, c.ID, c.Mark, c.Fields = fabric.Update, obj.ID, obj.Mark, differ()
			if len(c.Fields) != 1 || c.Fields[0].Path != "run_as.user_name" || c.Fields[0].Cause != fabric.Commit {
				t.Fatalf("fields %+v", c.Fields)
			}
			c.Live, c.Desired = obj.Doc, without
			if o := r.w.Do(t.Context(), step(c), r.journal); o.Err != nil {
				t.Fatal(o.Err)
			}
			obj = r.object(t, c.ID)
			if got := obj.Doc.At("run_as", field); got != me {
				t.Errorf("it runs as %v", obj.Doc.At("run_as"))
			}
			if fields := differ(); len(fields) > 0 {
				t.Errorf("still different: %+v", fields)
			}

			// What nobody asked for stays: another change does not touch it.
			n := jobID(t, c.ID)
			if err := r.e.EditJob(n, func(m map[string]any) { m["run_as"] = map[string]any{"user_name": "hand@shop.example"} }); err != nil {
				t.Fatal(err)
			}
			c.Live = r.object(t, c.ID).Doc
			c.Fields = []fabric.Field{{Path: "name"}}
			if o := r.w.Do(t.Context(), step(c), r.journal); o.Err != nil {
				t.Fatal(o.Err)
			}
			if got := r.object(t, c.ID).Doc.At("run_as", "user_name"); got != "hand@shop.example" {
				t.Errorf("it runs as %v", got)
			}
		})
	}
}
