package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"selvage/configs"
	"selvage/reconciler"
	"selvage/reconciler/ledger"
)

func (a *app) demoCommand() *cobra.Command {
	var exit bool
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "See it at work on this machine: emulated workspaces, a git remote, a few releases",
		Long: `Starts two emulated Databricks workspaces and a git remote with a sample project on loopback, runs the daemon
against them, and tells what happens as it happens: from the first push to a tag that somebody moved. Needs git, and
no account, no network and no other program. Everything is in a temporary folder, which is removed at the end.

Stays up until Ctrl-C, so that you can look around and push releases of your own.`,
		Example: "  selvage demo\n  selvage demo --exit",
		GroupID: host,
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.demo(cmd.Context(), configs.Apply, exit)
		},
	}
	cmd.Flags().BoolVar(&exit, "exit", false, "end after the last chapter: status 0 if all went as it should")
	return cmd
}

// demo plays the story with deployments in this mode. Ending early, for whatever reason, ends what it
// started and removes its folder too.
func (a *app) demo(ctx context.Context, mode configs.Mode, exit bool) (err error) {
	began := time.Now()
	site, err := openDemoSite(ctx, mode)
	defer func() { err = errors.Join(err, site.close()) }()
	if err != nil {
		return err
	}
	st := &story{site: site, teller: &teller{
		out: a.out, screen: a.screen, began: began, ended: site.ended,
		intents: map[string]reconciler.Event{}, shown: map[string]string{},
	}}
	following, stop := context.WithCancel(ctx)
	st.follow(following, site.ledger())
	defer func() {
		stop()
		for range st.followed {
		}
	}()
	if err := st.tellAll(ctx); err != nil {
		return err
	}
	if !exit {
		st.whereToLook()
		return st.goOn(ctx)
	}
	st.ended = nil // from here on it ends because we ask it to
	if err := site.stopDaemon(); err != nil {
		return err
	}
	if _, err := st.until(ctx, "the daemon's last entry", func(ev reconciler.Event) bool { return ev.Kind == "stop" }); err != nil {
		return err
	}
	fmt.Fprintf(a.out, "\nAll of it took %.1f s.\n", time.Since(began).Seconds())
	return nil
}

const demoOpening = `Here it works on this machine alone: a git remote, two emulated Databricks workspaces, and the daemon between them.
Each line with a time is from the daemon's ledger, and ends with the number of its entry. A request that changes a
workspace has two of them: the intent, on disk before the request is sent, and the outcome.`

// tellAll tells the story from the start of the daemon to the state that it ends in.
func (st *story) tellAll(ctx context.Context) error {
	fmt.Fprintf(st.out, "%s\n%s\n\n", st.screen.paint(bold, "Selvage deploys data pipelines from git."), demoOpening)
	t := table{gap: 2}
	t.add(plain("git remote", st.site.remote)...)
	t.add(plain("development", st.site.places["development"].url)...)
	t.add(plain("production", st.site.places["production"].url)...)
	t.add(plain("files", st.site.dir)...)
	st.table(t)
	fmt.Fprintln(st.out)

	daemon := []string{"run", "--credentials", "credentials"}
	st.command("selvage " + quoted(daemon))
	if err := st.site.startDaemon(daemon...); err != nil {
		return err
	}
	looked := 0
	_, err := st.until(ctx, "the daemon's first look", func(ev reconciler.Event) bool {
		if ev.Code == string(configs.NoCandidate) {
			looked++
		}
		return looked == 2 // deployments
	})
	if err != nil {
		return err
	}
	for i, chapter := range st.chapters() {
		if err := chapter(ctx); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return fmt.Errorf("the demo stopped in chapter %d: %w", i+1, err)
		}
	}
	if err := st.sound(); err != nil {
		return err
	}
	fmt.Fprintf(st.out, "\n%s\n%s\n\n", st.screen.paint(bold, "Where it stands"),
		"Both places run 1.1.0, and the ledger is whole: its entries are chained by their hashes.")
	if err := st.run(ctx, "status"); err != nil {
		return err
	}
	return st.run(ctx, "log", "verify")
}

// whereToLook says what a person can try now.
func (st *story) whereToLook() {
	fmt.Fprintf(st.out, "\n%s\n%s\n\n", st.screen.paint(bold, "Your turn"), "It stays up until Ctrl-C. In another terminal:")
	t := table{gap: 3}
	t.add(plain("cd "+st.site.dir, "")...)
	t.add(plain("./selvage why hello@production", "why nothing of the moved tag is deployed")...)
	t.add(plain("./selvage plan hello@production", "what would change, field by field")...)
	t.add(plain("./selvage log show --last 20", "the ledger for people; its files are state/"+ledgerDir+"/*.jsonl")...)
	t.add(plain("cd hello", "the developer's clone: change something, commit, git tag HelloSelvage/1.2.0,")...)
	t.add(plain("", "git push origin main HelloSelvage/1.2.0, and watch here")...)
	st.table(t)
	fmt.Fprintln(st.out)
}

// goOn tells what else happens until the person ends it.
func (st *story) goOn(ctx context.Context) error {
	for {
		select {
		case ev := <-st.events:
			if ev.Kind == ledger.KindIntent {
				st.intents[ev.Intent] = ev
			}
			st.tell(ev)
		case err := <-st.followed:
			if ctx.Err() != nil {
				return nil
			}
			return err
		case <-st.ended:
			return errDaemonEnded
		case <-ctx.Done():
			return nil
		}
	}
}
