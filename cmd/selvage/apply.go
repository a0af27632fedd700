package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"selvage/configs"
	"selvage/reconciler"
	"selvage/reconciler/ledger"
)

func (a *app) applyCommand() *cobra.Command {
	var r reconciler.ApplyRequest
	cmd := &cobra.Command{
		Use:   "apply DEPLOYMENT",
		Short: "Reconcile a deployment once, now, through all gates",
		Long: `Reconciles once, now, through all gates, and shows what is written to the reconcile log on the way.

With --plan the person who asks approves exactly the plan of that digest, which selvage plan has shown. On a
terminal without --plan the plan is shown and a yes approves it. Elsewhere nothing is approved: a gate that waits for
a person goes on waiting. In each case drift is put right even if heal is off, and what the fabric refused is tried again.

Exit status: 0 the deployment runs the release, 1 it does not.`,
		Example: "  selvage apply hello@production --plan 5c1f9e\n  selvage apply hello@production --revision HelloProphecy/1.3.2",
		GroupID: act,
		Args:    oneArgument(aDeployment),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := a.ask(cmd.Context())
			if err != nil {
				return err
			}
			defer s.close()
			r.Deployment, r.By = args[0], s.by
			if r.Plan == "" && !a.asJSON() && terminal(a.in) && terminal(a.out) {
				if r.Plan, err = a.approval(cmd.Context(), s, r); err != nil {
					return err
				}
			}
			d, err := a.apply(cmd.Context(), s, r)
			if a.asJSON() && d.Result.Code != "" {
				if err := a.printJSON(d); err != nil {
					return err
				}
			}
			switch {
			case errors.Is(err, context.Canceled) && !s.alone:
				return hinted("selvage status "+shellWord(r.Deployment), "interrupted: the daemon goes on with it")
			case err != nil:
				return decided(d, err)
			}
			return a.applied(d, r)
		},
	}
	cmd.Flags().StringVar(&r.Revision, "revision", "", "apply the tag, branch or commit `REF` instead of the newest candidate")
	cmd.Flags().StringVar(&r.Plan, "plan", "", "approve the plan of this `DIGEST`, or its first six digits or more")
	return a.printsData(cmd)
}

// approval shows the plan and asks the person at the terminal. It returns the digest of the plan that the
// person approves, or nothing where there is nothing to approve.
func (a *app) approval(ctx context.Context, s *session, r reconciler.ApplyRequest) (string, error) {
	now, err := s.Status(ctx, r.Deployment)
	if err != nil {
		return "", err
	}
	d, err := s.Plan(ctx, r.Deployment, r.Revision)
	if err != nil {
		return "", decided(d, err)
	}
	if !planned(d) {
		return "", finding(d.Deployment, d.Result)
	}
	if err := a.print(a.screen.plan(d, now[0], r.Revision)); err != nil {
		return "", err
	}
	if len(d.Plan.Free()) == 0 && !liftable(d.Plan) {
		return "", nil
	}
	for _, v := range d.Verdicts { // no approval lifts these
		if v.State != reconciler.Pass && (v.Reason.Code == configs.Observing || v.Reason.Code == configs.Suspended) {
			return "", finding(d.Deployment, v.Reason)
		}
	}
	if err := a.print(fmt.Sprintf("\nApply plan %s to %s? [y/N] ", short(d.Plan.Digest, 6), r.Deployment)); err != nil {
		return "", err
	}
	answer, err := readLine(ctx, a.in)
	if err != nil {
		return "", err
	}
	if answer = strings.ToLower(strings.TrimSpace(answer)); answer != "y" && answer != "yes" {
		return "", hinted("selvage apply "+r.Deployment+" asks again", "nothing was applied: plan %s was not approved", short(d.Plan.Digest, 6))
	}
	return d.Plan.Digest, nil
}

// readLine waits for a line, or for ctx to end.
func readLine(ctx context.Context, in interface{ Read([]byte) (int, error) }) (string, error) {
	line := make(chan string, 1)
	go func() { // ends with the process, should nobody ever answer
		text, _ := bufio.NewReader(in).ReadString('\n')
		line <- text
	}()
	select {
	case <-ctx.Done():
		return "", ctx.Err()
	case text := <-line:
		return text, nil
	}
}

// apply asks for the apply, and prints what the log says of the deployment while it runs.
func (a *app) apply(ctx context.Context, s *session, r reconciler.ApplyRequest) (reconciler.Decision, error) {
	if a.asJSON() {
		return s.Apply(ctx, r)
	}
	dir := filepath.Join(s.state, ledgerDir)
	_, head, err := query{last: 1}.run(dir)
	if err != nil { // who may ask the daemon may still not be allowed to read its log
		return s.Apply(ctx, r)
	}
	p := printer{app: a, deployment: r.Deployment, day: a.screen.now.In(a.screen.zone).Format(dayForm)}
	show := func(e ledger.Entry) error {
		head = e.Seq
		return p.print(e)
	}
	following, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() { _ = followLog(following, dir, head, show) }) // what it misses is shown below
	d, err := s.Apply(ctx, r)
	stop()
	wg.Wait()
	for e, err := range ledger.Read(dir, head) {
		if err != nil || show(e) != nil {
			break
		}
	}
	return d, err
}

// applied says how an apply ended.
func (a *app) applied(d reconciler.Decision, r reconciler.ApplyRequest) error {
	runs := d.Phase == reconciler.Sound || d.Result.Code == configs.UpToDate
	if held, person := holding(d); r.Plan == "" && held > 0 && person && len(d.Plan.Free()) > 0 {
		look := "selvage plan " + d.Deployment
		if r.Revision != "" {
			look += " --revision " + shellWord(r.Revision)
		}
		f := finding(d.Deployment, d.Result)
		return &failure{f, "read the plan (" + look + "), then: " + approving(d, r.Revision)}
	}
	if !runs || d.Plan.Digest != "" || d.Plan.Counts.Blocked > 0 {
		return finding(d.Deployment, d.Result)
	}
	if a.asJSON() {
		return nil
	}
	text := fmt.Sprintf("%s runs %s.", d.Deployment, visible(d.Revision.String()))
	if n := d.Plan.Counts.Deferred; n > 0 {
		text += fmt.Sprintf(" %s deferred: absent from the release once, looked at again after the next poll.", are(n, "deletion"))
	}
	return a.print(text + "\n")
}
