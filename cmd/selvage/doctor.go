package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"selvage/configs"
	"selvage/fabric/databricks"
	"selvage/reconciler/control"
)

// symptom is one thing that doctor looked at.
type symptom struct {
	About string `json:"about"` // "configuration", "project hello", "fabric production"
	Check string `json:"check"` // "log in"; empty where there is one check
	OK    bool   `json:"ok"`
	Text  string `json:"text"`
	Next  string `json:"next,omitempty"`
	Note  bool   `json:"note,omitempty"` // all is well, and it is worth knowing still
}

// lookTime bounds how long doctor looks at one repository or fabric.
const lookTime = time.Minute

func (a *app) doctorCommand() *cobra.Command {
	var grantsFor string
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Check that everything the configuration names can be reached and used",
		Long: `Checks the configuration, the state, every repository and every fabric: can we reach it, log in to it, and see all of
it? Writes nothing to any of them, and works beside a running daemon.

With --grants it prints instead what the principal of a fabric needs there at least, ready for an admin: from the
configuration, and from what was last sent to the fabric where there is a state.

Exit status: 0 all is well, 1 something is not.`,
		Example: "  selvage doctor --credentials /etc/selvage/credentials\n  selvage doctor --grants production",
		GroupID: host,
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.config()
			if err != nil {
				return err
			}
			if cmd.Flags().Changed("grants") {
				g, err := grantsOf(cmd.Context(), c, grantsFor)
				if err != nil {
					return err
				}
				if a.asJSON() {
					return a.printJSON(g)
				}
				return a.print(a.screen.grants(g))
			}
			found := examine(cmd.Context(), c)
			if err := cmd.Context().Err(); err != nil {
				return err
			}
			if a.asJSON() {
				err = a.printJSON(found)
			} else {
				err = a.print(a.screen.symptoms(found))
			}
			if err == nil && slices.ContainsFunc(found, func(s symptom) bool { return !s.OK }) {
				err = status(1)
			}
			return err
		},
	}
	cmd.Flags().StringVar(&grantsFor, "grants", "", "print what the principal of this `FABRIC` needs")
	return a.printsData(cmd)
}

// examine looks at everything at once and returns what it saw in a fixed order.
func examine(ctx context.Context, c *configs.Config) []symptom {
	looks := []func(context.Context) []symptom{
		func(context.Context) []symptom {
			return []symptom{{About: "configuration", OK: true, Text: fmt.Sprintf("%s: %s, %s, %s", c.File,
				plural(len(c.Deployments), "deployment"), plural(len(c.Projects), "project"), plural(len(c.Fabrics), "fabric"))}}
		},
		func(ctx context.Context) []symptom { return []symptom{examineState(ctx, c.State)} },
	}
	for _, name := range slices.Sorted(maps.Keys(c.Projects)) {
		looks = append(looks, func(ctx context.Context) []symptom { return []symptom{examineProject(ctx, c.Projects[name])} })
	}
	for _, name := range slices.Sorted(maps.Keys(c.Fabrics)) {
		looks = append(looks, func(ctx context.Context) []symptom { return examineFabric(ctx, c.Fabrics[name]) })
	}
	found := make([][]symptom, len(looks))
	var wg sync.WaitGroup
	for i, look := range looks {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, lookTime)
			defer cancel()
			found[i] = look(ctx)
		})
	}
	wg.Wait()
	return slices.Concat(found...)
}

// examineState finds out whether the folder of the state can be written, and whether a daemon has it.
func examineState(ctx context.Context, dir string) symptom {
	s := symptom{About: "state"}
	at := dir
	for { // before the first start, what counts is the nearest folder that is there
		if _, err := os.Stat(at); !errors.Is(err, os.ErrNotExist) || at == filepath.Dir(at) {
			break
		}
		at = filepath.Dir(at)
	}
	f, err := os.CreateTemp(at, ".doctor-")
	if err == nil {
		_, err = f.Write(make([]byte, 64<<10)) // a full disk may still have room for a name
		err = errors.Join(err, f.Close(), os.Remove(f.Name()))
	}
	if err != nil {
		s.Text = fmt.Sprintf("%s can't be written: %v", dir, err)
		switch {
		case errors.Is(err, syscall.ENOSPC):
			s.Next = "free space on that disk"
		case errors.Is(err, syscall.EROFS):
			s.Next = "mount that file system writable"
		default:
			s.Next = "let the user that runs selvage write there"
		}
		return s
	}
	s.OK, s.Text = true, dir+" can be written"
	if at != dir {
		s.Text = dir + " will be made"
	}
	client, err := control.Dial(ctx, filepath.Join(dir, socketFile))
	switch {
	case err == nil:
		client.Close()
		s.Text += "; the daemon is running"
	case errors.Is(err, control.ErrNotRunning):
		s.Text += "; no daemon is running"
	}
	return s
}

// examineProject lists the refs of a project's remote.
func examineProject(ctx context.Context, p *configs.Project) symptom {
	s := symptom{About: "project " + p.Name}
	fail := func(err error) symptom {
		s.Text = err.Error()
		s.Next = "see that git of the project is right, that this machine reaches it, and that auth may read it"
		return s
	}
	dir, err := os.MkdirTemp("", "selvage-doctor-")
	if err != nil {
		return fail(err)
	}
	defer os.RemoveAll(dir)
	r, err := openRepository(dir, p)
	if err != nil {
		return fail(err)
	}
	defer r.Close()
	seen, err := r.Poll(ctx, nil)
	if err != nil {
		return fail(err)
	}
	tags := 0
	for _, ref := range seen.Refs {
		if strings.HasPrefix(ref.Name, "refs/tags/") {
			tags++
		}
	}
	s.OK, s.Text = true, fmt.Sprintf("%s can be read: %s and %s", r.URL(), branches(len(seen.Refs)-tags), plural(tags, "tag"))
	return s
}

func branches(n int) string {
	if n == 1 {
		return "1 branch"
	}
	return fmt.Sprintf("%d branches", n)
}

func examineFabric(ctx context.Context, f *configs.Fabric) []symptom {
	about := "fabric " + f.Name
	w, err := databricks.New(databricks.Options{Name: f.Name, Config: *f.Databricks, Root: f.Artifacts})
	if err != nil {
		return []symptom{{About: about, Text: err.Error(), Next: "mend databricks of the fabric in selvage.yaml"}}
	}
	defer w.Close()
	var found []symptom
	for _, c := range w.Check(ctx) {
		s := symptom{About: about, Check: c.Name, OK: c.OK, Text: c.Text, Next: c.Next, Note: c.Note}
		if c.Name == databricks.SeeJobs && !c.OK && f.Visibility == configs.SeesOwn {
			s.OK, s.Note, s.Text, s.Next = true, true, "not all of them, as visibility: own says: a job of others that has the name of ours may go unseen", ""
		}
		found = append(found, s)
	}
	return found
}

// symptoms is what a person sees of them.
func (s screen) symptoms(found []symptom) string {
	t := table{gap: 2}
	for _, f := range found {
		mark := cell{"ok", green}
		if f.Note {
			mark = cell{"note", yellow}
		}
		if !f.OK {
			mark = cell{"FAIL", red}
		}
		t.add(mark, cell{text: visible(f.About)}, cell{text: f.Check}, cell{text: visible(f.Text)})
	}
	var b strings.Builder
	t.write(&b, s, "", widestName)
	rows := strings.SplitAfter(b.String(), "\n")
	b.Reset()
	for i, f := range found {
		b.WriteString(rows[i])
		if !f.OK && f.Next != "" {
			b.WriteString("      next: " + visible(f.Next) + "\n")
		}
	}
	return b.String()
}
