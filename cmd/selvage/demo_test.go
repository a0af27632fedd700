package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"selvage/configs"
	"selvage/fabric"
	"selvage/reconciler"
	"selvage/reconciler/ledger"
)

// playDemo plays the demo in this process, with its children as processes of their own, in a temporary
// folder that must be empty again at the end.
func playDemo(t *testing.T, mode configs.Mode) (string, error) {
	t.Helper()
	dir, err := os.MkdirTemp("", "demo") // t.TempDir is too deep for a socket in it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	t.Setenv("TMPDIR", dir)
	var out bytes.Buffer
	err = newApp(nil, &out, &out).demo(t.Context(), mode, true)
	if left, err := filepath.Glob(filepath.Join(dir, "*")); err != nil || len(left) > 0 {
		t.Errorf("the demo left %v, %v", left, err)
	}
	return out.String(), err
}

func TestDemo(t *testing.T) {
	out, err := playDemo(t, configs.Apply)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	at := 0
	for _, line := range []string{
		"$ selvage run --credentials credentials",
		"\n1. ", "$ git push origin main", "hello@development  plan ", ": 3 creates; waits for first apply", "$ selvage apply hello@development --plan ",
		"create job \"month_end\" (jobs/month_end): done", "hello@development  verified: main ",
		"\n2. ", "HelloSelvage/1.0.0 is ", "hello@production   plan ", ": 3 creates; waits for first apply",
		"\n3. ", "$ selvage apply hello@production --plan ", "hello@production   verified: HelloSelvage/1.0.0",
		"\n4. ", ": 1 update, 1 deferred", "delete job ", "verified: ",
		"\n5. ", "$ curl ", "max_concurrent_runs", "3 -> 1", "drift", "schedule.quartz_cron_expression", "0 0 9 * * ? -> 0 0 5 * * ?", "hello@production   verified: HelloSelvage/1.1.0",
		"\n6. ", "alarm: the tag points at another object than when it was first seen: HelloSelvage/1.1.0 was ",
		"$ selvage status", "hello@development  main ", "hello@production   HelloSelvage/1.1.0  verified",
		"$ selvage log verify", "intact: ", "stopped",
	} {
		i := strings.Index(out[at:], line)
		if i < 0 {
			t.Fatalf("there is no %q after\n%s\nin\n%s", line, out[:at], out)
		}
		at += i + len(line)
	}
}

// With applying disabled nothing converges, and the demo must say so.
func TestDemoOfObservers(t *testing.T) {
	out, err := playDemo(t, configs.Observe)
	if err == nil {
		t.Fatalf("no error\n%s", out)
	}
	for _, part := range []string{"chapter 1", "selvage apply hello@development --plan ", "only observes"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("the error does not say %q: %v", part, err)
		}
	}
	if strings.Contains(out, "s  outcome") {
		t.Errorf("something was written\n%s", out)
	}
}

func TestDemoWithoutGit(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	if _, err := playDemo(t, configs.Apply); err == nil || !strings.Contains(err.Error(), "needs git") {
		t.Errorf("%v", err)
	}
}

// TestTellerRefuses holds the demo to its word: what a chapter does not announce is an error, and so is what it
// announces and does not come.
func TestTellerRefuses(t *testing.T) {
	intent := func(op fabric.Op, key fabric.Key, text string) reconciler.Event {
		ev := reconciler.Event{Entry: ledger.Entry{Seq: 9, Kind: ledger.KindIntent, Deployment: production, Intent: "n1", Text: text}, Op: op}
		if key != "" {
			ev.Keys = []fabric.Key{key}
		}
		return ev
	}
	update := intent(fabric.OpUpdate, "jobs/daily_revenue", "reset job 8812 (jobs/daily_revenue)")
	upload := intent(fabric.OpUpload, "", "upload clean_orders-1.0-py3-none-any.whl (8387 bytes) to /Workspace/a/clean_orders-1.0-py3-none-any.whl")
	other := update
	other.Deployment = development
	for _, tc := range []struct {
		name   string
		events []reconciler.Event
		want   string // part of the error; empty for none
	}{
		{"what was announced", []reconciler.Event{upload, update}, ""},
		{"another job", []reconciler.Event{intent(fabric.OpUpdate, "jobs/month_end", "reset")}, "must not happen here: update jobs/month_end on hello@production (ledger entry #9)"},
		{"another act", []reconciler.Event{intent(fabric.OpDelete, "jobs/daily_revenue", "delete")}, "must not happen here: delete jobs/daily_revenue"},
		{"another place", []reconciler.Event{other}, "must not happen here"},
		{"another wheel", []reconciler.Event{intent(fabric.OpUpload, "", "upload x to /a/ingest_orders-1.0-py3-none-any.whl")}, "must not happen here: upload ingest_orders"},
		{"twice", []reconciler.Event{update, update}, "must not happen here"},
		{"a request that failed", []reconciler.Event{update, {Entry: ledger.Entry{Kind: ledger.KindOutcome, Intent: "n1", Text: "refused"}}}, "not carried out: refused"},
		{"a phase that failed", []reconciler.Event{{Entry: ledger.Entry{Kind: "phase", Text: "failed: x"}, Phase: reconciler.Failing}}, "failed: x"},
		{"an alarm", []reconciler.Event{{Entry: ledger.Entry{Kind: "tag", Code: string(configs.TagMoved), Text: "moved"}}}, "not about: moved"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var out bytes.Buffer
			tl := &teller{out: &out, intents: map[string]reconciler.Event{}, shown: map[string]string{}}
			tl.chapter("A title", "A sentence.", write{production, fabric.OpUpdate, "jobs/daily_revenue"}, write{production, fabric.OpUpload, "clean_orders"})
			var err error
			for _, ev := range tc.events {
				if err == nil {
					err = tl.check(ev)
				}
			}
			switch {
			case tc.want == "" && (err != nil || tl.missing() != ""):
				t.Errorf("%v, missing %q", err, tl.missing())
			case tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)):
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}
