package reconciler

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"selvage/configs"
	"selvage/fabric"
)

// jobLike are rules of jobs in small: a pause, a tool's folder, and runs that do not end.
var jobLike = &fabric.Rules{
	Keys:     map[string]string{"tasks": "task_key"},
	Stands:   map[string]string{"schedule.pause": `"PAUSED"`},
	Defaults: map[string]fabric.Default{"schedule.pause": fabric.Value(`"UNPAUSED"`)},
	Rival: func(drift []fabric.Field, _ fabric.Doc) (string, bool) {
		for _, f := range drift {
			if strings.Contains(string(f.Old), "old tool") {
				return "the old tool", true
			}
		}
		return "", false
	},
	Endless: func(d fabric.Doc) bool { return d.At("continuous") != nil },
}

func newJobWorld() *world {
	w := newWorld()
	w.Rules = func(fabric.Kind) *fabric.Rules { return jobLike }
	w.Now = noon
	return w
}

// owned is a job of ours as it was wanted, sent and read back, and as it is live.
func (w *world) owned(t *testing.T, want, sent, read, live string) {
	w.want(t, "a", want)
	w.own(t, "a", "1", sent)
	o := w.Owned["a"]
	if o.Read = (fabric.Doc{}); read != "" {
		o.Read = doc(t, read)
	}
	o.Applied.Sent = "digest of sent"
	w.Owned["a"] = o
	w.live(w.object(t, "a", "1", live))
}

func TestPausedByHand(t *testing.T) {
	t.Parallel()
	const (
		plain, on, off = `{"schedule":{"cron":"x"}}`, `{"schedule":{"cron":"x","pause":"UNPAUSED"}}`, `{"schedule":{"cron":"x","pause":"PAUSED"}}`
		next           = `{"schedule":{"cron":"y","pause":"UNPAUSED"}}`
		nextOff        = `{"schedule":{"cron":"y","pause":"PAUSED"}}`
	)
	stands := func(desired string) Pause {
		return Pause{Key: "a", Path: "schedule.pause", Desired: desired, State: PauseStands, Since: noon.Add(-time.Hour)}
	}
	as := func(p Pause, state PauseState) Pause { p.State = state; return p }
	for _, tt := range []struct {
		name                   string
		want, sent, read, live string
		noted                  *Pause
		healOff, force         bool
		line                   string
		found                  []Pause // that the plan notes
		fields, sends          string  // of the change, and its document
	}{
		{name: "nobody paused it", want: on, sent: on, read: on, live: on, line: "keep a up_to_date"},
		{name: "paused", want: on, sent: on, read: on, live: off, line: "keep a drift paused_by_hand",
			found: []Pause{{Key: "a", Path: "schedule.pause", Desired: `"UNPAUSED"`, State: PauseStands, Since: noon}}, sends: off},
		{name: "paused, where git says nothing", want: plain, sent: plain, read: on, live: off, line: "keep a drift paused_by_hand",
			found: []Pause{{Key: "a", Path: "schedule.pause", State: PauseStands, Since: noon}}, sends: off},
		{name: "paused, with heal off", want: on, sent: on, read: on, live: off, healOff: true, line: "keep a drift paused_by_hand",
			found: []Pause{{Key: "a", Path: "schedule.pause", Desired: `"UNPAUSED"`, State: PauseStands, Since: noon}}, sends: off},
		{name: "paused, and a person applies", want: on, sent: on, read: on, live: off, force: true, noted: ptr(stands(`"UNPAUSED"`)), line: "keep a drift paused_by_hand", sends: off},
		{name: "paused for a while", want: on, sent: on, read: on, live: off, noted: ptr(stands(`"UNPAUSED"`)), line: "keep a drift paused_by_hand", sends: off},
		{name: "unpaused by hand is drift", want: off, sent: off, read: off, live: on, line: "update a drift drifted", fields: "schedule.pause drift", sends: off},
		{name: "a release while it is paused", want: next, sent: on, read: on, live: off, noted: ptr(stands(`"UNPAUSED"`)), line: "update a commit changed", fields: "schedule.cron commit", sends: nextOff},
		{name: "a release at the moment when it is paused", want: next, sent: on, read: on, live: off, line: "update a commit changed", fields: "schedule.cron commit", sends: nextOff,
			found: []Pause{{Key: "a", Path: "schedule.pause", Desired: `"UNPAUSED"`, State: PauseStands, Since: noon}}},
		{name: "after it was written with the pause", want: next, sent: nextOff, read: nextOff, live: nextOff, noted: ptr(stands(`"UNPAUSED"`)), line: "keep a drift paused_by_hand", sends: nextOff},
		{name: "after it was written with the pause, and what was read back is lost", want: next, sent: nextOff, live: nextOff, noted: ptr(stands(`"UNPAUSED"`)), line: "keep a drift paused_by_hand", sends: nextOff},
		{name: "after it was written with the pause, other drift", want: next, sent: nextOff, read: nextOff, live: `{"schedule":{"cron":"z","pause":"PAUSED"}}`, noted: ptr(stands(`"UNPAUSED"`)),
			line: "update a drift drifted", fields: "schedule.cron drift", sends: nextOff},
		{name: "git says the default in so many words", want: on, sent: plain, read: on, live: off, noted: ptr(stands("")), line: "keep a drift paused_by_hand", sends: off},
		{name: "git pauses it too", want: off, sent: on, read: on, live: off, noted: ptr(stands(`"UNPAUSED"`)), line: "keep a up_to_date",
			found: []Pause{{Key: "a", Path: "schedule.pause", Desired: `"PAUSED"`, State: PauseOver, Since: noon}}, sends: off},
		{name: "git paused it too, and unpauses it", want: on, sent: on, read: on, live: off, noted: ptr(as(stands(`"PAUSED"`), PauseOver)), line: "update a commit changed", fields: "schedule.pause commit", sends: on},
		{name: "git changed the field: it waits at a gate", want: on, sent: nextOff, read: nextOff, live: nextOff, noted: ptr(as(stands(`"PAUSED"`), PauseOver)), line: "update a commit changed",
			fields: "schedule.cron commit, schedule.pause commit", sends: on},
		{name: "git paused it when it was paused by hand, and unpauses it in one release", want: on, sent: off, read: off, live: off, noted: ptr(stands(`"PAUSED"`)), line: "update a commit changed", fields: "schedule.pause commit", sends: on,
			found: []Pause{{Key: "a", Path: "schedule.pause", Desired: `"PAUSED"`, State: PauseOver, Since: noon}}},
		{name: "git takes the schedule away", want: `{}`, sent: on, read: on, live: off, noted: ptr(stands(`"UNPAUSED"`)), line: "update a commit changed", fields: "schedule.cron commit, schedule.pause commit", sends: `{}`,
			found: []Pause{{Key: "a", Path: "schedule.pause", Desired: `"UNPAUSED"`, State: PauseOver, Since: noon}}},
		{name: "somebody unpauses it", want: on, sent: on, read: on, live: on, noted: ptr(stands(`"UNPAUSED"`)), line: "keep a up_to_date",
			found: []Pause{{Key: "a", Path: "schedule.pause", Desired: `"UNPAUSED"`, State: PauseOver, Since: noon}}, sends: on},
		{name: "somebody unpauses it after it was written with the pause", want: on, sent: off, read: off, live: on, noted: ptr(stands(`"UNPAUSED"`)), line: "keep a up_to_date",
			found: []Pause{{Key: "a", Path: "schedule.pause", Desired: `"UNPAUSED"`, State: PauseOver, Since: noon}}, sends: on},
		{name: "and pauses it again", want: on, sent: off, read: off, live: off, noted: ptr(as(stands(`"UNPAUSED"`), PauseOver)), line: "keep a drift paused_by_hand",
			found: []Pause{{Key: "a", Path: "schedule.pause", Desired: `"UNPAUSED"`, State: PauseStands, Since: noon}}, sends: off},
		{name: "nothing new of one that is over", want: on, sent: off, read: off, live: on, noted: ptr(as(stands(`"UNPAUSED"`), PauseOver)), line: "keep a up_to_date", sends: on},
		{name: "a person lifts it", want: on, sent: on, read: on, live: off, noted: ptr(as(stands(`"UNPAUSED"`), PauseLifted)), line: "update a drift drifted", fields: "schedule.pause drift", sends: on},
		{name: "a person lifts it, with heal off", want: on, sent: off, read: off, live: off, healOff: true, noted: ptr(as(stands(`"UNPAUSED"`), PauseLifted)), line: "update a drift drifted", fields: "schedule.pause drift", sends: on},
		{name: "a person lifts it, with heal off and other drift", want: on, sent: on, read: on, live: nextOff, healOff: true, noted: ptr(as(stands(`"UNPAUSED"`), PauseLifted)), line: "update a drift blocked heal_off",
			fields: "schedule.cron drift, schedule.pause drift", sends: on},
		{name: "a person lifts what somebody unpaused", want: on, sent: on, read: on, live: on, noted: ptr(as(stands(`"UNPAUSED"`), PauseLifted)), line: "keep a up_to_date",
			found: []Pause{{Key: "a", Path: "schedule.pause", Desired: `"UNPAUSED"`, State: PauseOver, Since: noon}}, sends: on},
		{name: "another value by hand is drift", want: on, sent: on, read: on, live: `{"schedule":{"cron":"x","pause":"?"}}`, line: "update a drift drifted", fields: "schedule.pause drift", sends: on},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newJobWorld()
			w.owned(t, tt.want, tt.sent, tt.read, tt.live)
			w.Heal, w.Force = !tt.healOff, tt.force
			if tt.noted != nil {
				w.Pauses = map[fabric.Key]map[string]Pause{"a": {tt.noted.Path: *tt.noted}}
			}
			p := NewPlan(w.PlanInput)
			if diff := cmp.Diff([]string{tt.line}, lines(p)); diff != "" {
				t.Errorf("plan (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.found, p.Pauses); diff != "" {
				t.Errorf("pauses (-want +got):\n%s", diff)
			}
			c := p.Changes[0]
			var fields []string
			for _, f := range c.Fields {
				fields = append(fields, fmt.Sprint(f.Path, " ", f.Cause))
			}
			if got := strings.Join(fields, ", "); got != tt.fields {
				t.Errorf("fields: %s, want %s", got, tt.fields)
			}
			if tt.sends != "" && c.Desired.Digest() != doc(t, tt.sends).Digest() {
				t.Errorf("sends %s, want %s", c.Desired.Canonical(), tt.sends)
			}
			if c.Reason.Code == configs.PausedByHand && (len(c.Stands) != 1 || c.Reason.Next != "selvage resume DEPLOYMENT a" || p.Digest != "" || p.Counts.Drifted != 1) {
				t.Errorf("stands %v, next %q, digest %q, %d drifted", c.Stands, c.Reason.Next, p.Digest, p.Counts.Drifted)
			}
			// Once noted, there is nothing more to note.
			if w.Pauses == nil {
				w.Pauses = map[fabric.Key]map[string]Pause{}
			}
			s := newState(&table{})
			s.pauses[dep] = w.Pauses
			s.pausesNoted(dep, pausesSeen{p.Pauses})
			w.Pauses = s.pauses[dep]
			again := NewPlan(w.PlanInput)
			if len(again.Pauses) != 0 || cmp.Diff(lines(again), lines(p)) != "" || again.Digest != p.Digest {
				t.Errorf("the next plan: %v, notes %v", lines(again), again.Pauses)
			}
		})
	}
}

// A job that somebody paused and then deleted is made anew paused, and one that moves stays paused.
func TestPauseOfAnotherJob(t *testing.T) {
	const on, off = `{"schedule":{"cron":"x","pause":"UNPAUSED"}}`, `{"schedule":{"cron":"x","pause":"PAUSED"}}`
	stands := Pause{Key: "a", Path: "schedule.pause", Desired: `"UNPAUSED"`, State: PauseStands, Since: noon}
	w := newJobWorld()
	w.owned(t, on, on, on, off)
	w.Pauses = map[fabric.Key]map[string]Pause{"a": {"schedule.pause": stands}}
	w.Live = fabric.NewLive(noon, true, "", nil, []string{"1"})
	p := NewPlan(w.PlanInput)
	if diff := cmp.Diff([]string{"create a drift drifted"}, lines(p)); diff != "" || string(p.Changes[0].Desired.Canonical()) != off {
		t.Errorf("made anew as %s: %s", p.Changes[0].Desired.Canonical(), diff)
	}

	w = newJobWorld()
	w.owned(t, on, on, on, off)
	w.Desired = fabric.NewDesired()
	w.want(t, "b", on)
	w.Moved = map[fabric.Key]fabric.Key{"a": "b"}
	w.Pauses = map[fabric.Key]map[string]Pause{"a": {"schedule.pause": stands}}
	p = NewPlan(w.PlanInput)
	if diff := cmp.Diff([]string{"move a>b commit moved"}, lines(p)); diff != "" || string(p.Changes[0].Desired.Canonical()) != off || len(p.Pauses) != 0 {
		t.Errorf("moved as %s, notes %v: %s", p.Changes[0].Desired.Canonical(), p.Pauses, diff)
	}
	s := newState(&table{})
	s.pausesNoted(dep, pausesSeen{[]Pause{stands}})
	s.pausesWritten(dep, "a", "b")
	if diff := cmp.Diff(map[fabric.Key]map[string]Pause{"b": {"schedule.pause": {Key: "b", Path: "schedule.pause", Desired: `"UNPAUSED"`, State: PauseStands, Since: noon}}}, s.pauses[dep]); diff != "" {
		t.Error(diff)
	}
}

func TestOtherWriter(t *testing.T) {
	t.Parallel()
	to := valueDigest(fabric.Field{New: json.RawMessage("1")})
	once := func(d time.Duration) map[string]Healed { return map[string]Healed{"x": {At: noon.Add(-d), To: to}} }
	ago := func(d time.Duration) map[string]Healed { // twice
		return map[string]Healed{"x": {At: noon.Add(-d), To: to, Before: noon.Add(-d - time.Minute)}}
	}
	contest := func(since, agrees time.Duration) *Contest {
		c := Contest{Key: "a", Path: "x", To: to, Since: noon.Add(-since)}
		if agrees > 0 {
			c.Agrees = noon.Add(-agrees)
		}
		return &c
	}
	begins := []Contest{{Key: "a", Path: "x", To: to, Since: noon}}
	for _, tt := range []struct {
		name             string
		want, sent, live string
		healed           map[string]Healed
		noted            *Contest
		force            bool
		line, says       string
		found            []Contest
	}{
		{name: "the first time", want: `{"x":1}`, sent: `{"x":1}`, live: `{"x":2}`, line: "update a drift drifted"},
		{name: "the second time", want: `{"x":1}`, sent: `{"x":1}`, live: `{"x":2}`, healed: once(time.Minute), line: "update a drift drifted"},
		{name: "again within an hour", want: `{"x":1}`, sent: `{"x":1}`, live: `{"x":2}`, healed: ago(59 * time.Minute), line: "update a drift blocked other_writer", found: begins,
			says: "x 2 where git says 1; likely: nothing says who"},
		{name: "again after an hour", want: `{"x":1}`, sent: `{"x":1}`, live: `{"x":2}`, healed: ago(time.Hour), line: "update a drift drifted"},
		{name: "another field", want: `{"x":1,"y":1}`, sent: `{"x":1,"y":1}`, live: `{"x":1,"y":2}`, healed: ago(time.Minute), line: "update a drift drifted"},
		{name: "git wants another value", want: `{"x":3}`, sent: `{"x":1}`, live: `{"x":2}`, healed: ago(time.Minute), line: "update a commit changed"},
		{name: "git changes another field", want: `{"x":1,"y":2}`, sent: `{"x":1,"y":1}`, live: `{"x":2,"y":1}`, healed: ago(time.Minute), line: "update a commit changed"},
		{name: "a person applies", want: `{"x":1}`, sent: `{"x":1}`, live: `{"x":2}`, healed: ago(time.Minute), noted: contest(time.Minute, 0), force: true, line: "update a drift drifted"},
		{name: "it goes on for long", want: `{"x":1}`, sent: `{"x":1}`, live: `{"x":3}`, healed: ago(30 * time.Hour), noted: contest(29*time.Hour, 0), line: "update a drift blocked other_writer"},
		{name: "git wants another value after it went on for long", want: `{"x":3}`, sent: `{"x":3}`, live: `{"x":2}`, noted: contest(29*time.Hour, 0), line: "update a drift drifted"},
		{name: "it is as git wants it again", want: `{"x":1}`, sent: `{"x":1}`, live: `{"x":1}`, noted: contest(time.Hour, 0), line: "keep a up_to_date", found: []Contest{*contest(time.Hour, 0)}},
		{name: "it was as git wants it for some time", want: `{"x":1}`, sent: `{"x":1}`, live: `{"x":2}`, noted: contest(5*time.Hour, 59*time.Minute), line: "update a drift blocked other_writer", found: begins},
		{name: "it was as git wants it for an hour", want: `{"x":1}`, sent: `{"x":1}`, live: `{"x":2}`, noted: contest(5*time.Hour, time.Hour), line: "update a drift drifted"},
		{name: "the old tool's folder, at once", want: `{"x":1}`, sent: `{"x":1}`, live: `{"x":"old tool"}`, line: "update a drift blocked other_writer", found: begins, says: "likely: the old tool"},
		{name: "the old tool's folder before we wrote", want: `{"x":1}`, sent: `{}`, live: `{"x":"old tool"}`, line: "update a commit changed"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newJobWorld()
			w.owned(t, tt.want, tt.sent, tt.sent, tt.live)
			w.Force = tt.force
			o := w.Owned["a"]
			o.Healed = tt.healed
			w.Owned["a"] = o
			if tt.noted != nil {
				w.Contests = map[fabric.Key]map[string]Contest{"a": {"x": *tt.noted}}
			}
			if len(tt.found) == 1 && tt.found[0].Since != noon {
				tt.found[0].Agrees = noon
			}
			p := NewPlan(w.PlanInput)
			if diff := cmp.Diff([]string{tt.line}, lines(p)); diff != "" {
				t.Errorf("plan (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.found, p.Contests); diff != "" {
				t.Errorf("contests (-want +got):\n%s", diff)
			}
			if !strings.Contains(p.Changes[0].Reason.Text, tt.says) {
				t.Errorf("says %q, want %q", p.Changes[0].Reason.Text, tt.says)
			}
			s := newState(&table{})
			if tt.noted != nil {
				s.contestsNoted(dep, contestsSeen{[]Contest{*tt.noted}})
			}
			s.contestsNoted(dep, contestsSeen{p.Contests})
			w.Contests = s.contests[dep]
			if again := NewPlan(w.PlanInput); len(again.Contests) != 0 || cmp.Diff(lines(again), lines(p)) != "" {
				t.Errorf("the next plan: %v, notes %v", lines(again), again.Contests)
			}
		})
	}
}

// What was put right is remembered in bounds, for an hour, and a contest ends where we write the field all the same.
func TestHealedIsBounded(t *testing.T) {
	s := newState(&table{})
	s.contestsNoted(dep, contestsSeen{[]Contest{{Key: "a", Path: "p00"}, {Key: "a", Path: "other"}}})
	c := fabric.Change{Key: "a"}
	for i := range 3 * mostHealed {
		c.Fields = append(c.Fields, fabric.Field{Path: fmt.Sprintf("p%02d", i), Cause: fabric.Drift}, fabric.Field{Path: fmt.Sprint("commit", i), Cause: fabric.Commit})
	}
	drift := driftOf(c)
	if len(drift) != mostHealed || drift["commit0"] != "" {
		t.Errorf("%d fields: %v", len(drift), drift)
	}
	a := s.healed(dep, "a", Applied{}, drift, noon)
	a = s.healed(dep, "a", a, map[string]string{"late": "1"}, noon.Add(30*time.Minute))
	if len(a.Healed) != mostHealed || a.Healed["late"].To != "1" {
		t.Errorf("%d are remembered: %v", len(a.Healed), a.Healed)
	}
	if _, on := s.contests[dep]["a"]["p00"]; on || len(s.contests[dep]["a"]) != 1 {
		t.Errorf("contests: %v", s.contests[dep])
	}
	if a.Healed["late"].twice("1", noon.Add(31*time.Minute)) {
		t.Error("once is twice")
	}
	for _, tt := range []struct {
		again time.Duration // after the first time
		to    string
		twice bool
	}{{time.Minute, "1", true}, {59 * time.Minute, "1", true}, {time.Hour, "1", false}, {time.Minute, "2", false}} {
		at := noon.Add(30*time.Minute + tt.again)
		if h := s.healed(dep, "a", a, map[string]string{"late": tt.to}, at).Healed["late"]; h.twice(tt.to, at) != tt.twice || h.twice(tt.to, at.Add(time.Hour)) {
			t.Errorf("again after %s to %s: %+v", tt.again, tt.to, h)
		}
	}
	if a = s.healed(dep, "a", a, nil, noon.Add(2*time.Hour)); a.Healed != nil {
		t.Errorf("after an hour: %v", a.Healed)
	}
}

func TestUnstableFields(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, want, sent, live string
		unstable               []string
		of                     string // digest of the document that they are of
		line                   string
	}{
		{"a field that never sticks", `{"x":1}`, `{"x":1}`, `{"x":2}`, []string{"x"}, "digest of sent", "keep a up_to_date"},
		{"a field below it", `{"x":{"y":1}}`, `{"x":{"y":1}}`, `{"x":{"y":2}}`, []string{"x"}, "digest of sent", "keep a up_to_date"},
		{"a field of another document", `{"x":1}`, `{"x":1}`, `{"x":2}`, []string{"x"}, "older", "update a drift drifted"},
		{"another field", `{"x":1,"y":1}`, `{"x":1,"y":1}`, `{"x":2,"y":2}`, []string{"x"}, "digest of sent", "update a drift drifted"},
		{"a longer name", `{"xy":1}`, `{"xy":1}`, `{"xy":2}`, []string{"x"}, "digest of sent", "update a drift drifted"},
		{"git changes it", `{"x":3}`, `{"x":1}`, `{"x":2}`, []string{"x"}, "digest of sent", "update a commit changed"},
		{"all of it", `{"x":1,"y":1}`, `{"x":1,"y":1}`, `{"x":2,"y":2}`, []string{""}, "digest of sent", "keep a up_to_date"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newJobWorld()
			w.owned(t, tt.want, tt.sent, "", tt.live)
			o := w.Owned["a"]
			o.Unstable = &Unstable{Sent: tt.of, Paths: tt.unstable}
			w.Owned["a"] = o
			p := NewPlan(w.PlanInput)
			if diff := cmp.Diff([]string{tt.line}, lines(p)); diff != "" {
				t.Errorf("plan (-want +got):\n%s", diff)
			}
			for _, f := range p.Changes[0].Fields {
				if tt.of == "digest of sent" && f.Cause == fabric.Drift && f.Path == "x" {
					t.Error("the unstable field is among those that differ")
				}
			}
		})
	}
	var u *Unstable
	u = u.and("d", []string{"b", "a", "b"})
	u = u.and("d", []string{"c"})
	if diff := cmp.Diff(&Unstable{Sent: "d", Paths: []string{"a", "b", "c"}}, u); diff != "" {
		t.Error(diff)
	}
	if u.and("e", nil) != nil || u.and("e", []string{"x"}).Paths[0] != "x" {
		t.Error("another document keeps what was unstable in the one before")
	}
	var many []string
	for i := range mostUnstable + 1 {
		many = append(many, fmt.Sprint(i))
	}
	if diff := cmp.Diff([]string{""}, u.and("d", many).Paths); diff != "" {
		t.Error(diff)
	}
}

func TestRestartIsPlanned(t *testing.T) {
	t.Parallel()
	const stream, other = `{"continuous":{},"x":1}`, `{"continuous":{},"x":2}`
	all, some := configs.Restart{Continuous: true}, configs.Restart{Jobs: []string{"a*"}}
	due := &DueRestart{Token: "t", Before: noon}
	for _, tt := range []struct {
		name, want, sent, live string
		restart                configs.Restart
		due                    *DueRestart
		line                   string
		restarts               bool
	}{
		{"an update of a stream", other, stream, stream, all, nil, "update a commit changed", true},
		{"an update of a stream, without a word of it", other, stream, stream, configs.Restart{}, nil, "update a commit changed", false},
		{"an update of another job", `{"x":2}`, `{"x":1}`, `{"x":1}`, all, nil, "update a commit changed", false},
		{"an update of a job that is named", `{"x":2}`, `{"x":1}`, `{"x":1}`, some, nil, "update a commit changed", true},
		{"an update of a job that is not named", other, stream, stream, configs.Restart{Jobs: []string{"b"}}, nil, "update a commit changed", false},
		{"a job that becomes a stream", `{"continuous":{"retry":"NEVER"},"x":1}`, `{"x":1}`, `{"x":1}`, all, nil, "update a commit changed", false},
		{"what was updated", stream, stream, stream, all, due, "restart a restarted", false},
		{"what was updated, no longer to be restarted", stream, stream, stream, configs.Restart{}, due, "keep a up_to_date", false},
		{"an update comes first", other, stream, stream, all, due, "update a commit changed", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newJobWorld()
			w.owned(t, tt.want, tt.sent, tt.sent, tt.live)
			w.Restart = tt.restart
			o := w.Owned["a"]
			o.Restart = tt.due
			w.Owned["a"] = o
			p := NewPlan(w.PlanInput)
			if diff := cmp.Diff([]string{tt.line}, lines(p)); diff != "" || p.Changes[0].Restarts != tt.restarts {
				t.Errorf("restarts %v; plan (-want +got):\n%s", p.Changes[0].Restarts, diff)
			}
			if c := p.Changes[0]; c.Action == fabric.Restart && (len(p.Free()) != 1 || c.Restart.Token != "t" || p.Counts.String() != "1 restart") {
				t.Errorf("%+v, counts %s", c.Restart, p.Counts)
			}
		})
	}
}

func ptr[T any](v T) *T { return &v }
