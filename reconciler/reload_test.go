package reconciler

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"selvage/artifacts"
	"selvage/configs"
	"selvage/fabric"
	"selvage/fabric/databricks/emulator"
	"selvage/fabric/fabrictest"
	"selvage/gitwatch"
	"selvage/reconciler/ledger"
)

// next is a setup for the site's yaml as it is now. It takes over what is open, but for the fabrics that are named.
func (s *site) next(exchanged ...string) *Setup {
	s.t.Helper()
	now := s.Reconciler.use()
	defer s.leave(now)
	c := s.load()
	n := &Setup{Config: c, Repositories: map[string]*gitwatch.Repository{}, Fabrics: map[string]fabric.Fabric{}}
	for name := range c.Projects {
		n.Repositories[name] = s.Repositories["hello"]
	}
	for name, f := range c.Fabrics {
		if n.Fabrics[name] = now.Fabrics[name]; n.Fabrics[name] == nil || slices.Contains(exchanged, name) {
			n.Fabrics[name] = s.client(f)
		}
	}
	return n
}

// reload brings the site's yaml as it is now into force.
func (s *site) reload(exchanged ...string) {
	s.t.Helper()
	if err := s.Reload(s.t.Context(), s.next(exchanged...), "test"); err != nil {
		s.t.Fatal(err)
	}
}

// edit replaces text that must be in the yaml.
func (s *site) edit(old, new string) {
	s.t.Helper()
	if !strings.Contains(s.yaml, old) {
		s.t.Fatalf("the configuration does not hold %q", old)
	}
	s.yaml = strings.ReplaceAll(s.yaml, old, new)
}

// ofKind are the entries of a kind, behind a number.
func (s *site) ofKind(kind ledger.Kind, after uint64) []ledger.Entry {
	s.t.Helper()
	var list []ledger.Entry
	for e, err := range s.log.Entries(after) {
		if err != nil {
			s.t.Fatal(err)
		}
		if e.Kind == kind {
			list = append(list, e)
		}
	}
	return list
}

// counted is a fabric that counts what is asked of it.
type counted struct {
	fabric.Fabric
	asked *atomic.Int64
}

func counting(f fabric.Fabric) counted { return counted{f, new(atomic.Int64)} }

func (c counted) Observe(ctx context.Context, s fabric.Scope) (*fabric.Live, error) {
	c.asked.Add(1)
	return c.Fabric.Observe(ctx, s)
}

func (c counted) Render(r *artifacts.Release, b fabric.Binding) (*fabric.Desired, []configs.Finding, error) {
	c.asked.Add(1)
	return c.Fabric.Render(r, b)
}

func (c counted) Do(ctx context.Context, s fabric.Step, j fabric.Journal) fabric.Outcome {
	c.asked.Add(1)
	return c.Fabric.Do(ctx, s, j)
}

// threeYAML has one project on three fabrics: two of one workspace, and one in memory.
const threeYAML = `
state: %[1]s/state
fabrics:
  production: {databricks: {host: "%[2]s", token: "${env:TOKEN}", requests_per_second: 1000}, prophecy_ids: [4004]}
  reports: {databricks: {host: "%[2]s", token: "${env:TOKEN}", requests_per_second: 1000}, prophecy_ids: [4004]}
  memory: {databricks: {host: "http://127.0.0.1:1", token: "${env:TOKEN}"}, prophecy_ids: [4004]}
policies:
  p: {prune: {max: 5, percent: 100}, heal: true}
projects:
  hello: {git: "file://%[3]s", prophecy_id: 3224, poll: 1h}
deployments:
  - {project: hello, fabric: production, mode: apply, policy: p, follow: {tag: "HelloSelvage/*"}, jobs: ["jobs/daily_*", "jobs/month_*"], overlay: {tags: {env: prod}}}
  - {project: hello, fabric: reports, mode: apply, policy: p, follow: {tag: "HelloSelvage/*"}, jobs: ["jobs/customer_*"], overlay: {tags: {env: prod}}}
  - {project: hello, fabric: memory, mode: apply, policy: p, follow: {tag: "HelloSelvage/*"}, jobs: ["jobs/*"]}
`

// three is a site of three deployments, each applied once, and the daemon running.
func three(t *testing.T) (s *site, counts map[string]counted, stop func()) {
	s = newBubbleSite(t, emulator.Options{})
	s.yaml = threeYAML
	s.commit("HelloSelvage/1.0.0")
	counts = map[string]counted{"memory": counting(fabrictest.NewMemory(fabrictest.MemoryOptions{Installation: "inst0001"}))}
	for _, name := range []string{"production", "reports"} {
		counts[name] = counting(s.client(s.load().Fabrics[name]))
	}
	s.places = map[string]fabric.Fabric{}
	for name, c := range counts {
		s.places[name] = c
	}
	s.open()
	stop = s.run()
	time.Sleep(time.Minute)
	for name := range counts {
		s.applied("hello@" + name)
	}
	return s, counts, stop
}

// applied approves what waits, and fails the test unless the deployment is verified then.
func (s *site) applied(name string) {
	s.t.Helper()
	p, err := s.Plan(s.t.Context(), name, "")
	if err != nil {
		s.t.Fatal(err)
	}
	d, err := s.Apply(s.t.Context(), ApplyRequest{Deployment: name, Plan: p.Plan.Digest, By: "lead"})
	if err != nil {
		s.t.Fatal(err)
	}
	s.verified(d)
}

// quiet is what shows of a deployment whether it was looked at.
type quiet struct {
	round   time.Time
	asked   int64
	entries int
	backOff backOff
	again   time.Time
}

func (s *site) quiet(name string, c counted) quiet {
	s.mu.Lock()
	last, b := s.last[name], s.backOff[name]
	s.mu.Unlock()
	q := quiet{round: last.At, asked: c.asked.Load(), backOff: b, again: last.Again}
	for e, err := range s.log.Entries(0) {
		if err != nil {
			s.t.Fatal(err)
		}
		if e.Deployment == name {
			q.entries++
		}
	}
	return q
}

// afterPoll sleeps until a poll has just been: polls are jittered, and the next one is most of an hour away then.
func (s *site) afterPoll() {
	for was := s.Repositories["hello"].Last().Number; s.Repositories["hello"].Last().Number == was; {
		time.Sleep(time.Minute)
	}
	time.Sleep(time.Minute)
}

// Editing one deployment of three touches that one alone: the others have no round, no request and no poll.
func TestReloadTouchesWhatChanged(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, counts, stop := three(t)
		time.Sleep(20 * time.Minute) // between two polls
		polled := s.Repositories["hello"].Last().Number
		reports, memory := s.quiet("hello@reports", counts["reports"]), s.quiet("hello@memory", counts["memory"])
		head, _ := s.log.Head()

		s.edit(`jobs: ["jobs/daily_*", "jobs/month_*"], overlay: {tags: {env: prod}}`, `jobs: ["jobs/daily_*", "jobs/month_*"], overlay: {tags: {env: live}}`)
		edited := time.Now()
		s.reload()
		time.Sleep(10 * time.Second)
		if tagged := s.tagged("live"); tagged != 2 {
			t.Errorf("%d jobs have the tag of the new configuration", tagged)
		}
		st, err := s.Status(t.Context(), deployment)
		if err != nil || st[0].Phase != Sound || time.Since(edited) > time.Minute {
			t.Errorf("%+v, %v", st, err)
		}
		if got := s.quiet("hello@reports", counts["reports"]); got != reports {
			t.Errorf("hello@reports was %+v and is %+v", reports, got)
		}
		if got := s.quiet("hello@memory", counts["memory"]); got != memory {
			t.Errorf("hello@memory was %+v and is %+v", memory, got)
		}
		if now := s.Repositories["hello"].Last().Number; now != polled {
			t.Error("the repository was polled")
		}
		var r reloaded
		es := s.ofKind(kindReload, head)
		if len(es) != 1 || json.Unmarshal(es[0].Data, &r) != nil || !slices.Equal(r.Changed, []string{deployment}) || len(r.Added)+len(r.Released)+len(r.Fabrics)+len(r.Logins) > 0 ||
			r.Before == r.Configuration || r.Configuration != s.config().Digest || r.Trigger != "test" {
			t.Errorf("the ledger has %+v", es)
		}

		// In another order, and in other words, it is the same.
		lines := strings.SplitAfter(s.yaml, "\n")
		n := len(lines) - 1
		lines[n-1], lines[n-3] = lines[n-3], lines[n-1]
		s.yaml = strings.Join(lines, "")
		production := s.quiet(deployment, counts["production"])
		s.reload()
		time.Sleep(10 * time.Minute)
		if got := s.quiet(deployment, counts["production"]); got != production {
			t.Errorf("after a change of the order %s was %+v and is %+v", deployment, production, got)
		}
		time.Sleep(time.Hour)
		if s.Repositories["hello"].Last().Number == polled {
			t.Error("nobody polls any more")
		}
		stop()
		s.shut()
		s.sound()
	})
}

// tagged counts live jobs of the workspace with this value of the tag env.
func (s *site) tagged(env string) int {
	n := 0
	for _, j := range s.workspace.Jobs() {
		if strings.Contains(string(j.Settings), fmt.Sprintf(`"env":%q`, env)) {
			n++
		}
	}
	return n
}

// A deployment that backs off goes on doing so when another one is edited, and tries at once when it is itself.
func TestReloadAndBackOff(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, counts, stop := three(t)
		s.workspace.Fault(emulator.Fault{Pattern: "POST /api/2.2/jobs/reset", Times: -1, Status: 503})
		s.edit(`["jobs/customer_*"], overlay: {tags: {env: prod}}`, `["jobs/customer_*"], overlay: {tags: {env: live}}`)
		s.reload()
		time.Sleep(10 * time.Minute)
		before := s.quiet("hello@reports", counts["reports"])
		if before.backOff.until.Before(time.Now()) {
			t.Fatalf("it does not back off: %+v", before)
		}
		s.edit(`"jobs/*"`, `"jobs/**"`)
		s.reload()
		time.Sleep(time.Second)
		if got := s.quiet("hello@reports", counts["reports"]); got != before {
			t.Errorf("it was %+v and is %+v", before, got)
		}
		s.workspace.ClearFaults()
		s.edit(`["jobs/customer_*"], overlay: {tags: {env: live}}`, `["jobs/customer_*"], overlay: {tags: {env: new}}`)
		s.reload()
		time.Sleep(time.Second)
		if s.tagged("new") != 1 {
			t.Errorf("it still waits: %+v", s.quiet("hello@reports", counts["reports"]))
		}
		stop()
		s.shut()
		s.sound()
	})
}

// A deployment that is taken out is released and its jobs stay; put in again, they are managed again.
func TestReloadRemovesAndAdds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, counts, stop := three(t)
		whole := s.yaml
		lines := strings.SplitAfter(whole, "\n")
		var less []string
		for _, l := range lines {
			if !strings.Contains(l, "fabric: reports") {
				less = append(less, l)
			}
		}
		jobs := s.workspace.Jobs()
		s.workspace.ResetJournal()
		head, _ := s.log.Head()
		s.yaml = strings.Join(less, "")
		s.reload()
		time.Sleep(time.Minute)
		if es := s.ofKind(kindRelinquish, head); len(es) != 1 || es[0].Deployment != "hello@reports" || !strings.Contains(es[0].Text, "no longer in the configuration") {
			t.Errorf("released: %+v", es)
		}
		if _, err := s.Why(t.Context(), "hello@reports"); !errors.Is(err, ErrUnknownDeployment) {
			t.Errorf("Why of what was taken out: %v", err)
		}
		if len(s.workspace.Jobs()) != len(jobs) || s.workspace.Count("POST *") > 0 {
			t.Error("the workspace was written to")
		}
		time.Sleep(3 * time.Hour)
		if q := s.quiet("hello@reports", counts["reports"]); !q.round.IsZero() || s.workspace.Count("POST *") > 0 {
			t.Error("it is still looked at")
		}
		s.afterPoll()
		memory := s.quiet("hello@memory", counts["memory"])
		s.yaml = whole
		s.reload()
		time.Sleep(time.Minute)
		st, err := s.Status(t.Context(), "hello@reports")
		if err != nil || st[0].Owned != 1 || st[0].Phase != Sound || s.workspace.Count("POST *") > 0 {
			t.Errorf("put in again: %+v, %v, %d requests that change something", st, err, s.workspace.Count("POST *"))
		}
		if got := s.quiet("hello@memory", counts["memory"]); got != memory {
			t.Errorf("hello@memory was %+v and is %+v", memory, got)
		}
		stop()
		s.shut()
		s.sound()
	})
}

// What a deployment follows since a reload is fetched at once, and for it alone.
func TestReloadFollowsAnotherRef(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, counts, stop := three(t)
		s.git(s.work, "checkout", "-q", "-b", "next")
		s.replace("jobs/customer_report/code/databricks-job.json", `"max_retries" : 0`, `"max_retries" : 3`)
		s.git(s.work, "commit", "-qam", "next")
		s.git(s.work, "push", "-q", "origin", "next")
		s.afterPoll() // it was seen, and nobody followed it
		memory, production := s.quiet("hello@memory", counts["memory"]), s.quiet(deployment, counts["production"])
		s.edit(`fabric: reports, mode: apply, policy: p, follow: {tag: "HelloSelvage/*"}`, `fabric: reports, mode: apply, policy: p, follow: {branch: next}`)
		s.reload()
		time.Sleep(time.Minute)
		st, err := s.Status(t.Context(), "hello@reports")
		if err != nil || st[0].Live.Name != "next" || st[0].Phase != Sound {
			t.Errorf("%+v, %v", st, err)
		}
		if got := s.quiet("hello@memory", counts["memory"]); got != memory {
			t.Errorf("hello@memory was %+v and is %+v", memory, got)
		}
		if got := s.quiet(deployment, counts["production"]); got != production {
			t.Errorf("%s was %+v and is %+v", deployment, production, got)
		}
		stop()
		s.shut()
		s.sound()
	})
}

// Another token is another client: used at once, and the one before is closed when nothing works by it any more.
func TestReloadExchangesAFabric(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newBubbleSite(t, emulator.Options{})
		s.edit("poll: 1s", "poll: 1h")
		s.token = "wrong"
		s.commit("HelloSelvage/1.0.0")
		s.open()
		var retired atomic.Int64
		s.Setup.Retire = func() { retired.Add(1) }
		stop := s.run()
		time.Sleep(10 * time.Minute)
		if st, err := s.Status(t.Context(), deployment); err != nil || st[0].Result.Code != configs.FabricUnreachable {
			t.Fatalf("with a wrong token: %+v, %v", st, err)
		}
		s.token = ""
		s.reload("production")
		time.Sleep(time.Second)
		if st, err := s.Status(t.Context(), deployment); err != nil || st[0].Result.Code != configs.FirstApply {
			t.Errorf("with the right token: %+v, %v", st, err)
		}
		if n := retired.Load(); n != 1 {
			t.Errorf("the setup before was retired %d times", n)
		}

		// A round that takes its time keeps what it works with.
		s.inForce().Retire = func() { retired.Add(1) }
		s.workspace.Fault(emulator.Fault{Pattern: "POST /api/2.2/jobs/create", Times: 1, Delay: 30 * time.Second, After: true})
		p, err := s.Plan(t.Context(), deployment, "")
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan Decision)
		go func() {
			d, _ := s.Apply(context.Background(), ApplyRequest{Deployment: deployment, Plan: p.Plan.Digest, By: "lead"})
			done <- d
		}()
		time.Sleep(10 * time.Second)
		s.reload("production")
		time.Sleep(10 * time.Second)
		if retired.Load() != 1 {
			t.Error("the setup before was retired while a round works by it")
		}
		if d := <-done; d.Result.Code != configs.ConfigChanged && d.Result.Code != configs.Verified { // nothing was left to be sent
			t.Errorf("the round ended with %+v", d.Result)
		}
		time.Sleep(time.Second)
		if n := retired.Load(); n != 2 {
			t.Errorf("retired %d times", n)
		}
		time.Sleep(time.Minute)
		if st, err := s.Status(t.Context(), deployment); err != nil || st[0].Phase != Sound || len(s.workspace.Jobs()) != 3 {
			t.Errorf("%+v, %v; live: %v", st, err, s.names())
		}
		stop()
		s.shut()
		s.sound()
	})
}

func (s *site) inForce() *Setup {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.setup
}

// A reload at any request of a first apply: the round sends no request that had not been begun, and the next one by the new
// configuration makes no job twice.
func TestReloadDuringApply(t *testing.T) {
	t.Parallel()
	for k, more := 0, true; more; k++ {
		synctest.Test(t, func(t *testing.T) {
			s := newBubbleSite(t, emulator.Options{})
			s.edit("poll: 1s", "poll: 1h")
			s.commit("HelloSelvage/1.0.0")
			s.open()
			stop := s.run()
			time.Sleep(time.Minute)
			p, err := s.Plan(t.Context(), deployment, "")
			if err != nil {
				t.Fatal(err)
			}
			intents := -1
			s.workspace.Fault(emulator.Fault{Pattern: "POST *", Offset: k, Times: 1, After: k%2 == 0, Hook: func() {
				s.edit("tags: {env: prod}", "tags: {env: live}")
				s.reload()
				time.Sleep(time.Second) // whatever was between its intent and its request
				intents = len(s.ofKind(kindIntent, 0))
				time.Sleep(time.Second)
			}})
			s.workspace.ResetJournal()
			d, err := s.Apply(t.Context(), ApplyRequest{Deployment: deployment, Plan: p.Plan.Digest, By: "lead"})
			if more = intents >= 0; more && (err != nil || d.Result.Code != configs.ConfigChanged && d.Phase != Sound) {
				t.Errorf("request %d: %+v, %v", k, d.Result, err)
			}
			if more {
				for _, e := range s.ofKind(kindIntent, 0)[intents:] {
					var i intentMade
					if err := json.Unmarshal(e.Data, &i); err != nil {
						t.Fatal(err)
					}
					for _, sent := range i.Sent {
						if doc := s.documents.get(sent); !doc.IsZero() && !strings.Contains(string(encode(doc)), `"live"`) {
							t.Errorf("request %d: %s was begun by the old configuration after the new one was in force", k, e.Text)
						}
					}
				}
			}
			time.Sleep(2 * time.Minute)
			if st, err := s.Status(t.Context(), deployment); err != nil {
				t.Fatal(err)
			} else if st[0].Result.Code == configs.FirstApply { // nothing had been applied yet
				s.applied(deployment)
			}
			want := map[bool]int{true: 3}[more]
			if got := s.tagged("live"); got != want || len(s.workspace.Jobs()) != 3 || s.workspace.Count("POST /api/2.2/jobs/create") != 3 {
				t.Errorf("request %d: %d of %d jobs are by the new configuration, after %d creates", k, got, len(s.workspace.Jobs()), s.workspace.Count("POST /api/2.2/jobs/create"))
			}
			if open := s.log.OpenIntents(); len(open) > 0 {
				t.Errorf("request %d: open intents: %v", k, open)
			}
			stop()
			s.shut()
			s.sound()
		})
	}
}

// Taken out during its apply: what was sent is written down, and then released.
func TestReloadRemovesDuringApply(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newBubbleSite(t, emulator.Options{})
		s.edit("poll: 1s", "poll: 1h")
		s.commit("HelloSelvage/1.0.0")
		s.open()
		stop := s.run()
		time.Sleep(time.Minute)
		p, err := s.Plan(t.Context(), deployment, "")
		if err != nil {
			t.Fatal(err)
		}
		whole := s.yaml
		s.workspace.Fault(emulator.Fault{Pattern: "POST /api/2.2/jobs/create", Times: 1, Hook: func() {
			s.yaml = s.yaml[:strings.Index(s.yaml, "deployments:")] + "deployments: []\n"
			s.reload()
			time.Sleep(5 * time.Second)
		}})
		d, err := s.Apply(t.Context(), ApplyRequest{Deployment: deployment, Plan: p.Plan.Digest, By: "lead"})
		if err != nil || d.Result.Code != configs.ConfigChanged {
			t.Errorf("%+v, %v", d.Result, err)
		}
		time.Sleep(time.Minute)
		made := len(s.workspace.Jobs())
		if made == 0 || made == 3 {
			t.Errorf("%d jobs were made", made)
		}
		s.mu.Lock()
		owned, formerly := len(s.state.applied[deployment]), len(s.state.formerly[deployment])
		s.mu.Unlock()
		if owned != 0 || formerly != made {
			t.Errorf("of %d jobs %d are released and %d owned", made, formerly, owned)
		}
		s.yaml = whole
		s.reload()
		time.Sleep(time.Minute)
		if st, err := s.Status(t.Context(), deployment); err != nil || st[0].Owned != 3 || len(s.workspace.Jobs()) != 3 {
			t.Errorf("put in again: %+v, %v", st, err)
		}
		stop()
		s.shut()
		s.sound()
	})
}

// What can't come into force changes nothing, and is written down once.
func TestReloadRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, _, stop := three(t)
		head, _ := s.log.Head()
		digest := s.config().Digest
		s.edit("%[1]s/state", "%[1]s/elsewhere")
		var restart *RestartError
		if err := s.Reload(t.Context(), s.next(), "test"); !errors.As(err, &restart) || !strings.HasSuffix(restart.Wanted, "/elsewhere") {
			t.Errorf("another state: %v", err)
		}
		s.edit("%[1]s/elsewhere", "%[1]s/state")
		why := configs.Found(configs.ConfigRefused, "selvage.yaml", "selvage.yaml:3:1: a mistake")
		for range 3 {
			if _, err := s.Refuse(t.Context(), why); err != nil {
				t.Fatal(err)
			}
		}
		c, err := s.Configuration(t.Context())
		if err != nil || c.Digest != digest || c.Refused != why {
			t.Errorf("%+v, %v", c, err)
		}
		for range 3 {
			if _, err := s.Refuse(t.Context(), configs.Finding{}); err != nil {
				t.Fatal(err)
			}
		}
		if es := s.ofKind(kindReload, head); len(es) != 2 || es[0].Code != string(configs.ConfigRefused) || es[1].Code != "" {
			t.Errorf("the ledger has %+v", es)
		}
		stop()

		// A ledger that can't be written: nothing is applied anyway.
		s.log.Close()
		s.edit("heal: true", "heal: false")
		if err := s.Reload(t.Context(), s.next(), "test"); err == nil || s.config().Digest != digest {
			t.Errorf("without a ledger: %v", err)
		}
		s.Reconciler.Close()
	})
}

// Reloads, rounds, polls and people at once.
func TestReloadStorm(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, _, stop := three(t)
		s.edit("poll: 1h", "poll: 1s")
		s.reload()
		retired := atomic.Int64{}
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for _, name := range []string{deployment, "hello@reports", "hello@memory"} {
			wg.Go(func() {
				for ctx.Err() == nil {
					s.Status(ctx, "")
					s.Configuration(ctx)
					s.Plan(ctx, name, "")
					s.Apply(ctx, ApplyRequest{Deployment: name, By: "lead"})
					time.Sleep(time.Second)
				}
			})
		}
		whole, less := s.yaml, s.yaml[:strings.LastIndex(s.yaml, "  - {project")]
		const reloads = 60
		for i := range reloads {
			s.yaml = []string{whole, less}[i%2]
			if i%3 == 0 {
				s.yaml = strings.Replace(s.yaml, "tags: {env: prod}", fmt.Sprintf("tags: {env: v%d}", i), 1)
			}
			n := s.next()
			n.Retire = func() { retired.Add(1) }
			if err := s.Reload(ctx, n, "test"); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Duration(i%7) * 200 * time.Millisecond)
		}
		cancel()
		wg.Wait()
		s.yaml = whole
		s.reload()
		time.Sleep(2 * time.Minute)
		if n := retired.Load(); n != reloads {
			t.Errorf("of %d setups that were replaced %d were retired", reloads, n)
		}
		list, err := s.Status(t.Context(), "")
		if err != nil || len(list) != 3 || len(s.workspace.Jobs()) != 3 {
			t.Fatalf("%+v, %v", list, err)
		}
		for _, st := range list {
			if st.Phase != Sound {
				t.Errorf("%s: %s, %s", st.Deployment, st.Phase, st.Result.Text)
			}
		}
		if users := s.inForce().users; users != 0 {
			t.Errorf("%d still work by the setup in force", users)
		}
		stop()
		s.shut()
		s.sound()
	})
}

// What a reload costs beside loading: 120 deployments, one of them changed.
func BenchmarkReload(b *testing.B) {
	s := newSite(b, emulator.Options{})
	var yaml strings.Builder
	yaml.WriteString("state: %[1]s/state\nprojects:\n  hello: {git: \"file://%[3]s\", poll: 1h}\nfabrics:\n")
	for i := range 120 {
		fmt.Fprintf(&yaml, "  f%d: {databricks: {host: \"%%[2]s\", token: \"${env:TOKEN}\"}, prophecy_ids: [4004]}\n", i)
	}
	yaml.WriteString("deployments:\n")
	for i := range 120 {
		fmt.Fprintf(&yaml, "  - {project: hello, fabric: f%d, follow: {tag: \"HelloSelvage/*\"}, overlay: {tags: {env: prod}}}\n", i)
	}
	s.yaml = yaml.String()
	s.commit("HelloSelvage/1.0.0")
	s.open()
	whole := s.yaml
	b.Run("load", func(b *testing.B) {
		for b.Loop() {
			s.load()
		}
	})
	b.Run("reload", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			b.StopTimer()
			s.yaml = strings.Replace(whole, "env: prod", fmt.Sprintf("env: v%d", i), 1)
			n := s.next()
			b.StartTimer()
			if err := s.Reload(b.Context(), n, "bench"); err != nil {
				b.Fatal(err)
			}
		}
	})
	if d := s.inForce().after(s.Setup); len(d.Changed) != 1 {
		b.Errorf("changed: %v", slices.Collect(maps.Keys(s.inForce().terms)))
	}
	s.shut()
}
