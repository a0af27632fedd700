package reconciler

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"selvage/fabric/databricks/emulator"
)

// Whatever a real workspace does where nobody has observed it yet: a release converges, finding nothing
// changed writes nothing, and an edit by hand is put right with one reset.
func TestUnverifiedBehaviour(t *testing.T) {
	t.Parallel()
	run := func(name string, o emulator.Options) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { shortLife(t, o) })
		})
	}
	for _, p := range []emulator.Profile{emulator.AWS, emulator.Azure, emulator.GCP} {
		run("profile "+string(p), emulator.Options{Profile: p})
	}
	kind := reflect.TypeFor[emulator.Unverified]()
	for i := range kind.NumField() {
		var o emulator.Options
		switch f := reflect.ValueOf(&o.Unverified).Elem().Field(i); {
		case f.Kind() == reflect.Bool:
			f.SetBool(true)
		case f.Type() == reflect.TypeFor[time.Duration]():
			f.SetInt(int64(20 * time.Second))
		case kind.Field(i).Name == "EnvironmentEcho":
			f.SetString("client")
		case kind.Field(i).Name == "BudgetPolicy":
			f.SetString("b0d9e7")
		case kind.Field(i).Name == "ListOmits":
			f.SetString("schedule")
		case kind.Field(i).Name == "MultipartLimit":
			f.SetInt(50 << 20)
		default:
			t.Fatalf("a switch of a kind that this test can't set: %s", kind.Field(i).Name)
		}
		run(kind.Field(i).Name, o)
	}
}

func shortLife(t *testing.T, o emulator.Options) {
	s := newBubbleSite(t, o)
	if o.Unverified.GroupsHidden { // nothing says that we see all, so the operator has to
		s.yaml = strings.Replace(s.yaml, "    prophecy_ids: [4004]", "    visibility: own\n    prophecy_ids: [4004]", 1)
	}
	s.declare("month_end", analystsView+`, { "user_name" : "Lead@shop.example", "permission_level" : "CAN_MANAGE" }, { "group_name" : "admins", "permission_level" : "CAN_MANAGE" }`)
	s.commit("HelloSelvage/1.0.0")
	s.open()
	s.round()
	p, err := s.Plan(t.Context(), deployment, "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Apply(t.Context(), ApplyRequest{Deployment: deployment, Plan: p.Plan.Digest, By: "lead"}); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Minute)
	s.converges()
	s.workspace.ResetJournal()
	for range 3 {
		time.Sleep(time.Minute)
		d := s.round()
		if n := s.workspace.Count("POST *") + s.workspace.Count("PUT *"); n != 0 || d.Plan.Digest != "" {
			t.Fatalf("nothing changed, and %d requests were sent to change it: %v", n, lines(d.Plan))
		}
	}
	if err := s.workspace.EditJob(s.workspace.Jobs()[0].ID, func(m map[string]any) { m["timeout_seconds"] = json.Number("77") }); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Minute)
	s.converges()
	if n := s.workspace.Count("POST /api/2.2/jobs/reset"); n != 1 {
		t.Errorf("one edit was put right by %d resets", n)
	}
	s.shut()
	s.sound()
}
