package reconciler

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"selvage/configs"
	"selvage/fabric"
	"selvage/fabric/databricks/emulator"
	"selvage/reconciler/ledger"
)

const (
	resets = "POST /api/2.2/jobs/reset"
	// revenue and monthEnd are files of the sample project.
	revenue  = "jobs/daily_revenue/code/databricks-job.json"
	monthEnd = "jobs/month_end/code/databricks-job.json"
)

// applied is a site in a bubble whose first release is live.
func appliedSite(t *testing.T, o emulator.Options) *site {
	t.Helper()
	s := newBubbleSite(t, o)
	s.commit("HelloSelvage/1.0.0")
	s.open()
	s.round()
	s.verified(s.approve(""))
	s.workspace.ResetJournal()
	return s
}

// patch edits a live job by hand.
func (s *site) patch(name, patch string) {
	s.t.Helper()
	if err := s.workspace.PatchJob(s.idOf(name), []byte(patch)); err != nil {
		s.t.Fatal(err)
	}
}

// setting is a field of a live job, as JSON.
func (s *site) setting(name string, keys ...string) string {
	s.t.Helper()
	for _, j := range s.workspace.Jobs() {
		if j.Name == name {
			var v any
			if err := json.Unmarshal(j.Settings, &v); err != nil {
				s.t.Fatal(err)
			}
			for _, k := range keys {
				m, _ := v.(map[string]any)
				v = m[k]
			}
			b, err := json.Marshal(v)
			if err != nil {
				s.t.Fatal(err)
			}
			return string(b)
		}
	}
	s.t.Fatalf("no job %s", name)
	return ""
}

// again starts another process over the same files; anew without the derived database.
func (s *site) again(anew bool) {
	s.t.Helper()
	s.shut()
	if anew {
		for _, suffix := range []string{"", "-wal", "-shm"} {
			os.Remove(filepath.Join(s.dir, "state", "selvage.db"+suffix))
		}
	}
	s.open()
}

// A pause by hand stands over polls, drift, a release and restarts of the daemon, until a person says resume or git changes
// that field.
func TestPauseStands(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := appliedSite(t, emulator.Options{})
		pause := func() string { return s.setting("daily_revenue", "schedule", "pause_status") }
		want := func(when, pauses string, n int, code configs.Code) {
			t.Helper()
			time.Sleep(2 * time.Second)
			d := s.round()
			if pause() != pauses || s.workspace.Count(resets) != n || d.Phase != Sound || d.Plan.Digest != "" {
				t.Fatalf("%s: %s after %d resets, phase %s: %v", when, pause(), s.workspace.Count(resets), d.Phase, lines(d.Plan))
			}
			for _, c := range d.Plan.Changes {
				if c.Key == "jobs/daily_revenue" && c.Reason.Code != code {
					t.Fatalf("%s: %s", when, c.Reason.Text)
				}
			}
		}
		s.patch("daily_revenue", `{"schedule":{"pause_status":"PAUSED"}}`)
		want("paused", `"PAUSED"`, 0, configs.PausedByHand)
		if e := s.entries(kindPaused); len(e) != 1 || !strings.Contains(e[0].Text, "jobs/daily_revenue schedule.pause_status") {
			t.Errorf("entries: %v", e)
		}
		head, _ := s.log.Head()
		for range 20 {
			time.Sleep(10 * time.Minute)
			s.round()
		}
		if now, _ := s.log.Head(); now != head {
			t.Errorf("a pause that stands writes %d entries", now-head)
		}
		st, err := s.Status(t.Context(), deployment)
		if err != nil || st[0].Drift != 1 || st[0].State != string(Sound) {
			t.Errorf("status: %+v, %v", st[0], err)
		}
		s.patch("daily_revenue", `{"timeout_seconds":77}`)
		want("other drift", `"PAUSED"`, 1, configs.PausedByHand)
		s.again(false)
		want("another process", `"PAUSED"`, 1, configs.PausedByHand)
		s.replace(revenue, `"max_retries" : 0`, `"max_retries" : 1`)
		s.commit("HelloSelvage/1.1.0")
		want("a release", `"PAUSED"`, 2, configs.PausedByHand)
		s.again(true)
		want("another database", `"PAUSED"`, 2, configs.PausedByHand)
		if err := s.ResumeJob(t.Context(), deployment, "month_end", "lead"); err == nil || !strings.Contains(err.Error(), "paused by hand: jobs/daily_revenue") {
			t.Errorf("resume of another job: %v", err)
		}
		if err := s.ResumeJob(t.Context(), deployment, "daily_revenue", "lead"); err != nil {
			t.Fatal(err)
		}
		want("resumed", `"UNPAUSED"`, 3, configs.UpToDate)
		if err := s.ResumeJob(t.Context(), deployment, "jobs/daily_revenue", "lead"); err == nil || !strings.Contains(err.Error(), "is not paused by hand, nor is any other") {
			t.Errorf("resumed twice: %v", err)
		}

		s.patch("daily_revenue", `{"schedule":{"pause_status":"PAUSED"}}`)
		want("paused again", `"PAUSED"`, 3, configs.PausedByHand)
		s.patch("daily_revenue", `{"schedule":{"pause_status":"UNPAUSED"}}`)
		want("unpaused in the workspace", `"UNPAUSED"`, 3, configs.UpToDate)
		s.patch("daily_revenue", `{"schedule":{"pause_status":"PAUSED"}}`)
		want("and paused", `"PAUSED"`, 3, configs.PausedByHand)
		s.yaml = strings.Replace(s.yaml, "schedule: enabled", "schedule: paused", 1)
		s.again(false)
		time.Sleep(2 * time.Second)
		s.round() // the other jobs are paused too
		n := s.workspace.Count(resets)
		want("the configuration pauses it", `"PAUSED"`, n, configs.UpToDate)
		s.yaml = strings.Replace(s.yaml, "schedule: paused", "schedule: enabled", 1)
		s.again(true)
		time.Sleep(2 * time.Second)
		s.round()
		want("and unpauses it", `"UNPAUSED"`, s.workspace.Count(resets), configs.UpToDate)
		s.shut()
		s.sound()
	})
}

// Somebody pauses a job after a write whose answer, and the daemon, were lost, before anybody looked: the pause stands, over
// the next release too, and is no field that does not stay.
func TestPauseBeforeTheLook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := appliedSite(t, emulator.Options{})
		s.workspace.Fault(emulator.Fault{Pattern: resets, Reset: true, After: true, Hook: func() {
			s.log.Close()
			s.patch("daily_revenue", `{"schedule":{"pause_status":"PAUSED"}}`)
		}})
		s.replace(revenue, `"max_retries" : 0`, `"max_retries" : 1`)
		s.commit("HelloSelvage/1.1.0")
		time.Sleep(time.Minute)
		s.try()
		s.Reconciler.Close()
		s.place.Close()
		s.log.Close()
		time.Sleep(time.Hour)
		s.open()
		for n, release := range []string{"HelloSelvage/1.1.0", "HelloSelvage/1.2.0"} {
			d := s.round()
			s.verified(d)
			if d.Revision.Name != release || s.workspace.Count(resets) != n+1 || s.setting("daily_revenue", "schedule", "pause_status") != `"PAUSED"` {
				t.Errorf("%s after %d resets: %s", d.Revision.Name, s.workspace.Count(resets), s.setting("daily_revenue", "schedule"))
			}
			i := slices.IndexFunc(d.Plan.Changes, func(c fabric.Change) bool { return c.Key == "jobs/daily_revenue" })
			if c := d.Plan.Changes[i]; c.Reason.Code != configs.PausedByHand {
				t.Errorf("%s: %s", release, c.Reason.Text)
			}
			if n == 0 {
				s.replace(revenue, `"max_retries" : 1`, `"max_retries" : 2`)
				s.commit("HelloSelvage/1.2.0")
				time.Sleep(time.Minute)
			}
		}
		s.shut()
		s.sound()
	})
}

// Somebody else sets a field every minute. It is put right twice, then there is an alarm with the likely cause, and no request more,
// while the rest goes on being put right. It ends when the other one stops and a person applies.
func TestOtherWriterIsLeftAlone(t *testing.T) {
	for _, tt := range []struct{ name, patch, field, cause string }{
		{"a field", `{"max_concurrent_runs":%d}`, "max_concurrent_runs", "nothing says who"},
		{"the old tool's artifact", `{"tasks":[{"task_key":"clean_orders","libraries":[{"whl":"dbfs:/FileStore/prophecy/artifacts/saas/app/%d/clean_orders-1.0-py3-none-any.whl"}]}]}`, "libraries[whl clean_orders]", "the authoring tool"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := appliedSite(t, emulator.Options{})
				var d Decision
				heals := 0
				for i := range 90 {
					s.patch("daily_revenue", fmt.Sprintf(tt.patch, i+2))
					time.Sleep(time.Minute)
					d = s.round()
					if i == 45 {
						heals = s.workspace.Count(resets)
						s.patch("month_end", `{"timeout_seconds":77}`)
					}
				}
				want := 2
				if tt.cause != "nothing says who" {
					want = 0 // at once
				}
				if heals != want || s.workspace.Count(resets) != want+1 {
					t.Errorf("%d resets of the one, %d in all", heals, s.workspace.Count(resets))
				}
				s.finds(d, configs.OtherWriter)
				var says string
				for _, f := range d.Findings {
					if f.Code == configs.OtherWriter {
						says = f.Subject + ": " + f.Text
					}
				}
				if !strings.Contains(says, tt.field) || !strings.Contains(says, tt.cause) || !strings.HasPrefix(says, "jobs/daily_revenue") {
					t.Errorf("says %q", says)
				}
				st, err := s.Status(t.Context(), deployment)
				if err != nil || len(st[0].Alarms) != 1 {
					t.Errorf("status: %+v, %v", st[0].Alarms, err)
				}
				if n := len(s.entries(kindContest)); n != 1 {
					t.Errorf("%d entries say it", n)
				}
				s.again(true)
				time.Sleep(5 * time.Hour) // the other one has stopped, and nobody else has done anything
				d = s.round()
				s.finds(d, configs.OtherWriter)
				n := s.workspace.Count(resets)
				s.verified(s.approve(""))
				if now := s.workspace.Count(resets); now != n+1 {
					t.Errorf("a person applied with %d resets", now-n)
				}
				s.shut()
				s.sound()
			})
		})
	}
}

// A field never stays as it is written, or is another one at each look. Over a thousand rounds, with the daemon started anew, the look
// after the write lost, or the answer to the write with it, and other drift put right between: one reset is spent on it, and
// one sentence.
func TestUnstableOverAThousandRounds(t *testing.T) {
	noAnswer := emulator.Fault{Pattern: resets, Reset: true, After: true}
	noLook := emulator.Fault{Pattern: "GET /api/2.2/jobs/get", Status: 500, Offset: 1, Times: 8, After: true} // the first is before the write
	for _, tt := range []struct {
		name   string
		always bool // from the beginning: creating the job left it different
		value  func(look int) int
		faults []emulator.Fault // of the round that first sees it
		killed bool             // by the reset, and not started again for hours
		most   int              // resets that are spent on it
	}{
		{name: "never stays", value: func(int) int { return 9 }, most: 1},
		{name: "never stays from the beginning", always: true, value: func(int) int { return 9 }, most: 0},
		{name: "another one at each look", value: func(look int) int { return 2 + look%900 }, most: 1},
		{name: "another one at each look, from the beginning", always: true, value: func(look int) int { return 2 + look%900 }, most: 0},
		{name: "the look after the write fails", value: func(look int) int { return 2 + look%900 }, most: 1,
			faults: []emulator.Fault{noLook}},
		{name: "the answer to the write is lost", value: func(int) int { return 9 }, most: 1, faults: []emulator.Fault{noAnswer}},
		{name: "the answer and the looks after it are lost", value: func(int) int { return 9 }, most: 1, faults: []emulator.Fault{noAnswer, noLook}},
		{name: "killed by the write", value: func(int) int { return 9 }, most: 1, faults: []emulator.Fault{noAnswer}, killed: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newBubbleSite(t, emulator.Options{})
				var mu sync.Mutex
				looks, on := 0, tt.always
				meddle := func() {
					mu.Lock()
					defer mu.Unlock()
					for _, j := range s.workspace.Jobs() {
						if on && j.Name == "daily_revenue" {
							looks++
							if err := s.workspace.PatchJob(j.ID, fmt.Appendf(nil, `{"max_concurrent_runs":%d}`, tt.value(looks))); err != nil {
								t.Error(err)
							}
						}
					}
				}
				s.workspace.Fault(emulator.Fault{Pattern: "GET /api/2.2/jobs/*", Times: -1, Hook: meddle})
				s.commit("HelloSelvage/1.0.0")
				s.open()
				s.round()
				s.approve("")
				s.workspace.ResetJournal()
				on = true
				others := 0
				const tenth = 100 / stride
				for i := range 10 * tenth {
					time.Sleep(5 * time.Minute)
					if i == 3 && tt.faults != nil {
						s.workspace.ClearFaults()
						for _, f := range tt.faults {
							f.Hook = meddle
							if tt.killed {
								f.Hook = func() { s.log.Close() }
							}
							s.workspace.Fault(f)
						}
						s.workspace.Fault(emulator.Fault{Pattern: "GET /api/2.2/jobs/*", Times: -1, Hook: meddle})
					}
					if i == 3*tenth || i == 6*tenth {
						s.again(i == 6*tenth)
					}
					if i == 9*tenth/2 || i == 15*tenth/2 {
						s.patch("daily_revenue", `{"timeout_seconds":77}`)
						others++
					}
					on = tt.faults == nil || i >= 3
					s.try()
					if i == 3 && tt.killed {
						s.Reconciler.Close()
						s.place.Close()
						s.log.Close()
						time.Sleep(5 * time.Hour)
						s.open()
					}
				}
				if n := s.workspace.Count(resets); n != tt.most+others {
					t.Errorf("%d resets, %d of them for other drift", n, others)
				}
				if s.setting("daily_revenue", "timeout_seconds") != "0" {
					t.Error("other drift of the job was not put right")
				}
				told := 0
				for _, e := range s.entries(kindRead) {
					if e.Code == string(configs.Unstable) {
						told++
					}
				}
				if told != 1 {
					t.Errorf("it was told %d times", told)
				}
				st, err := s.Status(t.Context(), deployment)
				if err != nil || st[0].Phase != Wavering {
					t.Errorf("%s: %s", st[0].Phase, st[0].Result.Text)
				}
				// A release that changes the field itself is written.
				s.replace(revenue, `"max_concurrent_runs" : 1`, `"max_concurrent_runs" : 3`)
				s.commit("HelloSelvage/1.1.0")
				time.Sleep(time.Hour)
				n := s.workspace.Count(resets)
				for range 20 {
					time.Sleep(time.Hour)
					s.try()
				}
				if now := s.workspace.Count(resets); now != n+1 {
					t.Errorf("another value in git: %d resets", now-n)
				}
				s.shut()
				s.sound()
			})
		})
	}
}

// Somebody edits a job between the round's look and its write: the edit is in the plan before anything is written over it, and
// nothing is backed off from.
func TestEditBetweenLookAndWrite(t *testing.T) {
	for _, edits := range []int{1, 2, 10} {
		t.Run(fmt.Sprint(edits), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := appliedSite(t, emulator.Options{})
				s.replace(revenue, `"max_retries" : 0`, `"max_retries" : 1`)
				s.replace(monthEnd, `"max_retries" : 0`, `"max_retries" : 1`)
				s.commit("HelloSelvage/1.1.0")
				n, id := 0, s.idOf("daily_revenue")
				s.workspace.Fault(emulator.Fault{Pattern: fmt.Sprintf("GET /api/2.2/jobs/get?job_id=%d", id), Times: -1, Hook: func() {
					if n < edits {
						n++
						if err := s.workspace.PatchJob(id, fmt.Appendf(nil, `{"tags":{"hand%d":"x"}}`, n)); err != nil {
							t.Error(err)
						}
					}
				}})
				var d Decision
				for range 8 {
					time.Sleep(2 * time.Second)
					d = s.round()
					if d.Result.Code == configs.BackingOff || d.Phase == Failing {
						t.Fatalf("it is backed off from: %s", d.Result.Text)
					}
				}
				s.verified(d)
				if n != edits {
					t.Fatalf("%d edits", n)
				}
				// Each edit stands in a plan.
				var plans strings.Builder
				for _, e := range s.entries(kindPlan) {
					plans.Write(e.Data)
				}
				for i := range edits {
					if !strings.Contains(plans.String(), fmt.Sprintf(`"tags.hand%d"`, i+1)) {
						t.Errorf("no plan tells of edit %d", i+1)
					}
				}
				if len(s.log.OpenIntents()) > 0 || s.workspace.Count(resets) != 2 {
					t.Errorf("%d resets, open: %v", s.workspace.Count(resets), s.log.OpenIntents())
				}
				s.shut()
				s.sound()
			})
		})
	}
}

// stream makes the daily job a continuous one in git, and has the deployment restart it.
func (s *site) stream() {
	s.yaml = strings.Replace(s.yaml, "    overlay: {", "    restart: on_change\n    overlay: {", 1)
	b, err := os.ReadFile(filepath.Join(s.work, revenue))
	if err != nil {
		s.t.Fatal(err)
	}
	text := string(b)
	i := strings.Index(text, `"schedule" : {`)
	j := i + strings.Index(text[i:], "}")
	if i < 0 || j < i {
		s.t.Fatal("the job has no schedule")
	}
	text = text[:i] + `"continuous" : {` + text[j:]
	if err := os.WriteFile(filepath.Join(s.work, revenue), []byte(text), 0o644); err != nil {
		s.t.Fatal(err)
	}
}

// retries says which definitions the active runs of the daily job have.
func (s *site) retries() string {
	var all []string
	for _, r := range s.workspace.JobRuns(s.idOf("daily_revenue")) {
		if r.Active {
			n := "0"
			if strings.Contains(string(r.Settings), `"max_retries":2`) {
				n = "1"
			}
			all = append(all, n)
		}
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

// A release of a continuous job is picked up by its run; one of another job is not. That stands in the ledger.
func TestReleaseRestartsAStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newBubbleSite(t, emulator.Options{})
		s.stream()
		s.commit("HelloSelvage/1.0.0")
		s.open()
		s.round()
		s.verified(s.approve(""))
		s.workspace.ResetJournal()
		s.replace(monthEnd, `"max_retries" : 0`, `"max_retries" : 1`)
		s.commit("HelloSelvage/1.1.0")
		time.Sleep(time.Minute)
		s.verified(s.round())
		if n := s.workspace.Count("POST *cancel") + s.workspace.Count("POST /api/2.2/jobs/runs/cancel"); n != 0 || s.retries() != "0" {
			t.Errorf("a release of another job cancels %d runs: %s", n, s.retries())
		}
		s.replace(revenue, `"max_retries" : 0`, `"max_retries" : 2`)
		s.commit("HelloSelvage/1.2.0")
		time.Sleep(time.Minute)
		d := s.round()
		s.verified(d)
		if s.retries() != "1" || s.workspace.Count("POST /api/2.2/jobs/runs/cancel") != 1 {
			t.Errorf("active: %s, after %d cancels", s.retries(), s.workspace.Count("POST /api/2.2/jobs/runs/cancel"))
		}
		var said []string
		for _, e := range s.entries(kindIntent) {
			var i intentMade
			if err := json.Unmarshal(e.Data, &i); err != nil {
				t.Fatal(err)
			}
			if i.Op == fabric.OpRestart {
				said = append(said, e.Text)
			}
		}
		if len(said) != 1 || !strings.Contains(said[0], "(jobs/daily_revenue): cancel run ") {
			t.Errorf("the ledger says %q", said)
		}
		// Another tag of the same commit, and drift that is put right in another job: no run ends.
		s.commit("HelloSelvage/1.3.0")
		s.patch("month_end", `{"timeout_seconds":77}`)
		time.Sleep(time.Minute)
		s.verified(s.round())
		if n := s.workspace.Count("POST /api/2.2/jobs/runs/cancel"); n != 1 {
			t.Errorf("%d cancels", n)
		}
		s.shut()
		s.sound()
	})
}

// Whichever request of such a release fails in whichever way, or if the daemon is killed during it, the run is restarted in the
// end, once.
func TestFaultsOfARestart(t *testing.T) {
	for _, f := range faults {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			for k, more := 0, true; more; k++ {
				synctest.Test(t, func(t *testing.T) {
					s := newBubbleSite(t, emulator.Options{})
					s.stream()
					s.commit("HelloSelvage/1.0.0")
					s.open()
					s.round()
					s.verified(s.approve(""))
					s.replace(revenue, `"max_retries" : 0`, `"max_retries" : 2`)
					s.commit("HelloSelvage/1.1.0")
					time.Sleep(time.Minute)
					s.strike(f.fault, k, f.kill)
					s.try()
					more = k < s.workspace.Count("POST *")
					s.recover(k, f.kill)
					if runs := s.workspace.JobRuns(s.idOf("daily_revenue")); s.retries() != "1" || len(runs) != 2 {
						t.Errorf("request %d: active %s of %d runs", k, s.retries(), len(runs))
					}
					s.shut()
					s.sound()
				})
			}
		})
	}
}

// What the ledger says is all that these states follow from.
func TestDriftStatesAreFolded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := appliedSite(t, emulator.Options{})
		s.patch("daily_revenue", `{"schedule":{"pause_status":"PAUSED"}}`)
		for range 3 {
			s.patch("month_end", `{"max_concurrent_runs":9}`)
			time.Sleep(time.Minute)
			s.round()
		}
		kept := func() string {
			s.mu.Lock()
			defer s.mu.Unlock()
			return string(encode([]any{s.state.pauses, s.state.contests, s.state.applied}))
		}
		before := kept()
		if !strings.Contains(before, "daily_revenue") || !strings.Contains(before, `"healed"`) || !strings.Contains(before, `"agrees"`) && !strings.Contains(before, `"since"`) {
			t.Errorf("kept: %s", before)
		}
		for _, anew := range []bool{false, true} {
			s.again(anew)
			if now := kept(); now != before {
				t.Errorf("anew %v: %s\nwas %s", anew, now, before)
			}
		}
		if _, err := ledger.Verify(filepath.Join(s.dir, "state", "ledger")); err != nil {
			t.Error(err)
		}
		s.shut()
	})
}
