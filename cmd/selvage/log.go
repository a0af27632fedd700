package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"selvage/reconciler/ledger"
)

func (a *app) logCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "log",
		Short:   "Show and verify the reconcile log",
		Long:    "The reconcile log is the append-only record of every decision and of every request that changed a fabric.",
		Example: "  selvage log show --deployment hello@production --last 3\n  selvage log verify",
		GroupID: look,
		Args:    noArguments,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.logShowCommand(), a.logVerifyCommand())
	return cmd
}

func (a *app) logShowCommand() *cobra.Command {
	var deployment, since string
	var last int
	var follow bool
	cmd := &cobra.Command{
		Use:     "show",
		Short:   "Print entries of the reconcile log, oldest first",
		Long:    "Prints entries of the reconcile log, oldest first; with --output json one entry to a line. Needs no daemon.",
		Example: "  selvage log show --deployment hello@production --last 3\n  selvage log show --since 2h --follow",
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			state, err := a.state()
			if err != nil {
				return err
			}
			if last < 0 {
				return hinted("--last 3 shows the last three", "--last %d is no number of entries", last)
			}
			p := printer{app: a, deployment: deployment}
			dir := filepath.Join(state, ledgerDir)
			q := query{last: last}
			if since != "" {
				if q.since, err = parsePast(since, a.screen.now, a.screen.zone); err != nil {
					return err
				}
			}
			q.want = p.wants
			entries, head, err := q.run(dir)
			if err != nil {
				return noLog(state, err)
			}
			for _, e := range entries {
				if err := p.print(e); err != nil {
					return err
				}
			}
			switch {
			case follow:
			case len(entries) == 0 && deployment != "" && !a.asJSON():
				return a.print(fmt.Sprintf("The reconcile log has no such entry about %s.\n", visible(deployment)))
			default:
				return nil
			}
			return followLog(cmd.Context(), dir, head, p.print)
		},
	}
	cmd.Flags().StringVar(&deployment, "deployment", "", "only entries about this `DEPLOYMENT`")
	cmd.Flags().IntVar(&last, "last", 0, "only the last `N` of them")
	cmd.Flags().StringVar(&since, "since", "", "only from this `TIME` on: 2h, 3d, 14:00, 2006-01-02 15:04")
	cmd.Flags().BoolVar(&follow, "follow", false, "go on with entries as they are written, until interrupted")
	return a.printsData(cmd)
}

func noLog(state string, err error) error {
	if errors.Is(err, ledger.ErrNoLog) || errors.Is(err, os.ErrNotExist) {
		return hinted("it begins with the first: selvage run, plan or apply", "there is no reconcile log yet in %s", filepath.Join(state, ledgerDir))
	}
	return err
}

// followLog calls print for each entry after a number until ctx is done.
func followLog(ctx context.Context, dir string, after uint64, print func(ledger.Entry) error) error {
	err := ledger.Follow(ctx, dir, after, print)
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// query is a choice of entries.
type query struct {
	last  int       // so many at the end; 0 for all
	since time.Time // not older
	want  func(ledger.Entry) bool
}

// run reads the log from its end, a segment file at a time, as far back as the query needs. It
// returns the entries, oldest first, and the number of the log's last entry.
func (q query) run(dir string) (entries []ledger.Entry, head uint64, err error) {
	firsts, err := segmentsOf(dir)
	if err != nil {
		return nil, 0, err
	}
	upTo := uint64(0) // 0: to the end of the log
	for i := len(firsts) - 1; i >= 0; i-- {
		var found []ledger.Entry
		old := false
		for e, err := range ledger.Read(dir, firsts[i]-1) {
			if err != nil {
				return nil, 0, err
			}
			if upTo > 0 && e.Seq >= upTo {
				break
			}
			head = max(head, e.Seq)
			switch {
			case e.Time.Before(q.since):
				old = true
			case q.want == nil || q.want(e):
				found = append(found, e)
			}
		}
		entries = append(found, entries...)
		if upTo = firsts[i]; old || q.last > 0 && len(entries) >= q.last {
			break
		}
	}
	if q.last > 0 && len(entries) > q.last {
		entries = entries[len(entries)-q.last:]
	}
	return entries, head, nil
}

// segmentsOf lists the numbers of the first entries of the log's files, in order.
func segmentsOf(dir string) ([]uint64, error) {
	names, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var firsts []uint64
	for _, n := range names {
		stem, ok := strings.CutSuffix(n.Name(), ".jsonl")
		if first, err := strconv.ParseUint(stem, 10, 64); ok && err == nil && first > 0 {
			firsts = append(firsts, first)
		}
	}
	if len(firsts) == 0 {
		return nil, ledger.ErrNoLog
	}
	return firsts, nil // names are of one width: ReadDir's order is theirs
}

// dayForm is the date above the entries of a day.
const dayForm = "Mon 2 Jan 2006"

// printer prints entries, with the date where it changes.
type printer struct {
	*app
	deployment string // only its entries; empty for all, each with the name before its text
	day        string
}

func (p *printer) wants(e ledger.Entry) bool {
	return p.deployment == "" || e.Deployment == p.deployment
}

func (p *printer) print(e ledger.Entry) error {
	if !p.wants(e) {
		return nil
	}
	if p.asJSON() {
		line := json.NewEncoder(p.out)
		line.SetEscapeHTML(false)
		return line.Encode(e)
	}
	e.Time, e.Text = e.Time.In(p.screen.zone), shortArtifacts(e.Text)
	text := ""
	if day := e.Time.Format(dayForm); day != p.day {
		p.day = day
		text = p.screen.paint(faint, day) + "\n"
	}
	if about := e.Deployment; about != "" && p.deployment == "" {
		e.Text = about + "  " + e.Text
	}
	return p.app.print(text + ledger.Format(e) + "\n")
}

func (a *app) logVerifyCommand() *cobra.Command {
	var known []string
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Check that the reconcile log is what was written",
		Long: `Reads the whole log and checks that every line follows the one before by number, hash, time and epoch. Lines that were
taken off the end are seen only against an entry that was noted down elsewhere: --known NUMBER:HASH.

Exit status: 0 intact, 1 not.`,
		Example: "  selvage log verify\n  selvage log verify --known 10412:9b1c…",
		Args:    noArguments,
		RunE: func(*cobra.Command, []string) error {
			state, err := a.state()
			if err != nil {
				return err
			}
			var ks []ledger.Known
			for _, k := range known {
				seq, hash, _ := strings.Cut(k, ":")
				n, err := strconv.ParseUint(seq, 10, 64)
				if err != nil || len(hash) != 64 {
					return hinted("both stand in what an earlier selvage log verify printed", "--known %s is not the number of an entry, a colon and its hash", k)
				}
				ks = append(ks, ledger.Known{Seq: n, Hash: hash})
			}
			report, err := ledger.Verify(filepath.Join(state, ledgerDir), ks...)
			var broken *ledger.Broken
			if err != nil && !errors.As(err, &broken) {
				return noLog(state, err)
			}
			return a.verified(report, broken)
		},
	}
	cmd.Flags().StringArrayVar(&known, "known", nil, "an entry that was noted down elsewhere, as `NUMBER:HASH`; may be repeated")
	return a.printsData(cmd)
}

// verified prints what verifying came to.
func (a *app) verified(r ledger.Report, broken *ledger.Broken) error {
	if a.asJSON() {
		answer := struct {
			Intact   bool      `json:"intact"`
			Entries  int       `json:"entries"`
			Segments int       `json:"segments"`
			First    time.Time `json:"first,omitzero"`
			Last     time.Time `json:"last,omitzero"`
			Head     string    `json:"head"`
			Torn     int64     `json:"torn"`
			File     string    `json:"file,omitempty"`
			Line     int       `json:"line,omitempty"`
			Seq      uint64    `json:"seq,omitempty"`
			Reason   string    `json:"reason,omitempty"`
		}{Intact: broken == nil, Entries: r.Entries, Segments: r.Segments, First: r.First, Last: r.Last, Head: r.Head, Torn: r.Torn}
		if broken != nil {
			answer.File, answer.Line, answer.Seq, answer.Reason = broken.File, broken.Line, broken.Seq, broken.Reason
		}
		if err := a.printJSON(answer); err != nil {
			return err
		}
		if broken != nil {
			return status(1)
		}
		return nil
	}
	if broken != nil {
		return broken
	}
	return a.print(fmt.Sprintf("intact: %s in %s, from %s to %s\nhead %d:%s\n", entries(r.Entries), plural(r.Segments, "file"),
		a.screen.clock(r.First), a.screen.clock(r.Last), r.Entries, r.Head))
}

func entries(n int) string {
	if n == 1 {
		return "1 entry"
	}
	return fmt.Sprintf("%d entries", n)
}
