package reconciler

import (
	"context"
	"errors"
	"fmt"
	"time"

	"selvage/configs"
	"selvage/gitwatch"
	"selvage/reconciler/ledger"
)

// Holding pins a deployment to a release until a person ends that, or applies another one.
type Holding struct {
	Revision Revision  `json:"revision"`
	By       string    `json:"by"`
	Why      string    `json:"why,omitempty"`
	Since    time.Time `json:"since"`
}

func (h Holding) String() string {
	s := fmt.Sprintf("at %s, by %s", h.Revision, h.By)
	if h.Why != "" {
		s += ": " + h.Why
	}
	return s
}

// HoldRequest asks for a hold, or for its end.
type HoldRequest struct {
	Deployment string `json:"deployment"`
	Revision   string `json:"revision,omitempty"` // a tag, branch or commit; empty: what is live
	Why        string `json:"why,omitempty"`
	By         string `json:"by"`
}

// atHold keeps to the release that a person pinned the deployment to, and says so where a newer one is there.
func (rd *round) atHold(ctx context.Context, repo *gitwatch.Repository, s *sieve, moved map[string]*configs.Finding) error {
	h := *rd.known.Hold
	rd.target, rd.rule = h.Revision, ""
	rd.target.Release = ""
	if m := moved[h.Revision.Ref]; m != nil {
		rd.note(*m) // what is live stays
	}
	// Whose a tag is may not be known: then nobody can say that it is newer.
	if first, any, err := s.at(ctx, 0); err == nil && any && first.Commit != h.Revision.Commit {
		rd.note(configs.Found(configs.Held, first.Name, h.String()))
	}
	return rd.descent(ctx, repo)
}

// moveHold pins a held deployment to what a person has just asked for and may have.
func (rd *round) moveHold(ctx context.Context) error {
	h := rd.known.Hold
	if h == nil || rd.ask.Dry || rd.ask.By == "" || rd.ask.Revision == "" || h.Revision.Commit == rd.target.Commit ||
		rd.out.Plan.Digest != "" && !open(rd.out.Verdicts) {
		return nil
	}
	e := holdEntry(rd.name, Holding{Revision: rd.target, By: rd.ask.By, Why: h.Why, Since: rd.at.UTC()})
	if _, err := rd.record(ctx, e); err != nil {
		return rd.fail(configs.LedgerFailed, err)
	}
	rd.mu.Lock()
	rd.known.Hold = rd.state.deployed[rd.name].Hold
	rd.mu.Unlock()
	return nil
}

func holdEntry(deployment string, h Holding) ledger.Entry {
	return ledger.Entry{Kind: kindHold, Deployment: deployment, Code: string(configs.Held), By: h.By, Text: deployment + " is held " + h.String(), Data: encode(h)}
}

// Hold implements Operator.
func (r *Reconciler) Hold(ctx context.Context, q HoldRequest) (Holding, error) {
	s := r.use()
	defer r.leave(s)
	d, err := s.deployment(q.Deployment)
	if err != nil {
		return Holding{}, err
	}
	h := Holding{By: q.By, Why: q.Why, Since: time.Now().UTC()}
	if q.Revision == "" {
		r.mu.Lock()
		h.Revision = r.state.deployed[q.Deployment].Live
		r.mu.Unlock()
		if h.Revision.IsZero() {
			return Holding{}, fmt.Errorf("%s: nothing is live that it could be held at: name a release with --revision", q.Deployment)
		}
	} else {
		rd := &round{Reconciler: r, Setup: s, d: d, name: q.Deployment, at: time.Now()}
		if h.Revision, err = rd.named(ctx, q.Revision); err != nil {
			return Holding{}, err
		}
	}
	if _, err := r.record(ctx, holdEntry(q.Deployment, h)); err != nil {
		return Holding{}, err
	}
	r.flush()
	r.queue.wake(q.Deployment)
	return h, nil
}

// named finds the revision of a name that a person gave.
func (rd *round) named(ctx context.Context, name string) (Revision, error) {
	repo := rd.Repositories[rd.d.Project.Name]
	follows := rd.followsOf(repo)
	for _, f := range []gitwatch.Follow{{Branch: name}, {Tag: name}} {
		if f.Check() == nil {
			follows = append(follows, f)
		}
	}
	if _, err := repo.Poll(ctx, follows); err != nil {
		return Revision{}, rd.fail(configs.GitUnreachable, err)
	}
	v, err := repo.Resolve(ctx, name)
	if err != nil {
		return Revision{}, rd.fail(configs.UnknownRevision, err)
	}
	return revision(v), nil
}

// errNotHeld is the error of Unhold for a deployment that nobody holds.
var errNotHeld = errors.New("is not held")

// Unhold implements Operator.
func (r *Reconciler) Unhold(ctx context.Context, deployment, by string) error {
	if err := r.configured(deployment); err != nil {
		return err
	}
	r.mu.Lock()
	h := r.state.deployed[deployment].Hold
	r.mu.Unlock()
	if h == nil {
		return fmt.Errorf("%s %w", deployment, errNotHeld)
	}
	if _, err := r.record(ctx, ledger.Entry{Kind: kindUnhold, Deployment: deployment, By: by, Text: fmt.Sprintf("%s is no longer held at %s, says %s", deployment, h.Revision, by)}); err != nil {
		return err
	}
	r.flush()
	r.queue.wake(deployment)
	return nil
}
