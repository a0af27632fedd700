package reconciler

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"selvage/configs"
)

func TestGates(t *testing.T) {
	t.Parallel()
	moved := configs.Found(configs.TagMoved, "Hello/1.0.0", "")
	good := Facts{Deployment: dep, Mode: configs.Apply, Ever: true, Descends: true}
	with := func(change func(*Facts)) Facts { f := good; change(&f); return f }
	until := noon.Add(time.Hour)
	tests := []struct {
		name  string
		facts Facts
		want  string
		open  bool
	}{
		{"all is well", good, "", true},
		{"observe", with(func(f *Facts) { f.Mode = configs.Observe }), "wait mode mode_observe", false},
		{"observe, though approved", with(func(f *Facts) { f.Mode, f.Approved = configs.Observe, true }), "wait mode mode_observe", false},
		{"no mode at all", with(func(f *Facts) { f.Mode = "" }), "wait mode mode_observe", false},
		{"first apply", with(func(f *Facts) { f.Ever = false }), "wait first apply first_apply", false},
		{"first apply, approved", with(func(f *Facts) { f.Ever, f.Approved = false, true }), "pass first apply approved", true},
		{"tag moved", with(func(f *Facts) { f.Moved = &moved }), "block tag tag_moved", false},
		{"tag moved, approved", with(func(f *Facts) { f.Moved, f.Approved = &moved, true }), "pass tag approved", true},
		{"not a descendant", with(func(f *Facts) { f.Descends = false }), "wait descent not_descendant", false},
		{"suspended", with(func(f *Facts) { f.Suspension = &Suspension{Target: dep, By: "oncall"} }), "wait suspend suspended", false},
		{"suspended, though approved", with(func(f *Facts) { f.Suspension, f.Approved = &Suspension{Target: dep, Until: until}, true }), "wait suspend suspended", false},
		{"suspended until now", with(func(f *Facts) { f.Suspension = &Suspension{Target: dep, Until: noon} }), "", true},
		{"a part of the overlay changes nothing", with(func(f *Facts) { f.Idle = []configs.Finding{configs.Found(configs.OverlayNoHit, dep, "")} }), "block overlay overlay_no_hit", false},
		{"a part of the overlay changes nothing, though approved", with(func(f *Facts) {
			f.Idle, f.Approved = []configs.Finding{configs.Found(configs.OverlayNoHit, dep, "")}, true
		}), "block overlay overlay_no_hit", false},
		{"nothing is known", Facts{}, "wait mode mode_observe; wait first apply first_apply; wait descent not_descendant", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			vs := Gates(Plan{}, tt.facts, noon)
			if diff := cmp.Diff(tt.want, verdictLine(vs)); diff != "" {
				t.Error(diff)
			}
			if open(vs) != tt.open {
				t.Errorf("open = %v", open(vs))
			}
		})
	}
}

func TestAllowed(t *testing.T) {
	for _, tt := range []struct{ max, percent, owned, want int }{
		{5, 20, 0, 1}, {5, 20, 4, 1}, {5, 20, 9, 1}, {5, 20, 10, 2}, {5, 20, 100, 5}, {0, 100, 100, 0}, {100, 0, 100, 1}, {100, 100, 7, 7},
	} {
		if got := Allowed(configs.Prune{Max: tt.max, Percent: tt.percent}, tt.owned); got != tt.want {
			t.Errorf("Allowed(max %d, %d%%, owned %d) = %d, want %d", tt.max, tt.percent, tt.owned, got, tt.want)
		}
	}
}
