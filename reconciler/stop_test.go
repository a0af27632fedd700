package reconciler

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"selvage/configs"
	"selvage/fabric"
	"selvage/fabric/databricks/emulator"
	"selvage/fabric/fabrictest"
)

// A stop sends nothing more. What was sent is answered, and written down; or it takes too long, and its
// intent stays open for the next start to look.
func TestStop(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		answer time.Duration // how long the workspace takes
		open   bool          // an intent is left open
	}{{"in flight finishes", 5 * time.Second, false}, {"in flight takes too long", 10 * time.Minute, true}} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newBubbleSite(t, emulator.Options{})
				s.commit("HelloSelvage/1.0.0")
				s.open()
				stop := s.run()
				time.Sleep(10 * time.Second)
				p, err := s.Plan(t.Context(), deployment, "")
				if err != nil {
					t.Fatal(err)
				}
				s.workspace.Fault(emulator.Fault{Pattern: "POST /api/2.2/jobs/create", Times: 1, Delay: tt.answer, After: true})
				asked := make(chan error)
				go func() {
					_, err := s.Apply(t.Context(), ApplyRequest{Deployment: deployment, Plan: p.Plan.Digest, By: "lead"})
					asked <- err
				}()
				time.Sleep(2 * time.Second)
				begin := time.Now()
				stop()
				<-asked
				if took := time.Since(begin); took > stopGrace+time.Second {
					t.Errorf("the stop took %s", took)
				}
				if open := len(s.log.OpenIntents()); (open > 0) != tt.open {
					t.Errorf("%d intents are open", open)
				}
				created := s.workspace.Count("POST /api/2.2/jobs/create")
				time.Sleep(time.Hour)
				if now := s.workspace.Count("POST /api/2.2/jobs/create"); now != created {
					t.Errorf("%d creates were sent after the stop", now-created)
				}
				s.shut()
				s.open()
				s.converges()
				s.shut()
				s.sound()
			})
		})
	}
}

// broken is a fabric whose adapter has a bug.
type broken struct {
	fabric.Fabric
	looked *int
}

func (b broken) Observe(context.Context, fabric.Scope) (*fabric.Live, error) {
	*b.looked++
	var none []string
	return nil, errors.New(none[*b.looked])
}

// A mistake in one round is an alarm of that deployment, and the loop goes on.
func TestOwnMistake(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		looked := 0
		s := newBubbleSite(t, emulator.Options{})
		s.places = map[string]fabric.Fabric{"production": broken{fabrictest.NewMemory(fabrictest.MemoryOptions{Installation: "inst0001"}), &looked}}
		s.yaml = strings.Replace(s.yaml, "poll: 1s", "poll: 1m", 1)
		s.yaml = s.yaml[:strings.Index(s.yaml, "    overlay:")]
		s.commit("HelloSelvage/1.0.0")
		s.open()
		stop := s.run()
		for range 2 {
			time.Sleep(10 * time.Minute)
			st, err := s.Status(t.Context(), deployment)
			if err != nil || st[0].Result.Code != configs.OwnMistake || !strings.Contains(st[0].Result.Text, "index out of range") {
				t.Errorf("status: %+v, %v", st, err)
			}
		}
		stop()
		s.shut()
		if looked < 15 {
			t.Errorf("looked %d times in 20 minutes: a mistake stopped the loop", looked)
		}
	})
}
