package emulator

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/databricks/databricks-sdk-go/client"
	"github.com/databricks/databricks-sdk-go/config"
	"github.com/google/go-cmp/cmp"
)

func TestFaults(t *testing.T) {
	for _, tt := range []struct {
		name   string
		fault  Fault
		status int    // 0: no answer
		body   string // part of the body, or of the client's error
		made   int    // jobs after the call
	}{
		{"before", Fault{Status: 503}, 503, "TEMPORARILY_UNAVAILABLE", 0},
		{"after", Fault{Status: 503, After: true}, 503, "TEMPORARILY_UNAVAILABLE", 1},
		{"own body", Fault{Status: 500, Body: "<html>"}, 500, "<html>", 0},
		{"close before", Fault{Close: true}, 0, "EOF", 0},
		{"close after", Fault{Close: true, After: true}, 0, "EOF", 1},
		{"reset before", Fault{Reset: true}, 0, "connection reset", 0},
		{"reset after", Fault{Reset: true, After: true}, 0, "connection reset", 1},
		{"cut", Fault{Cut: 5}, 200, "unexpected EOF", 1},
		{"delay only", Fault{Delay: time.Millisecond}, 200, "job_id", 1},
		{"offset", Fault{Status: 503, Offset: 1}, 200, "job_id", 1},
		{"other path", Fault{Status: 503, Pattern: "* /api/2.2/jobs/reset"}, 200, "job_id", 1},
		{"other method", Fault{Status: 503, Pattern: "GET /api/2.2/jobs/create"}, 200, "job_id", 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w, url := serve(t, Options{})
			w.Fault(tt.fault)
			status, _, body := request(t, w, "POST", url+"/api/2.2/jobs/create", `{}`)
			if status != tt.status || !strings.Contains(body, tt.body) || len(w.Jobs()) != tt.made {
				t.Errorf("%d %q and %d jobs, want %d %q and %d", status, body, len(w.Jobs()), tt.status, tt.body, tt.made)
			}
			clean(t, w)
		})
	}
}

func TestFaultTimes(t *testing.T) {
	w, url := serve(t, Options{})
	hooked := 0
	w.Fault(Fault{Pattern: "GET /api/2.2/jobs/*", Offset: 1, Times: 2, Status: 429, Header: map[string]string{"Retry-After": "7"},
		Hook: func() { hooked += len(w.Jobs()) + 1 }})
	var got []int
	for range 5 {
		status, _, _ := request(t, w, "GET", url+"/api/2.2/jobs/list", "")
		got = append(got, status)
	}
	if diff := cmp.Diff([]int{200, 429, 429, 200, 200}, got); diff != "" || hooked != 2 {
		t.Errorf("hooks %d, statuses (-want +got):\n%s", hooked, diff)
	}
	w.Fault(Fault{Times: -1, Status: 500})
	for range 3 {
		if status, _, _ := request(t, w, "GET", url+"/api/2.2/jobs/list", ""); status != 500 {
			t.Errorf("for ever: %d", status)
		}
	}
	w.ClearFaults()
	if status, _, _ := request(t, w, "GET", url+"/api/2.2/jobs/list?limit=3", ""); status != 200 {
		t.Errorf("cleared: %d", status)
	}
	last := w.Requests()[8]
	if last.Method != "GET" || last.Path != "/api/2.2/jobs/list" || last.Query != "limit=3" || last.Status != 200 || last.Fault || last.At.IsZero() {
		t.Errorf("journal = %+v", last)
	}
	if w.Count("*") != 9 || w.Count("GET /api/2.2/jobs/list") != 9 || w.Count("POST *") != 0 || !w.Requests()[1].Fault {
		t.Errorf("counts %d %d", w.Count("*"), w.Count("POST *"))
	}
	if w.ResetJournal(); w.Count("*") != 0 {
		t.Error("the journal was not reset")
	}
}

func TestRateLimit(t *testing.T) {
	now := time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)
	w, url := serve(t, Options{Limits: map[string]Limit{"jobs/list": {PerSecond: 1, Burst: 2}}, Now: func() time.Time { return now },
		Unverified: Unverified{RetryAfter: true}})
	var got []int
	for range 3 {
		status, _, _ := request(t, w, "GET", url+"/api/2.2/jobs/list", "")
		got = append(got, status)
	}
	now = now.Add(time.Second)
	status, _, _ := request(t, w, "GET", url+"/api/2.2/jobs/list", "")
	if diff := cmp.Diff([]int{200, 200, 429, 200}, append(got, status)); diff != "" {
		t.Errorf("statuses (-want +got):\n%s", diff)
	}
	res, err := http.DefaultClient.Do(mustRequest(t, w, url+"/api/2.2/jobs/list"))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != 429 || res.Header.Get("Retry-After") != "1" {
		t.Errorf("%d with Retry-After %q", res.StatusCode, res.Header.Get("Retry-After"))
	}
	clean(t, w)
}

func mustRequest(t *testing.T, w *Workspace, url string) *http.Request {
	r, err := http.NewRequestWithContext(t.Context(), "GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+w.o.Token)
	return r
}

func TestIntentLog(t *testing.T) {
	dir := t.TempDir()
	w, url := serve(t, Options{IntentLog: dir})
	post := func(id string) int {
		status, _, _ := request(t, w, "POST", url+"/api/2.2/jobs/create", `{}`, IntentHeader, id)
		return status
	}
	write := func(name, text string) {
		t.Helper()
		f, err := os.OpenFile(filepath.Join(dir, name), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteString(text); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	write("notes.txt", "i-0001")
	write("000.jsonl", `{"intent":"i-0001x"}`+"\n")
	if post("") != 500 || post("i-0001") != 500 {
		t.Error("a request without a durable intent was taken")
	}
	write("000.jsonl", `{"intent":"i-0001"}`+"\n")
	write("001.jsonl", `{"intent":"i-0002"}`+"\n")
	if post("i-0001") != 200 || post("i-0002") != 200 || post("i-0003") != 500 {
		t.Error("an intent in the log was refused, or one that is not was taken")
	}
	if status, _, _ := request(t, w, "GET", url+"/api/2.2/jobs/list", ""); status != 200 {
		t.Errorf("a read needs no intent: %d", status)
	}
	if v := w.Violations(); len(v) != 3 || !strings.Contains(v[1], `intent "i-0001" is not in any`) {
		t.Errorf("violations = %q", v)
	}
	if got := w.Requests()[2].Intent; got != "i-0001" {
		t.Errorf("journal holds intent %q", got)
	}
}

// TestBubble runs the vendor's client against the workspace on a fake clock, over pipes. A day passes
// in no time; rate limits, retries, back-off and token refresh use the fake clock; nothing is left behind.
func TestBubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		w := New(Options{ClientID: "sp", ClientSecret: "secret", Latency: 100 * time.Millisecond})
		l := NewPipeListener()
		stop := w.Serve(l)
		c, err := client.New(&config.Config{Host: "http://emulator", ClientID: "sp", ClientSecret: "secret", AuthType: "oauth-m2m",
			Loaders: []config.Loader{config.ConfigAttributes}, HTTPTransport: &http.Transport{DialContext: l.DialContext}})
		if err != nil {
			t.Fatal(err)
		}
		get := func() error {
			var out map[string]any
			return c.Do(t.Context(), "GET", "/api/2.2/jobs/list", nil, nil, map[string]any{"limit": 100}, &out)
		}
		for range 100 {
			if err := get(); err != nil {
				t.Fatal(err)
			}
		}
		w.Fault(Fault{Times: 3, Status: 429})
		if err := get(); err != nil {
			t.Fatal(err)
		}
		if n := w.Count("GET /api/2.2/jobs/list"); n != 104 {
			t.Errorf("%d requests, want 101 and 3 retries", n)
		}
		w.Fault(Fault{Delay: time.Hour})
		if err := get(); err == nil || !strings.Contains(err.Error(), "inactivity") {
			t.Errorf("a request that hangs: %v", err)
		}
		time.Sleep(24 * time.Hour) // the token ends; a new one is fetched
		if err := get(); err != nil {
			t.Fatal(err)
		}
		if n := w.Count("POST /oidc/v1/token"); n < 2 {
			t.Errorf("%d tokens in a day", n)
		}
		if d := time.Since(begin); d < 24*time.Hour || d > 25*time.Hour {
			t.Errorf("the day took %v", d)
		}
		stop()
		clean(t, w)
	})
}

func TestPipeListenerClosed(t *testing.T) {
	l := NewPipeListener()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := l.DialContext(ctx, "tcp", "x"); err == nil || !strings.Contains(err.Error(), "canceled") {
		t.Errorf("dial with nobody there: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Errorf("second close: %v", err)
	}
	if _, err := l.Accept(); err == nil {
		t.Error("accepted after close")
	}
	if _, err := l.DialContext(t.Context(), "tcp", "x"); err == nil {
		t.Error("dialled after close")
	}
}

// TestTogether lets many callers at one workspace; it is for the race detector.
func TestTogether(t *testing.T) {
	w, url := serve(t, Options{})
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for k := range 10 {
				status, _, body := request(t, w, "POST", url+"/api/2.2/jobs/create", fmt.Sprintf(`{"name":"%d-%d"}`, i, k))
				if status != 200 {
					t.Error(body)
					return
				}
				request(t, w, "GET", url+"/api/2.2/jobs/list?expand_tasks=true&limit=100", "")
				request(t, w, "GET", url+"/__emulator/requests", "")
				if k%3 == 0 {
					_ = w.EditJob(w.Jobs()[0].ID, func(s map[string]any) { s["description"] = "d" }) // may be gone
					w.Snapshot("s")
				}
			}
		})
	}
	all.Wait()
	if n := len(w.Jobs()); n != 80 {
		t.Errorf("%d jobs", n)
	}
	clean(t, w)
}
