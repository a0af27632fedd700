package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
)

// What the people of the story do: run commands of ours, run git in the developer's clone, edit files there,
// and edit a job by hand.

// running is a command of ours that runs while the story goes on.
type running struct {
	line string
	done chan struct{} // closed at its end; then the rest is set
	out  []byte
	err  error
}

// start prints a command and runs it.
func (st *story) start(ctx context.Context, args ...string) *running {
	r := &running{line: "selvage " + strings.Join(args, " "), done: make(chan struct{})}
	st.command(r.line)
	cmd := st.site.command(ctx, args...)
	go func() {
		defer close(r.done)
		r.out, r.err = cmd.CombinedOutput()
	}()
	return r
}

func (r *running) failure() error {
	return fmt.Errorf("%s: %w\n%s", r.line, r.err, bytes.TrimSpace(r.out))
}

func (r *running) wait(ctx context.Context) error {
	<-r.done // which comes with the end of ctx, too
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if r.err != nil {
		return r.failure()
	}
	return nil
}

// run runs a command of ours to its end and prints what it prints.
func (st *story) run(ctx context.Context, args ...string) error {
	r := st.start(ctx, args...)
	if err := r.wait(ctx); err != nil {
		return err
	}
	st.output(string(r.out))
	return nil
}

// git runs git in the developer's clone.
func (st *story) git(ctx context.Context, args ...string) (string, error) {
	return st.site.git(ctx, st.site.work, args...)
}

// did runs git command by command, with each and what it printed shown.
func (st *story) did(ctx context.Context, commands ...[]string) error {
	for _, args := range commands {
		st.command("git " + quoted(args))
		out, err := st.git(ctx, args...)
		if err != nil {
			return err
		}
		st.output(out)
	}
	return nil
}

// quoted is a command line as a person would type it.
func quoted(args []string) string {
	var words []string
	for _, a := range args {
		words = append(words, shellWord(a))
	}
	return strings.Join(words, " ")
}

// edit replaces a text in a file of the clone.
func (st *story) edit(file, old, new string) error {
	name := filepath.Join(st.site.work, filepath.FromSlash(file))
	text, err := os.ReadFile(name)
	if err != nil {
		return fmt.Errorf("edit the sample project: %w", err)
	}
	if !bytes.Contains(text, []byte(old)) {
		return fmt.Errorf("edit the sample project: %s does not hold %q", file, old)
	}
	return os.WriteFile(name, bytes.Replace(text, []byte(old), []byte(new), 1), 0o644)
}

// dropJob removes a job from the clone: its folder, and its entry in pbt_project.yml.
func (st *story) dropJob(name string) error {
	file := filepath.Join(st.site.work, "pbt_project.yml")
	text, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("edit the sample project: %w", err)
	}
	before, entry, found := strings.Cut(string(text), "  jobs/"+name+":\n")
	next := strings.Index(entry, "\n  jobs/") // it is not the last one
	if !found || next < 0 {
		return fmt.Errorf("edit the sample project: pbt_project.yml lists no jobs/%s", name)
	}
	if err := os.WriteFile(file, []byte(before+entry[next+1:]), 0o644); err != nil {
		return err
	}
	return os.RemoveAll(filepath.Join(st.site.work, "jobs", name))
}

// editByHand changes daily_revenue in a workspace as a person's script does: with a token of its own, by the
// Jobs API.
func (st *story) editByHand(ctx context.Context, p *demoPlace) error {
	var list struct {
		Jobs []struct {
			ID json.Number `json:"job_id"`
		} `json:"jobs"`
	}
	if err := p.call(ctx, http.MethodGet, "/api/2.2/jobs/list?name=daily_revenue", nil, &list); err != nil {
		return err
	}
	if len(list.Jobs) != 1 {
		return fmt.Errorf("the workspace has %d jobs named daily_revenue", len(list.Jobs))
	}
	const update = "/api/2.2/jobs/update"
	body := fmt.Sprintf(`{"job_id": %s, "new_settings": {"max_concurrent_runs": 3,
    "schedule": {"quartz_cron_expression": "0 0 9 * * ?", "timezone_id": "Europe/Berlin"}}}`, list.Jobs[0].ID)
	st.command(fmt.Sprintf("curl -H \"Authorization: Bearer $TOKEN\" %s%s -d '%s'", p.url, update, body))
	p.byHand++
	return p.call(ctx, http.MethodPost, update, []byte(body), nil)
}

// call is a request of a person to the workspace.
func (p *demoPlace) call(ctx context.Context, method, path string, body []byte, out any) error {
	r, err := http.NewRequestWithContext(ctx, method, p.url+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", "Bearer "+p.person)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	switch {
	case err != nil:
		return err
	case resp.StatusCode != http.StatusOK:
		return fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, text)
	case out == nil:
		return nil
	}
	return json.Unmarshal(text, out)
}
