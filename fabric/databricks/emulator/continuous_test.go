package emulator

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
)

// clock is a time that a test moves.
type clock struct{ now time.Time }

func (c *clock) Now() time.Time { return c.now }

func TestContinuous(t *testing.T) {
	for _, takes := range []time.Duration{0, time.Minute} {
		for _, cancels := range []bool{false, true} {
			t.Run(fmt.Sprintf("cancelling takes %s, pausing cancels %v", takes, cancels), func(t *testing.T) {
				c := &clock{time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)}
				w, url := serve(t, Options{Now: c.Now, EndTime: takes, Unverified: Unverified{PauseCancels: cancels}})
				id := create(t, w, url, `{"name":"old","continuous":{}}`)
				active := func() (ids []int64) {
					t.Helper()
					for _, r := range w.JobRuns(id) {
						if r.Active {
							ids = append(ids, r.ID)
						}
					}
					return ids
				}
				c.now = c.now.Add(1000 * time.Hour)
				first := active()
				if len(first) != 1 {
					t.Fatalf("after a thousand hours %d runs are active", len(first))
				}
				if status, _, text := request(t, w, "POST", url+"/api/2.2/jobs/reset", fmt.Sprintf(`{"job_id":%d,"new_settings":{"name":"new","continuous":{}}}`, id)); status != 200 {
					t.Fatal(text)
				}
				if got := active(); len(got) != 1 || got[0] != first[0] {
					t.Errorf("a reset leaves the runs %v, was %v", got, first)
				}
				if status, _, text := request(t, w, "POST", url+"/api/2.2/jobs/runs/cancel", fmt.Sprintf(`{"run_id":%d}`, first[0])); status != 200 {
					t.Fatal(text)
				}
				c.now = c.now.Add(takes)
				runs := w.JobRuns(id)
				if len(runs) != 2 || !runs[0].Active || runs[1].Active || !strings.Contains(string(runs[0].Settings), "new") || !strings.Contains(string(runs[1].Settings), "old") {
					t.Errorf("after the cancel: %+v", runs)
				}
				if err := w.PatchJob(id, []byte(`{"continuous":{"pause_status":"PAUSED"}}`)); err != nil {
					t.Fatal(err)
				}
				c.now = c.now.Add(time.Hour)
				if got := active(); len(got) > 0 == cancels {
					t.Errorf("paused: the runs %v are active", got)
				}
				for _, run := range active() {
					request(t, w, "POST", url+"/api/2.2/jobs/runs/cancel", fmt.Sprintf(`{"run_id":%d}`, run))
				}
				c.now = c.now.Add(time.Hour)
				if got := active(); len(got) != 0 {
					t.Errorf("paused and cancelled: the runs %v are active", got)
				}
				if err := w.PatchJob(id, []byte(`{"continuous":{"pause_status":"UNPAUSED"}}`)); err != nil {
					t.Fatal(err)
				}
				if got := active(); len(got) != 1 {
					t.Errorf("unpaused: the runs %v are active", got)
				}
			})
		}
	}
}

func TestActiveRunsInPages(t *testing.T) {
	c := &clock{time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)}
	w, url := serve(t, Options{Now: c.Now, RunTime: time.Hour, EndTime: time.Minute})
	id, other := create(t, w, url, `{"name":"a"}`), create(t, w, url, `{"name":"b"}`)
	for i := range 7 {
		if err := w.RunJob([]int64{id, other}[i%2]); err != nil {
			t.Fatal(err)
		}
	}
	page := func(query string) (ids []string, next string) {
		t.Helper()
		status, _, text := request(t, w, "GET", fmt.Sprintf("%s/api/2.2/jobs/runs/list?active_only=true&limit=3&job_id=%d%s", url, id, query), "")
		var p struct {
			Runs []struct {
				ID json.Number `json:"run_id"`
			} `json:"runs"`
			Next string `json:"next_page_token"`
		}
		if err := json.Unmarshal([]byte(text), &p); err != nil || status != 200 {
			t.Fatal(status, text, err)
		}
		for _, r := range p.Runs {
			ids = append(ids, r.ID.String())
		}
		return ids, p.Next
	}
	first, next := page("")
	second, end := page("&page_token=" + next)
	if len(first) != 3 || len(second) != 1 || end != "" {
		t.Errorf("pages of %v and %v, then %q", first, second, end)
	}
	request(t, w, "POST", url+"/api/2.2/jobs/runs/cancel", fmt.Sprintf(`{"run_id":%s}`, second[0]))
	if ids, _ := page("&page_token=" + next); len(ids) != 1 {
		t.Error("a run that is being cancelled is not active any more")
	}
	c.now = c.now.Add(time.Minute)
	if ids, _ := page("&page_token=" + next); len(ids) != 0 {
		t.Errorf("a run that was cancelled is active: %v", ids)
	}
}

func TestRunNowIsSkipped(t *testing.T) {
	for _, tt := range []struct {
		settings string
		skipped  bool
	}{{`{"queue":{"enabled":false}}`, true}, {`{"queue":{"enabled":true}}`, false}, {`{"queue":{"enabled":false},"max_concurrent_runs":2}`, false}} {
		w, url := serve(t, Options{RunTime: time.Hour})
		id := create(t, w, url, tt.settings)
		var answers []string
		for i := range 3 { // the second and the third are one
			_, _, text := request(t, w, "POST", url+"/api/2.2/jobs/run-now", fmt.Sprintf(`{"job_id":%d,"idempotency_token":"%d"}`, id, (i+1)/2))
			var a struct {
				ID json.Number `json:"run_id"`
			}
			if err := json.Unmarshal([]byte(text), &a); err != nil {
				t.Fatal(err)
			}
			answers = append(answers, a.ID.String())
		}
		runs := w.JobRuns(id)
		if len(runs) != 2 || runs[0].Skipped != tt.skipped || runs[0].Active == tt.skipped || answers[1] != answers[2] || answers[0] == answers[1] {
			t.Errorf("%s: %v, %+v", tt.settings, answers, runs)
		}
	}
}
