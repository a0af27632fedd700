package databricks

import (
	"fmt"
	"math"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"selvage/fabric"
	"selvage/fabric/databricks/emulator"
)

func TestClassOf(t *testing.T) {
	for request, want := range map[string]class{
		"GET /api/2.2/jobs/list":                           jobReads,
		"GET /api/2.1/jobs/get":                            jobReads,
		"POST /api/2.2/jobs/create":                        jobCreates,
		"POST /api/2.2/jobs/reset":                         jobChanges,
		"POST /api/2.2/jobs/update":                        jobChanges,
		"POST /api/2.2/jobs/delete":                        jobChanges,
		"GET /api/2.2/jobs/runs/list":                      runReads,
		"POST /api/2.2/jobs/run-now":                       runStarts,
		"POST /api/2.2/jobs/runs/submit":                   runStarts,
		"GET /api/2.0/permissions/jobs/7":                  permissionReads,
		"PUT /api/2.0/permissions/jobs/7":                  permissionWrite,
		"PATCH /api/2.0/permissions/jobs/7":                permissionWrite,
		"POST /api/2.0/workspace/import":                   importing,
		"POST /api/2.0/workspace/mkdirs":                   importing,
		"GET /api/2.0/workspace/get-status":                exporting,
		"GET /api/2.0/workspace/export":                    exporting,
		"HEAD /api/2.0/fs/files/Volumes/a/b/c/jobs/create": volumeFiles,
		"PUT /api/2.0/fs/directories/Volumes/a/b/c/d":      volumeFiles,
		"GET /api/2.0/preview/scim/v2/Me":                  principals,
		"GET /api/2.0/secrets/list":                        otherCalls,
		"GET /oidc/.well-known/oauth-authorization-server": otherCalls,
		"GET /": otherCalls,
		"POST ": otherCalls,
	} {
		var method, path string
		fmt.Sscan(request, &method, &path)
		if got := classOf(method, path); got != want {
			t.Errorf("%s: %s, want %s", request, got, want)
		}
	}
}

// TestRateIsTheFabrics: what the configuration says of one fabric slows no other down, on the same host neither.
func TestRateIsTheFabrics(t *testing.T) {
	inBubble(t, emulator.Options{}, Options{}, func(t *testing.T, r *rig) {
		slow := pat("http://emulator", token)
		slow.RequestsPerSecond = 2
		other, err := New(Options{Name: "other", Config: slow, Transport: r.w.base})
		if err != nil {
			t.Fatal(err)
		}
		defer other.Close()
		for _, tt := range []struct {
			w    *Workspace
			want time.Duration
		}{{other, 9 * time.Second}, {r.w, 0}} { // a burst of 2, then 18
			begin := time.Now()
			for range 20 {
				if _, err := tt.w.read(t.Context(), call{method: http.MethodGet, path: listPath}); err != nil {
					t.Fatal(err)
				}
			}
			if took := time.Since(begin).Round(time.Millisecond); took != tt.want {
				t.Errorf("20 requests of fabric %s took %s, want %s", tt.w.name, took, tt.want)
			}
		}
	})
}

// TestFairTurns: two fabrics of one host want to create jobs, one of them a thousand. The service counts them
// together, at 20 a second; the other one's five wait for none of the thousand.
func TestFairTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		many, few := newPace("https://fair", 0), newPace("https://fair", 0)
		defer many.leave()
		begin := time.Now()
		var wg sync.WaitGroup
		var mu sync.Mutex
		var at []time.Duration // of all turns, since begin
		turn := func(p *pace) {
			answered, err := p.turn(t.Context(), jobCreates)
			if err != nil {
				t.Error(err)
				return
			}
			answered()
			mu.Lock()
			at = append(at, time.Since(begin))
			mu.Unlock()
		}
		for range 8 {
			wg.Go(func() {
				for range 125 {
					turn(many)
				}
			})
		}
		time.Sleep(20*time.Second + 1)
		mu.Lock()
		before := len(at)
		mu.Unlock()
		for range 5 {
			turn(few)
		}
		took := time.Since(begin) - 20*time.Second
		wg.Wait()
		alone := float64(before) / 20
		if alone < 14 || alone > 16 { // its own rate is 15
			t.Errorf("alone, a fabric has %.1f turns a second", alone)
		}
		if took > 600*time.Millisecond {
			t.Errorf("five turns of the other took %s", took)
		}
		together := 0
		for _, d := range at {
			if d > 20*time.Second && d <= 21*time.Second {
				together++
			}
		}
		if together > 26 { // a second's tokens, and a quarter's at once
			t.Errorf("%d requests in the second in which both were busy", together)
		}
		few.leave()
		if l := many.lanes.lane(jobCreates); len(l.buckets) != 1 {
			t.Errorf("%d fabrics take part after one is closed", len(l.buckets))
		}
	})
}

// TestLane: a refusal halves the rate, once for all that were under way, and each second without one gives
// some of it back.
func TestLane(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPace("https://lane", 0)
		defer p.leave()
		l := p.lanes.lane(jobCreates)
		ok, refused := &http.Response{StatusCode: 200}, &http.Response{StatusCode: 429}
		want := func(rate float64, hold time.Duration) {
			t.Helper()
			if math.Abs(l.rate-rate) > 0.001 || max(0, time.Until(l.until)) != hold {
				t.Errorf("%.3f a second after %s, want %.3f after %s", l.rate, time.Until(l.until), rate, hold)
			}
		}
		want(20, 0)
		for range 8 { // all were sent at once
			p.heed(jobCreates, refused, time.Now(), time.Now().Add(1))
		}
		want(10, time.Second+1)
		sent := time.Now()
		time.Sleep(2 * time.Second)
		p.heed(jobCreates, refused, sent, time.Now())
		want(10, time.Second) // it was sent before; its hold begins now
		p.heed(jobCreates, refused, time.Now(), time.Now())
		want(5, 2*time.Second) // the second in a row
		time.Sleep(2 * time.Second)
		for range 40 { // answers, ten a second
			time.Sleep(100 * time.Millisecond)
			p.heed(jobCreates, ok, time.Now().Add(-time.Millisecond), time.Now())
		}
		want(9, 0) // with the first of them, and then after each second
		for range 20 {
			time.Sleep(time.Second)
			p.heed(jobCreates, ok, time.Now(), time.Now())
		}
		want(20, 0)
		for range 20 {
			time.Sleep(time.Minute)
			p.heed(jobCreates, refused, time.Now(), time.Now())
		}
		want(1, longestHold)
		if other := p.lanes.lane(jobChanges); other.rate != defaultRate || !other.until.IsZero() {
			t.Errorf("changes of jobs are slowed down along with creates: %.1f, until %s", other.rate, other.until)
		}
	})
}

// TestCeilings: what is published counts, unless one fabric is configured to send more.
func TestCeilings(t *testing.T) {
	a := newPace("https://ceilings", 10)
	defer a.leave()
	want := func(creates, reads float64) {
		t.Helper()
		if c, r := a.lanes.lane(jobCreates), a.lanes.lane(jobReads); c.rate != creates || r.rate != reads {
			t.Errorf("creates %.1f, reads %.1f, want %.1f and %.1f", c.rate, r.rate, creates, reads)
		}
	}
	want(20, 10)
	b := newPace("https://ceilings", 200)
	want(200, 210)
	b.leave()
	want(20, 10)
}

// TestPaceAgainstALimit: the workspace takes 5 creates a second, which nobody told us. A hundred of them get
// there, at nearly that rate, and few are refused.
func TestPaceAgainstALimit(t *testing.T) {
	const limit, n = 5.0, 300
	inBubble(t, emulator.Options{Limits: map[string]emulator.Limit{"jobs/create": {PerSecond: limit, Burst: 5}}, Latency: 50 * time.Millisecond},
		Options{}, func(t *testing.T, r *rig) {
			p := pat("http://emulator", token)
			p.RequestsPerSecond = 0
			w, err := New(Options{Name: "test", Config: p, Installation: installation, Blobs: r.store, Transport: r.w.base})
			if err != nil {
				t.Fatal(err)
			}
			r.w.Close()
			r.w = w
			begin := time.Now()
			keys := make(chan int, n)
			for i := range n {
				keys <- i
			}
			close(keys)
			var wg sync.WaitGroup
			for range 8 {
				wg.Go(func() {
					for i := range keys {
						key := fmt.Sprint("jobs/j", i)
						for {
							o := r.w.Do(t.Context(), step(creation(t, key, key)), r.journal)
							if o.Status == fabric.Done {
								break
							}
							if o.Status != fabric.Later {
								t.Errorf("%s: %s, %v", key, o.Status, o.Err)
								return
							}
							time.Sleep(time.Until(o.Again))
						}
					}
				})
			}
			wg.Wait()
			took := time.Since(begin).Seconds()
			sent := r.e.Count("POST " + createPath)
			t.Logf("%d creates in %.0f s, %.1f a second of %.0f allowed; %d were refused", n, took, n/took, limit, sent-n)
			if len(r.e.Jobs()) != n || n/took < limit/2 || sent-n > n/5 {
				t.Errorf("%d jobs in %.0f s, %d requests were refused", len(r.e.Jobs()), took, sent-n)
			}
		})
}
