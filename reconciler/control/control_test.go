package control

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"selvage/artifacts"
	"selvage/configs"
	"selvage/fabric"
	"selvage/fabric/databricks"
	"selvage/gitwatch"
	"selvage/reconciler"
	"selvage/reconciler/ledger"
)

const file = `
state: %[1]s/state
fabrics:
  production:
    databricks: {host: "http://127.0.0.1:1", token: "${env:TOKEN}"}
    prophecy_ids: [4004]
projects:
  hello: {git: "file://%[1]s/nothing.git"}
deployments:
  - {project: hello, fabric: production, mode: apply, follow: {tag: "Hello/*"}}
`

// station is a reconciler of one deployment, whose remote is not there, and a folder for sockets.
type station struct {
	*reconciler.Reconciler
	dir    string // short: the path of a socket is
	ledger string
}

func newStation(t *testing.T) *station {
	t.Helper()
	dir, err := os.MkdirTemp("", "control")
	check(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "selvage.yaml")
	check(t, os.WriteFile(path, fmt.Appendf(nil, file, dir), 0o644))
	c, err := configs.Load(path, configs.Options{Getenv: func(name string) string { return map[string]string{"TOKEN": "t"}[name] }})
	check(t, err)
	s := &station{dir: dir, ledger: filepath.Join(c.State, "ledger")}
	log, err := ledger.Open(s.ledger, ledger.Options{Writer: "test"})
	check(t, err)
	t.Cleanup(func() { log.Close() })
	store, err := artifacts.OpenStore(filepath.Join(c.State, "documents"))
	check(t, err)
	repo, err := gitwatch.Open(gitwatch.Options{Dir: filepath.Join(c.State, "mirror"), URL: c.Projects["hello"].Git})
	check(t, err)
	place, err := databricks.New(databricks.Options{Name: "production", Config: *c.Fabrics["production"].Databricks, Blobs: store})
	check(t, err)
	t.Cleanup(place.Close)
	s.Reconciler, err = reconciler.New(t.Context(), reconciler.Options{
		Installation: "inst0001", Ledger: log, Database: filepath.Join(c.State, "selvage.db"), Documents: store,
		Builder: artifacts.NewBuilder(store, filepath.Join(c.State, "built"), nil),
	}, &reconciler.Setup{Config: c, Repositories: map[string]*gitwatch.Repository{"hello": repo}, Fabrics: map[string]fabric.Fabric{"production": place}})
	check(t, err)
	t.Cleanup(func() { s.Reconciler.Close() })
	return s
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (s *station) socket() string { return filepath.Join(s.dir, "control.sock") }

// serve answers until the test ends or the returned function is called.
func (s *station) serve(t *testing.T, o reconciler.Operator) (stop func()) {
	t.Helper()
	server, err := Listen(s.socket(), o)
	check(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.Serve(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return stop
}

func (s *station) dial(t *testing.T) *Client {
	t.Helper()
	c, err := Dial(t.Context(), s.socket())
	check(t, err)
	t.Cleanup(func() { c.Close() })
	return c
}

// last is the last entry of the ledger.
func (s *station) last(t *testing.T) ledger.Entry {
	t.Helper()
	var last ledger.Entry
	for e, err := range ledger.Read(s.ledger, 0) {
		check(t, err)
		last = e
	}
	return last
}

func TestAskingOverTheSocket(t *testing.T) {
	s := newStation(t)
	s.serve(t, s)
	c := s.dial(t)
	ctx := t.Context()

	want, err := s.Status(ctx, "")
	check(t, err)
	got, err := c.Status(ctx, "")
	check(t, err)
	if diff := cmp.Diff(want, got); diff != "" || len(got) != 1 {
		t.Errorf("status: -asked directly +over the socket\n%s", diff)
	}

	check(t, second(s.Refuse(ctx, configs.Found(configs.ConfigRefused, "selvage.yaml", "selvage.yaml:3:1: a mistake"))))
	running, err := s.Configuration(ctx)
	check(t, err)
	asked, err := c.Configuration(ctx)
	check(t, err)
	if diff := cmp.Diff(running, asked); diff != "" || asked.Refused.Code != configs.ConfigRefused || asked.Digest == "" {
		t.Errorf("configuration: -asked directly +over the socket\n%s%+v", diff, asked)
	}

	for what, err := range map[string]error{
		"status": second(c.Status(ctx, "no@where")), "plan": second(c.Plan(ctx, "no@where", "")), "why": second(c.Why(ctx, "no@where")),
		"apply":   second(c.Apply(ctx, reconciler.ApplyRequest{Deployment: "no@where"})),
		"suspend": c.Suspend(ctx, reconciler.Suspension{Target: "no@where"}), "resume": c.Resume(ctx, "no@where", ""), "resume of a job": c.ResumeJob(ctx, "no@where", "jobs/a", ""),
		"hold": second(c.Hold(ctx, reconciler.HoldRequest{Deployment: "no@where"})), "unhold": c.Unhold(ctx, "no@where", ""),
		"adopt":  second(c.Adopt(ctx, reconciler.AdoptRequest{Deployments: []string{"no@where"}})),
		"disown": second(c.Disown(ctx, reconciler.DisownRequest{Deployment: "no@where"})),
	} {
		if !errors.Is(err, reconciler.ErrUnknownDeployment) || !strings.Contains(err.Error(), `"no@where": the configuration has hello@production`) {
			t.Errorf("%s of an unknown deployment: %v", what, err)
		}
	}

	if _, err := c.Collect(ctx, reconciler.CollectRequest{Fabric: "nowhere", Keep: 1}); err == nil || !strings.Contains(err.Error(), `unknown fabric "nowhere"`) {
		t.Errorf("collect: %v", err)
	}

	// A decision comes across also where it ended in an error.
	d, err := c.Plan(ctx, "hello@production", "")
	if err == nil || errors.Is(err, reconciler.ErrUnknownDeployment) || d.Result.Code != configs.GitUnreachable || d.Deployment != "hello@production" {
		t.Errorf("plan without a remote: %v, %+v", err, d)
	}
	d, err = c.Apply(ctx, reconciler.ApplyRequest{Deployment: "hello@production"})
	if err == nil || d.Result.Code != configs.GitUnreachable {
		t.Errorf("apply without a remote: %v, %+v", err, d)
	}
	if why, err := c.Why(ctx, "hello@production"); err != nil || why.Result != d.Result {
		t.Errorf("why: %v, %+v", err, why)
	}
}

func second[T any](_ T, err error) error { return err }

// Who asked is what the kernel says, whatever the request says.
func TestWhoAsks(t *testing.T) {
	s := newStation(t)
	s.serve(t, s)
	c := s.dial(t)
	me := Person(os.Getuid())
	until := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	check(t, c.Suspend(t.Context(), reconciler.Suspension{Target: "production", By: "the boss", Until: until, Why: "quarter close"}))
	if e := s.last(t); e.By != me || e.Kind != "suspend" || strings.Contains(e.Text, "the boss") || !strings.Contains(e.Text, "quarter close") {
		t.Errorf("entry %+v, want it to be by %s", e, me)
	}
	list, err := c.Status(t.Context(), "hello@production")
	check(t, err)
	if p := list[0].Suspension; p == nil || p.By != me || !p.Until.Equal(until) {
		t.Errorf("suspension %+v", p)
	}
	if status, body := s.raw(t, "POST", "/v1/resume", `{"target":"production","by":"the boss"}`); status != http.StatusOK {
		t.Errorf("resume: %d %s", status, body)
	}
	if e := s.last(t); e.By != me || e.Kind != "resume" {
		t.Errorf("entry %+v, want it to be by %s", e, me)
	}
}

// raw sends any request.
func (s *station) raw(t *testing.T, method, path, body string) (status int, answer string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, "http://selvage"+path, strings.NewReader(body))
	check(t, err)
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", s.socket())
	}}
	resp, err := transport.RoundTrip(r)
	check(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	check(t, err)
	return resp.StatusCode, string(text)
}

func TestOddRequests(t *testing.T) {
	s := newStation(t)
	s.serve(t, s)
	before := s.last(t).Seq
	for _, r := range []struct {
		name, method, path, body string
		status                   int
	}{
		{"no JSON", "POST", "/v1/suspend", "hello", http.StatusBadRequest},
		{"nothing", "POST", "/v1/suspend", "", http.StatusBadRequest},
		{"cut off", "POST", "/v1/suspend", `{"target":"produ`, http.StatusBadRequest},
		{"unknown field", "POST", "/v1/suspend", `{"target":"production","force":true}`, http.StatusBadRequest},
		{"wrong type", "POST", "/v1/suspend", `{"target":7}`, http.StatusBadRequest},
		{"huge", "POST", "/v1/suspend", `{"target":"production","why":"` + strings.Repeat("x", maxRequest) + `"}`, http.StatusBadRequest},
		{"no target", "POST", "/v1/suspend", `{}`, http.StatusUnprocessableEntity},
		{"short digest", "POST", "/v1/apply", `{"deployment":"hello@production","plan":"abc"}`, http.StatusUnprocessableEntity},
		{"a look that would act", "GET", "/v1/apply?deployment=hello@production", "", http.StatusMethodNotAllowed},
		{"an act that would look", "POST", "/v1/plan", "{}", http.StatusMethodNotAllowed},
		{"elsewhere", "GET", "/v2/status", "", http.StatusNotFound},
	} {
		t.Run(r.name, func(t *testing.T) {
			if status, answer := s.raw(t, r.method, r.path, r.body); status != r.status {
				t.Errorf("status %d, want %d: %s", status, r.status, answer)
			}
		})
	}
	if now := s.last(t).Seq; now != before {
		t.Errorf("%d entries were written", now-before)
	}
}

func TestSocket(t *testing.T) {
	s := newStation(t)
	notRunning := func(when string) {
		t.Helper()
		if _, err := Dial(t.Context(), s.socket()); !errors.Is(err, ErrNotRunning) {
			t.Errorf("Dial %s: %v", when, err)
		}
	}
	notRunning("before anybody listens")

	stop := s.serve(t, s)
	info, err := os.Stat(s.socket())
	check(t, err)
	if info.Mode() != os.ModeSocket|0o660 {
		t.Errorf("mode %v", info.Mode())
	}
	if _, err := Listen(s.socket(), s); err == nil || !strings.Contains(err.Error(), "another daemon answers on it") {
		t.Errorf("a second Listen: %v", err)
	}
	check(t, second(s.dial(t).Status(t.Context(), "")))
	c := s.dial(t)
	stop()
	notRunning("after the end")
	if _, err := c.Status(t.Context(), ""); err == nil || !strings.Contains(err.Error(), "ask the daemon: ") {
		t.Errorf("asking after the end: %v", err)
	}

	// What a killed daemon leaves behind.
	l, err := net.Listen("unix", s.socket())
	check(t, err)
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	check(t, l.Close())
	notRunning("on a socket that was left behind")
	s.serve(t, s)
	check(t, second(s.dial(t).Status(t.Context(), "")))

	long := filepath.Join(s.dir, strings.Repeat("x", longestPath), "control.sock")
	if _, err := Listen(long, s); err == nil || !strings.Contains(err.Error(), "choose a shorter folder for state") {
		t.Errorf("Listen on a long path: %v", err)
	}
	if _, err := Dial(t.Context(), long); !errors.Is(err, ErrNotRunning) {
		t.Errorf("Dial of a long path: %v", err)
	}
}

// applies is a reconciler whose applies last until their context ends.
type applies struct {
	*station
	began, ended chan struct{}
}

func (a *applies) Apply(ctx context.Context, _ reconciler.ApplyRequest) (reconciler.Decision, error) {
	close(a.began)
	<-ctx.Done()
	close(a.ended)
	return reconciler.Decision{Deployment: "hello@production"}, nil
}

// What a person has begun goes on when the person goes away, and begins nothing more when the daemon stops.
func TestApplyOutlivesTheAsker(t *testing.T) {
	a := &applies{newStation(t), make(chan struct{}), make(chan struct{})}
	stop := a.serve(t, a)
	c := a.dial(t)
	asking, leave := context.WithCancel(t.Context())
	left := make(chan error)
	go func() {
		left <- second(c.Apply(asking, reconciler.ApplyRequest{Deployment: "hello@production"}))
	}()
	<-a.began
	leave()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Errorf("Apply of who went away: %v", err)
	}
	select {
	case <-a.ended:
		t.Error("the apply ended with the request")
	case <-time.After(50 * time.Millisecond):
	}
	stop()
	select {
	case <-a.ended:
	default:
		t.Error("the server stopped before the apply")
	}
}
