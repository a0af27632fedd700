package reconciler

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"selvage/configs"
	"selvage/reconciler/ledger"
)

// Operator is what people ask of a reconciler. *Reconciler answers in its own process, and the
// client in package control from another one.
type Operator interface {
	// Status is one line per deployment; of one deployment, if it is named.
	Status(ctx context.Context, deployment string) ([]Status, error)
	// Configuration is what the deployments are kept by.
	Configuration(ctx context.Context) (Configuration, error)
	// Plan looks at everything anew and says what would change. It writes nothing.
	Plan(ctx context.Context, deployment, revision string) (Decision, error)
	// Apply reconciles once, now, through all gates.
	Apply(ctx context.Context, r ApplyRequest) (Decision, error)
	// Why is the decision of the last reconcile.
	Why(ctx context.Context, deployment string) (Decision, error)
	// Suspend keeps everything from being written to a deployment or a fabric; Resume ends that.
	Suspend(ctx context.Context, s Suspension) error
	Resume(ctx context.Context, target, by string) error
	// ResumeJob lifts the pause by hand of one job.
	ResumeJob(ctx context.Context, deployment, job, by string) error
	// Collect removes the artifacts of a fabric that nothing names any more, or lists them.
	Collect(ctx context.Context, r CollectRequest) (Collected, error)
	// Hold pins a deployment to a release; Unhold ends that.
	Hold(ctx context.Context, q HoldRequest) (Holding, error)
	Unhold(ctx context.Context, deployment, by string) error
	// Adopt proposes which live jobs are those of deployments, and takes over what a person accepts.
	Adopt(ctx context.Context, q AdoptRequest) (Takeover, error)
	// Disown takes our mark off jobs and hands them back.
	Disown(ctx context.Context, q DisownRequest) (Handover, error)
}

// ApplyRequest asks for an apply.
type ApplyRequest struct {
	Deployment string `json:"deployment"`
	Revision   string `json:"revision,omitempty"` // instead of the newest candidate
	// Plan is the digest of the plan that the person has seen and approves, or at least its first six
	// digits; empty to approve nothing.
	Plan string `json:"plan,omitempty"`
	By   string `json:"by"`
}

// Status is a deployment on one line.
type Status struct {
	Deployment string          `json:"deployment"`
	Mode       configs.Mode    `json:"mode"`
	Live       Revision        `json:"live,omitzero"`   // what was applied last as a whole
	Target     Revision        `json:"target,omitzero"` // what is being brought about
	Phase      Phase           `json:"phase"`
	State      string          `json:"state"` // the phase in a word for people: verified, waiting, suspended, ...
	Since      time.Time       `json:"since,omitzero"`
	Owned      int             `json:"owned"`
	Drift      int             `json:"drift"` // resources that somebody else changed; -1: not looked at yet
	Suspension *Suspension     `json:"suspension,omitempty"`
	Hold       *Holding        `json:"hold,omitempty"`
	Result     configs.Finding `json:"result,omitzero"`
	// Alarms are findings that somebody should look at now.
	Alarms []configs.Finding `json:"alarms,omitempty"`
	// Notices are findings about single jobs that are kept though git lacks them, or that wait to go or to come.
	Notices []configs.Finding `json:"notices,omitempty"`
	Next    string            `json:"next"`
}

// Configuration is the configuration in force.
type Configuration struct {
	File   string    `json:"file"`
	Digest string    `json:"digest"`
	Since  time.Time `json:"since"`
	// Refused says why what is on disk is not in force; zero if it is.
	Refused configs.Finding `json:"refused,omitzero"`
}

// ErrUnknownDeployment is returned by all methods of Operator for a name that the configuration lacks.
var ErrUnknownDeployment = errors.New("unknown deployment")

// Status implements Operator.
func (r *Reconciler) Status(_ context.Context, deployment string) ([]Status, error) {
	setup := r.use()
	defer r.leave(setup)
	ds := setup.Config.Deployments
	if deployment != "" {
		d, err := setup.deployment(deployment)
		if err != nil {
			return nil, err
		}
		ds = []*configs.Deployment{d}
	}
	now := time.Now()
	list := make([]Status, 0, len(ds))
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, d := range ds {
		known := r.state.deployed[d.Name()]
		s := Status{Deployment: d.Name(), Mode: d.Mode, Live: known.Live, Target: known.Target, Phase: known.Phase, State: string(known.Phase),
			Since: known.Since, Owned: alone(r.state.applied[d.Name()]), Drift: -1, Result: known.Result}
		last, looked := r.last[d.Name()]
		if looked {
			s.Drift, s.Result, s.Notices = last.Plan.Counts.Drifted, last.Result, notices(last.Plan)
			for _, f := range last.Findings {
				if f.Level() == configs.Alarm {
					s.Alarms = append(s.Alarms, f)
				}
			}
		}
		s.Hold = known.Hold
		if known.Disowned != nil {
			s.State, s.Since = "handed back", known.Disowned.Since
		} else if p, ok := r.state.suspended(d.Name(), now); ok {
			s.Suspension, s.State, s.Since = &p, "suspended", p.Since
		} else if s.State == "" {
			s.State = "new"
		} else if known.Phase == Planned && last.Plan.Digest != "" {
			s.State = "waiting"
			if d.Mode == configs.Observe {
				s.State = "observing"
			}
		}
		s.Next = next(s, last, d)
		list = append(list, s)
	}
	return list, nil
}

// next says in a few words what happens next.
func next(s Status, last Decision, d *configs.Deployment) string {
	switch {
	case s.Suspension != nil:
		return suspensionFinding(*s.Suspension).Text
	case len(s.Alarms) > 0:
		return string(s.Alarms[0].Code) + ": " + s.Alarms[0].Subject
	case s.Result.Level() >= configs.Skip:
		return s.Result.Text
	case s.Hold != nil:
		return "held " + s.Hold.String()
	case unreadable(last) != "": // what is live is kept as it is meanwhile, so the result may be fine
		return unreadable(last)
	case !last.Again.IsZero() && last.Again.After(time.Now()):
		return "looks again at " + last.Again.Format(time.TimeOnly)
	}
	return fmt.Sprintf("polls every %s", d.Project.Poll)
}

// unreadable is why the repository was not read before a decision; empty where it was.
func unreadable(d Decision) string {
	for _, f := range d.Findings {
		if f.Code == configs.GitUnreachable {
			return f.Text
		}
	}
	return ""
}

// Plan implements Operator.
func (r *Reconciler) Plan(ctx context.Context, deployment, revision string) (Decision, error) {
	return r.reconcile(ctx, deployment, ask{Revision: revision, Dry: true})
}

// Apply implements Operator.
func (r *Reconciler) Apply(ctx context.Context, a ApplyRequest) (Decision, error) {
	if err := r.configured(a.Deployment); err != nil {
		return Decision{}, err
	}
	if a.Plan != "" && len(a.Plan) < 6 {
		return Decision{}, fmt.Errorf("plan %q: give at least its first six digits", a.Plan)
	}
	if a.By == "" {
		return Decision{}, errors.New("nobody asked: an apply needs to know who does")
	}
	ctx, stop := r.whileRunning(ctx)
	defer stop()
	if err := r.queue.hold(ctx, a.Deployment); err != nil {
		return Decision{}, err
	}
	var decision Decision
	defer func() { r.queue.done(a.Deployment, decision.Again) }() // also after a mistake of our own
	decision, err := r.reconcile(ctx, a.Deployment, ask{Revision: a.Revision, Plan: a.Plan, By: a.By})
	for err == nil && decision.Phase == Settling {
		// The person waits; the worker does not: this is the person's own goroutine.
		select {
		case <-ctx.Done():
			return decision, nil
		case <-time.After(time.Until(decision.Again)):
		}
		decision, err = r.reconcile(ctx, a.Deployment, ask{By: a.By})
	}
	return decision, err
}

// Why implements Operator.
func (r *Reconciler) Why(ctx context.Context, deployment string) (Decision, error) {
	if err := r.configured(deployment); err != nil {
		return Decision{}, err
	}
	r.mu.Lock()
	last, ok := r.last[deployment]
	r.mu.Unlock()
	if ok {
		return last, nil
	}
	return r.Plan(ctx, deployment, "") // nothing was decided in this process yet
}

// Suspend implements Operator.
func (r *Reconciler) Suspend(ctx context.Context, s Suspension) error {
	if err := r.suspendable(s.Target); err != nil {
		return err
	}
	s.Since = time.Now().UTC()
	f := suspensionFinding(s)
	e := ledger.Entry{Kind: kindSuspend, Code: string(f.Code), By: s.By, Text: s.Target + " is " + f.Text, Data: encode(s)}
	r.about(&e, s.Target)
	if _, err := r.record(ctx, e); err != nil {
		return err
	}
	r.flush()
	r.wakeTarget(s.Target)
	return nil
}

// Resume implements Operator.
func (r *Reconciler) Resume(ctx context.Context, target, by string) error {
	if err := r.suspendable(target); err != nil {
		return err
	}
	r.mu.Lock()
	_, suspended := r.state.suspensions[target]
	r.mu.Unlock()
	if !suspended {
		return fmt.Errorf("%s is not suspended", target)
	}
	e := ledger.Entry{Kind: kindResume, By: by, Text: target + " is resumed by " + by, Data: encode(Suspension{Target: target, By: by})}
	r.about(&e, target)
	if _, err := r.record(ctx, e); err != nil {
		return err
	}
	r.flush()
	r.wakeTarget(target)
	return nil
}

// configured checks that the configuration has a deployment.
func (r *Reconciler) configured(deployment string) error {
	s := r.use()
	defer r.leave(s)
	_, err := s.deployment(deployment)
	return err
}

func (r *Reconciler) suspendable(target string) error {
	if _, ok := r.config().Fabrics[target]; ok {
		return nil
	}
	if err := r.configured(target); err != nil {
		return fmt.Errorf("%w; it is no fabric either", err)
	}
	return nil
}

func (r *Reconciler) about(e *ledger.Entry, target string) {
	if strings.Contains(target, "@") {
		e.Deployment = target
	} else {
		e.Fabric = target
	}
}

func (r *Reconciler) wakeTarget(target string) {
	for _, d := range r.config().Deployments {
		if d.Name() == target || d.Fabric.Name == target {
			r.queue.wake(d.Name())
		}
	}
}
