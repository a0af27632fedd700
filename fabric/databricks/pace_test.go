package databricks

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"selvage/configs"
	"selvage/fabric"
	"selvage/fabric/databricks/emulator"
)

// onePerSecond leaves the bucket empty: the next request waits for a second.
func onePerSecond(t *testing.T, r *rig) {
	t.Helper()
	r.w.pace.limiter.SetLimit(1)
	r.w.pace.limiter.SetBurst(1)
	if _, err := r.w.send(t.Context(), call{method: http.MethodGet, path: listPath}); err != nil {
		t.Fatal(err)
	}
	r.e.ResetJournal()
}

// refuse has the service answer a request of a class with 429.
func refuse(r *rig, c class, retryAfter string) {
	r.w.pace.heed(c, &http.Response{StatusCode: http.StatusTooManyRequests, Header: http.Header{"Retry-After": {retryAfter}}}, time.Now(), time.Now())
}

// changesOf are a create, a reset, a deletion and an upload, and the rest of the world that they need.
func changesOf(t *testing.T, r *rig) map[string]fabric.Step {
	t.Helper()
	obj := r.create(t, "jobs/there", "there")
	reset := creation(t, "jobs/there", "there")
	reset.Action, reset.ID, reset.Mark, reset.Live, reset.Desired = fabric.Update, obj.ID, obj.Mark, obj.Doc, doc(t, settings("there", 5))
	remove := reset
	remove.Action, remove.Desired, remove.Runs = fabric.Delete, fabric.Doc{}, configs.RunsIgnore
	b := blobIn(t, r.store, []byte("wheel"), roots[0])
	return map[string]fabric.Step{"create": step(creation(t, "jobs/new", "new")), "reset": step(reset), "delete": step(remove), "upload": uploading(b)}
}

// TestNoChangeWaitsOutAHold: a request that changes something waits for its turn when another one is
// told to come back in a minute. By then it may not be wanted any more: it is not sent.
func TestNoChangeWaitsOutAHold(t *testing.T) {
	kinds := map[string]class{"create": jobCreates, "reset": jobChanges, "delete": jobChanges, "upload": importing}
	for _, which := range []string{"create", "reset", "delete", "upload"} {
		t.Run(which, func(t *testing.T) {
			inBubble(t, emulator.Options{}, Options{}, func(t *testing.T, r *rig) {
				s := changesOf(t, r)[which]
				onePerSecond(t, r)
				if which != "create" { // the look at what is there has its turn first
					time.Sleep(time.Second)
				}
				begun := len(r.journal.intents)
				begin := time.Now()
				until := begin.Add(500*time.Millisecond + time.Minute)
				time.AfterFunc(500*time.Millisecond, func() {
					refuse(r, kinds[which], "60")
				})
				o := r.w.Do(t.Context(), s, r.journal)
				if o.Status != fabric.Later || !o.Again.Equal(until) || o.Err == nil || !strings.Contains(o.Err.Error(), "asked to be left alone") {
					t.Errorf("%s, again after %s, %v", o.Status, o.Again.Sub(begin), o.Err)
				}
				if took := time.Since(begin); took > 2*time.Second {
					t.Errorf("it took %s", took)
				}
				if n := r.e.Count("POST *"); n != 0 || len(r.journal.intents) != begun+1 || len(r.journal.open) != 0 {
					t.Errorf("%d requests were sent, %d intents begun, %d are open", n, len(r.journal.intents)-begun, len(r.journal.open))
				}
				time.Sleep(time.Until(o.Again))
				if o := r.w.Do(t.Context(), s, r.journal); o.Status != fabric.Done {
					t.Errorf("afterwards: %s, %v", o.Status, o.Err)
				}
			})
		})
	}
}

// TestReadsWaitOutAShortHold: what changes nothing comes again by itself after a short hold, and not before;
// of a long one it says until when. A hold of creates holds no reads, and one of reads no creates.
func TestReadsWaitOutAShortHold(t *testing.T) {
	for _, hold := range []time.Duration{2 * time.Second, time.Minute} {
		inBubble(t, emulator.Options{}, Options{}, func(t *testing.T, r *rig) {
			r.look(t)
			r.e.ResetJournal()
			seconds := map[string]string{"Retry-After": strconv.Itoa(int(hold / time.Second))}
			r.e.Fault(emulator.Fault{Pattern: "POST " + createPath, Status: http.StatusTooManyRequests, Header: seconds})
			begin := time.Now()
			o := r.w.Do(t.Context(), step(creation(t, "jobs/daily", "daily")), r.journal)
			if o.Status != fabric.Later || !o.Again.Equal(begin.Add(hold)) {
				t.Fatalf("%s, again after %s", o.Status, o.Again.Sub(begin))
			}
			if _, err := r.w.Observe(t.Context(), fabric.Scope{}); err != nil || time.Since(begin) != 0 {
				t.Errorf("a read beside it: after %s, %v", time.Since(begin), err)
			}

			time.Sleep(hold)
			begin = time.Now()
			until := begin.Add(hold)
			r.e.ResetJournal()
			r.e.Fault(emulator.Fault{Pattern: "GET " + listPath, Status: http.StatusTooManyRequests, Header: seconds})
			_, err := r.w.Observe(t.Context(), fabric.Scope{})
			took := time.Since(begin)
			var busy *fabric.Busy
			if hold <= patience && (err != nil || took != hold) {
				t.Errorf("after %s: %v", took, err)
			}
			if hold > patience && (!errors.As(err, &busy) || !busy.Until.Equal(until) || took > patience) {
				t.Errorf("after %s: %v", took, err)
			}
			for _, q := range r.e.Requests()[1:] {
				if q.At.Before(until) {
					t.Errorf("%s %s came after %s", q.Method, q.Path, q.At.Sub(begin))
				}
			}
			if o := r.w.Do(t.Context(), step(creation(t, "jobs/daily", "daily")), r.journal); o.Status != fabric.Done {
				t.Errorf("a create beside it: %s, %v", o.Status, o.Err)
			}
		})
	}
}

// TestWaitsEndWithTheContext: nobody waits for a hold, or for a turn, longer than they want to.
func TestWaitsEndWithTheContext(t *testing.T) {
	held := func(t *testing.T, r *rig) { // reads of the folder's principal and of jobs
		refuse(r, principals, "2")
		refuse(r, jobReads, "2")
	}
	read := func(ctx context.Context, t *testing.T, r *rig) error {
		_, err := r.w.Observe(ctx, fabric.Scope{})
		return err
	}
	change := func(ctx context.Context, t *testing.T, r *rig) error {
		o := r.w.Do(ctx, step(creation(t, "jobs/daily", "daily")), r.journal)
		if o.Status != fabric.Later || len(r.journal.open) != 0 {
			t.Errorf("%s, %d intents open", o.Status, len(r.journal.open))
		}
		return o.Err
	}
	for _, tt := range []struct {
		name string
		wait func(*testing.T, *rig)
		do   func(context.Context, *testing.T, *rig) error
	}{{"a read and a hold", held, read}, {"a read and its turn", onePerSecond, read}, {"a change and its turn", onePerSecond, change}} {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, emulator.Options{}, Options{}, func(t *testing.T, r *rig) {
				tt.wait(t, r)
				ctx, cancel := context.WithCancel(t.Context())
				begin := time.Now()
				time.AfterFunc(300*time.Millisecond, cancel)
				err := tt.do(ctx, t, r)
				if took := time.Since(begin); !errors.Is(err, context.Canceled) || took != 300*time.Millisecond {
					t.Errorf("after %s: %v", took, err)
				}
				if n := r.e.Count("*"); n != 0 {
					t.Errorf("%d requests were sent", n)
				}
			})
		})
	}
}

// TestNoLongerWanted: while a request waits for its turn, a newer release arrives.
func TestNoLongerWanted(t *testing.T) {
	for _, which := range []string{"create", "reset", "delete"} {
		t.Run(which, func(t *testing.T) {
			inBubble(t, emulator.Options{}, Options{}, func(t *testing.T, r *rig) {
				s := changesOf(t, r)[which]
				onePerSecond(t, r)
				reads := 0
				if which != "create" { // the look at what is there has its turn first
					time.Sleep(time.Second)
					reads = 1
				}
				begin := time.Now()
				superseded := errors.New("Shop/1.1.0 is newer")
				var asked []time.Duration
				wanted := false
				r.journal.still = func() error {
					asked = append(asked, time.Since(begin))
					if !wanted && time.Since(begin) > 500*time.Millisecond {
						return superseded
					}
					return nil
				}
				o := r.w.Do(t.Context(), s, r.journal)
				if o.Status != fabric.Later || o.Results[0].Status != fabric.Later || o.Err == nil || !strings.Contains(o.Err.Error(), superseded.Error()) {
					t.Errorf("%s: %v", o.Status, o.Err)
				}
				if len(asked) != 1 || asked[0] != time.Second {
					t.Errorf("asked after %v, not once when its turn came", asked)
				}
				if n := r.e.Count("*"); n != reads || len(r.journal.open) != 0 {
					t.Errorf("%d requests were sent, %d intents are open", n, len(r.journal.open))
				}
				wanted = true
				if o := r.w.Do(t.Context(), s, r.journal); o.Status != fabric.Done || len(asked) != 2 {
					t.Errorf("once it is wanted: %s, %v, asked %d times", o.Status, o.Err, len(asked))
				}
			})
		})
	}
}

// TestUploadNoLongerWanted: an upload is asked about before each of its requests.
func TestUploadNoLongerWanted(t *testing.T) {
	for _, root := range roots {
		inBubble(t, emulator.Options{}, Options{}, func(t *testing.T, r *rig) {
			b := blobIn(t, r.store, []byte("wheel"), root)
			asked := 0
			r.journal.still = func() error {
				if asked++; asked == 2 {
					return errors.New("Shop/1.1.0 is newer")
				}
				return nil
			}
			o := r.w.Do(t.Context(), uploading(b), r.journal)
			if sent := r.e.Count("POST *") + r.e.Count("PUT *"); o.Status != fabric.Later || asked != 2 || sent != 1 || len(r.journal.open) != 0 {
				t.Errorf("%s: %s, %v; asked %d times, %d requests, %d intents open", root, o.Status, o.Err, asked, sent, len(r.journal.open))
			}
			if len(r.e.Files()) != 0 {
				t.Errorf("%s: %v", root, r.e.Files())
			}
		})
	}
}

// TestRefusalOfOneHoldsAll: the service counts per workspace, so a 429 to one fabric of a host holds
// the changes of another.
func TestRefusalOfOneHoldsAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		eo := emulator.Options{}
		r := newRig(t, &eo)
		l := emulator.NewPipeListener()
		defer r.e.Serve(l)()
		o := Options{Transport: &http.Transport{DialContext: l.DialContext}}
		r.open(t, "http://emulator", o)
		defer r.w.Close()
		other := &rig{e: r.e, store: r.store, journal: r.journal}
		other.open(t, "http://EMULATOR", o)
		defer other.w.Close()
		r.e.Fault(emulator.Fault{Pattern: "POST " + createPath, Status: http.StatusTooManyRequests, Header: map[string]string{"Retry-After": "60"}})
		first := r.w.Do(t.Context(), step(creation(t, "jobs/a", "a")), r.journal)
		time.Sleep(time.Second)
		second := other.w.Do(t.Context(), step(creation(t, "jobs/b", "b")), r.journal)
		if second.Status != fabric.Later || !second.Again.Equal(first.Again) || r.e.Count("POST *") != 1 {
			t.Errorf("%+v after %d requests", second, r.e.Count("POST *"))
		}
	})
}
