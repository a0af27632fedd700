package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"selvage/configs"
	"selvage/fabric"
	"selvage/reconciler"
	"selvage/reconciler/ledger"
)

// patience is how long the demo waits for any one thing. All of it takes a few seconds.
const patience = 30 * time.Second

// teller prints what the daemon writes into its ledger, and knows in each chapter what may and must be
// written to a fabric there.
type teller struct {
	out    io.Writer
	screen screen
	began  time.Time

	events   chan reconciler.Event
	followed chan error    // why following the ledger ended, then closed
	ended    chan struct{} // closed when the daemon ends
	aside    *running      // a command that runs while the ledger is told

	intents map[string]reconciler.Event // by nonce, all that were seen
	shown   map[string]string           // deployment -> digest of the plan whose changes were shown last
	due     map[write]bool              // what the chapter must write and has not; nothing else may be written
	alarm   configs.Code                // the alarm that the chapter is about, if it is about one
	last    uint64
}

// write is one request that changes a fabric.
type write struct {
	deployment string
	op         fabric.Op
	of         string // key of the resource; of an upload, the pipeline
}

func (w write) String() string { return fmt.Sprintf("%s %s on %s", w.op, w.of, w.deployment) }

// follow begins to read the ledger in dir, until ctx ends.
func (t *teller) follow(ctx context.Context, dir string) {
	t.events, t.followed = make(chan reconciler.Event), make(chan error, 1)
	go func() {
		defer close(t.followed)
		t.followed <- ledger.Follow(ctx, dir, 0, func(e ledger.Entry) error {
			ev, err := reconciler.Describe(e)
			if err != nil {
				return err
			}
			select {
			case t.events <- ev:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	}()
}

// chapter begins one: its title, what it is about in a sentence, and what is written to fabrics in it, each
// once.
func (t *teller) chapter(title, about string, writes ...write) {
	fmt.Fprintf(t.out, "\n%s\n%s\n\n", t.screen.paint(bold, title), about)
	t.due = map[write]bool{}
	for _, w := range writes {
		t.due[w] = true
	}
}

// until tells events as they come, up to the first that want wants. It is an error if something happens
// that the chapter does not allow, or if what is waited for does not come.
func (t *teller) until(ctx context.Context, what string, want func(reconciler.Event) bool) (reconciler.Event, error) {
	ev, err := t.listen(ctx, patience, want)
	if errors.Is(err, errQuiet) {
		err = fmt.Errorf("%s did not come within %s; the last ledger entry was #%d%s", what, patience, t.last, t.missing())
	}
	return ev, err
}

// quiet listens for so long, in which the chapter's rules hold.
func (t *teller) quiet(ctx context.Context, d time.Duration) error {
	_, err := t.listen(ctx, d, func(reconciler.Event) bool { return false })
	if errors.Is(err, errQuiet) {
		return nil
	}
	return err
}

// errDaemonEnded is how a story ends whose daemon did; stopping the site says more.
var errDaemonEnded = errors.New("the daemon ended by itself")

// errQuiet is what listen returns when the time is over.
var errQuiet = errors.New("nothing more came")

func (t *teller) listen(ctx context.Context, d time.Duration, want func(reconciler.Event) bool) (reconciler.Event, error) {
	over := time.NewTimer(d)
	defer over.Stop()
	var aside <-chan struct{}
	if t.aside != nil {
		aside = t.aside.done
	}
	for {
		select {
		case ev := <-t.events:
			t.last = ev.Seq
			t.tell(ev)
			if err := t.check(ev); err != nil {
				return ev, err
			}
			if want(ev) {
				return ev, nil
			}
		case <-aside:
			if t.aside.err != nil {
				return reconciler.Event{}, t.aside.failure()
			}
			aside = nil
		case err := <-t.followed:
			return reconciler.Event{}, err
		case <-t.ended:
			return reconciler.Event{}, errDaemonEnded
		case <-over.C:
			return reconciler.Event{}, errQuiet
		case <-ctx.Done():
			return reconciler.Event{}, ctx.Err()
		}
	}
}

// settled tells on until all that the chapter has to write is written, and looking again agreed on each of
// the deployments.
func (t *teller) settled(ctx context.Context, deployments ...string) error {
	agreed := map[string]bool{}
	_, err := t.until(ctx, "the end of the change on "+strings.Join(deployments, " and "), func(ev reconciler.Event) bool {
		switch ev.Kind {
		case ledger.KindIntent:
			agreed[ev.Deployment] = false
		case "phase":
			agreed[ev.Deployment] = ev.Phase == reconciler.Sound
		}
		return len(t.due) == 0 && !slices.ContainsFunc(deployments, func(d string) bool { return !agreed[d] })
	})
	return err
}

// check refuses what must not happen in the chapter.
func (t *teller) check(ev reconciler.Event) error {
	switch ev.Kind {
	case ledger.KindIntent:
		t.intents[ev.Intent] = ev
		if w := writeOf(ev); !t.due[w] {
			return fmt.Errorf("this must not happen here: %s (ledger entry #%d)", w, ev.Seq)
		}
		delete(t.due, writeOf(ev))
	case ledger.KindOutcome:
		if !ev.Done {
			return fmt.Errorf("a request was not carried out: %s (ledger entry #%d)", ev.Text, ev.Seq)
		}
	case "phase":
		if ev.Phase == reconciler.Failing || ev.Phase == reconciler.Wavering {
			return fmt.Errorf("%s is %s (ledger entry #%d)", ev.Deployment, ev.Text, ev.Seq)
		}
	}
	if meaning(ev).Level() == configs.Alarm && configs.Code(ev.Code) != t.alarm {
		return fmt.Errorf("an alarm that this chapter is not about: %s (ledger entry #%d)", ev.Text, ev.Seq)
	}
	return nil
}

func writeOf(ev reconciler.Event) write {
	w := write{deployment: ev.Deployment, op: ev.Op}
	if ev.Op == fabric.OpUpload {
		w.of, _, _ = strings.Cut(path.Base(ev.Text), "-") // upload ... to PATH/NAME-VERSION-py3-none-any.whl
		return w
	}
	for i, k := range ev.Keys {
		if i > 0 {
			w.of += ", "
		}
		w.of += string(k)
	}
	return w
}

// missing says what the chapter should have written and did not.
func (t *teller) missing() string {
	if len(t.due) == 0 {
		return ""
	}
	var names []string
	for w := range maps.Keys(t.due) {
		names = append(names, w.String())
	}
	slices.Sort(names)
	return "; not written: " + strings.Join(names, "; ")
}

// tell prints one event, or nothing where another one says it too.
func (t *teller) tell(ev reconciler.Event) {
	text, seqs, colour := ev.Text, fmt.Sprintf("#%d", ev.Seq), ""
	switch ev.Kind {
	case ledger.KindOpen, ledger.KindIntent, "read": // an intent is told with its outcome
		return
	case ledger.KindOutcome:
		begun := t.intents[ev.Intent]
		if text = begun.Text; begun.Op == fabric.OpUpload {
			text, _, _ = strings.Cut(text, " to /") // a long path
		}
		if ev.Done {
			text += ": done"
		} else {
			text += ": " + ev.Text
		}
		seqs = fmt.Sprintf("#%d #%d", begun.Seq, ev.Seq)
	case "phase":
		switch ev.Phase {
		case reconciler.Sound:
			colour = green
		case reconciler.Failing, reconciler.Wavering:
			colour = red
		default:
			return
		}
	case "plan":
		if t.shown[ev.Deployment] == ev.Plan && !held(ev) {
			return // the person's approval was told
		}
	case "decide":
		if meaning(ev).Level() < configs.Wait {
			return
		}
	}
	if meaning(ev).Level() == configs.Alarm {
		text, colour = "alarm: "+text, red
	}
	fmt.Fprintf(t.out, "%6.2fs  %-7s  %-17s  %s  %s\n", ev.Time.Sub(t.began).Seconds(), ev.Kind, ev.Deployment,
		t.screen.paint(colour, visible(text)), t.screen.paint(faint, seqs))
	for _, line := range t.below(ev) {
		fmt.Fprintf(t.out, "%16s%s\n", "", line)
	}
}

// meaning is what the entry's code stands for.
func meaning(ev reconciler.Event) configs.Finding {
	return configs.Found(configs.Code(ev.Code), ev.Revision.Name, "")
}

// held reports a plan that a gate does not let through.
func held(ev reconciler.Event) bool {
	return slices.ContainsFunc(ev.Verdicts, func(v reconciler.Verdict) bool { return v.State != reconciler.Pass })
}

// below is what an event says besides its sentence: of a plan the changes, as selvage plan shows them, and the
// gates if one holds it; of an alarm what to do.
func (t *teller) below(ev reconciler.Event) []string {
	var b strings.Builder
	f := meaning(ev)
	switch {
	case ev.Kind == "plan" && t.shown[ev.Deployment] != ev.Plan:
		t.shown[ev.Deployment] = ev.Plan
		d := reconciler.Decision{Deployment: ev.Deployment, Plan: reconciler.Plan{Changes: ev.Changes, Counts: ev.Counts}, Verdicts: ev.Verdicts}
		t.screen.changes(&b, d)
		if held(ev) {
			t.screen.gates(&b, d, "")
		}
	case f.Level() == configs.Alarm && f.Next != "":
		b.WriteString("  next: " + visible(next(f, ev.Deployment)) + "\n")
	}
	if b.Len() == 0 {
		return nil
	}
	return strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
}

// command prints a command as it is run, and output what it printed.
func (t *teller) command(line string) {
	fmt.Fprintf(t.out, "%s\n", t.screen.paint(bold, "$ "+line))
}

func (t *teller) output(text string) {
	for line := range strings.Lines(text) {
		fmt.Fprintln(t.out, strings.TrimRight("  "+visible(strings.TrimRight(line, "\n")), " "))
	}
}

func (t *teller) table(rows table) {
	var b strings.Builder
	rows.write(&b, t.screen, "  ", 60)
	fmt.Fprint(t.out, b.String())
}
