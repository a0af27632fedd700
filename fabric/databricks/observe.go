package databricks

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"selvage/fabric"
)

const (
	listPath = "/api/2.2/jobs/list"
	getPath  = "/api/2.2/jobs/get"

	pageSize   = 100  // the most that the API gives
	maxPages   = 1000 // a workspace holds some 12,000 jobs
	getsAtOnce = 8
)

// Observe lists all jobs, or looks at those of s.Only by their ids. It reads a job on its own where
// a page cuts it off, and where s.Owned names one that the whole list lacks. A list that lacks too much of
// what should be in it is not Complete. Access lists are read in turns, see inTurn; those of s.Only are read now.
func (w *Workspace) Observe(ctx context.Context, s fabric.Scope) (*fabric.Live, error) {
	at := time.Now()
	live, err := w.observe(ctx, s, at)
	if err != nil {
		return nil, fmt.Errorf("look at fabric %s (%s): %w", w.name, w.host, err)
	}
	live.Sources = sourcesRoot(live.Root, live.Principal)
	return live, nil
}

func (w *Workspace) observe(ctx context.Context, s fabric.Scope, at time.Time) (*fabric.Live, error) {
	me, err := w.identify(ctx)
	if err != nil {
		return nil, err
	}
	root, err := w.artifactRoot(ctx)
	if err != nil {
		return nil, err
	}
	if s.Only != nil {
		objects, gone, err := w.byID(ctx, s.Only)
		if err != nil {
			return nil, err
		}
		w.keepReads(objects)
		sets, err := w.asked(ctx, s.Only)
		if err != nil {
			return nil, err
		}
		live := fabric.NewLive(at, false, root, append(objects, sets...), gone)
		live.Principal, live.Unseen = me.name, me.unseen
		return live, nil
	}
	ours := make(map[string]bool, len(s.Owned)) // those that were adopted carry no mark yet
	for _, o := range s.Owned {
		ours[o.ID] = true
	}
	reads := w.takeReads()
	jobs, err := w.list(ctx, map[string]any{"expand_tasks": true}, func(j listed) {
		if s.Seen == nil || !ours[j.ID.String()] || j.HasMore {
			return
		}
		if o, err := w.object(j, true); err == nil { // it comes again
			s.Seen(o)
		}
	})
	if err != nil {
		return nil, err
	}
	objects := make([]fabric.Object, len(jobs))
	now := listing{at, make(map[string]bool, len(jobs))}
	var cut []int
	for i, j := range jobs {
		whole := s.All || ours[j.ID.String()]
		o, err := w.object(j, whole)
		if err != nil {
			return nil, err
		}
		objects[i] = o
		now.ours[o.ID] = o.Mark.Installation == w.installation && o.Managed
		if j.HasMore && (o.Managed || whole) {
			cut = append(cut, i)
		}
	}
	accords, err := w.agree(ctx, objects, cut, reads, s)
	if err != nil {
		return nil, err
	}
	objects, gone, err := w.complete(ctx, objects, cut)
	if err != nil {
		return nil, err
	}
	more, err := w.expected(ctx, now, s)
	if err != nil {
		return nil, err
	}
	objects = append(objects, more.found...)
	sets, err := w.inTurn(ctx, s.Owned, objects, (len(jobs)+pageSize-1)/pageSize)
	if err != nil {
		return nil, err
	}
	live := fabric.NewLive(at, more.doubt.Code == "", root, append(objects, sets...), append(gone, more.gone...))
	live.Doubt, live.Accords = more.doubt, accords
	live.Principal, live.Unseen = me.name, me.unseen
	return live, nil
}

// complete reads the jobs of which the list gave only the first part. One that can't be read stays
// among the objects without its definition: were it to leave them, its mark would seem to be nowhere.
func (w *Workspace) complete(ctx context.Context, objects []fabric.Object, cut []int) (whole []fabric.Object, gone []string, err error) {
	if len(cut) == 0 {
		return objects, nil, nil
	}
	var owned []fabric.Owned
	part := map[string]bool{}
	for _, i := range cut {
		owned = append(owned, fabric.Owned{Kind: Job, ID: objects[i].ID})
		part[objects[i].ID] = true
	}
	found, gone, err := w.byID(ctx, owned)
	if err != nil {
		return nil, nil, err
	}
	byID := make(map[string]fabric.Object, len(found))
	for _, o := range found {
		byID[o.ID] = o
	}
	for _, o := range objects {
		read, ok := byID[o.ID]
		switch {
		case ok:
			o = read
		case slices.Contains(gone, o.ID):
			continue
		case part[o.ID]:
			o.Doc, o.Unread = fabric.Doc{}, true
		}
		whole = append(whole, o)
	}
	return whole, gone, nil
}

// byID looks at jobs one by one. One that the service says does not exist is gone; one that it does
// not let us see is neither among the objects nor gone.
func (w *Workspace) byID(ctx context.Context, owned []fabric.Owned) (objects []fabric.Object, gone []string, err error) {
	var ids []string
	asked := map[string]bool{}
	for _, o := range owned {
		if o.Kind == Job && o.ID != "" && !asked[o.ID] {
			asked[o.ID] = true
			ids = append(ids, o.ID)
		}
	}
	found := make([]fabric.Object, len(ids))
	absent := make([]bool, len(ids))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(getsAtOnce)
	for i, id := range ids {
		g.Go(func() error {
			o, err := w.job(ctx, id)
			var e *CallError
			switch {
			case err == nil:
				found[i] = o
			case errors.As(err, &e) && e.missing():
				absent[i] = true
			case errors.As(err, &e) && e.Status >= 400 && e.Status != http.StatusUnauthorized && e.Status != http.StatusTooManyRequests:
			default:
				return err
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, nil, err
	}
	for i, id := range ids {
		switch {
		case absent[i]:
			gone = append(gone, id)
		case found[i].ID != "":
			objects = append(objects, found[i])
		}
	}
	return objects, gone, nil
}

// listed is a job as list and get give it. In a list, settings are decoded in full only where they are asked for.
type listed struct {
	ID       json.Number     `json:"job_id"`
	Settings json.RawMessage `json:"settings"`
	HasMore  bool            `json:"has_more"` // a list of it goes on beyond this answer

	head *head // what its settings say first; nil before they were looked into
}

// head is what has to be known of each job, of whoever it is.
type head struct {
	Name string         `json:"name"`
	Tags map[string]any `json:"tags"`
	err  error
}

func headOf(settings json.RawMessage) head {
	var h head
	h.err = json.Unmarshal(settings, &h)
	return h
}

// list reads all pages. Its error means that there may be jobs that it did not see. each is called with every job of a page
// while the next one is on its way, by one goroutine at a time.
func (w *Workspace) list(ctx context.Context, query map[string]any, each func(listed)) ([]listed, error) {
	query["limit"] = pageSize
	var jobs []listed
	index := map[json.Number]int{}
	tokens := map[string]bool{}
	var heads errgroup.Group // of one page, while the service makes the next one
	heads.SetLimit(1)
	defer heads.Wait()
	for range maxPages {
		var page struct {
			Jobs    []listed `json:"jobs"`
			HasMore bool     `json:"has_more"`
			Next    string   `json:"next_page_token"`
		}
		if err := w.get(ctx, listPath, query, &page); err != nil {
			return nil, fmt.Errorf("list jobs: %w", err)
		}
		for i := range page.Jobs {
			page.Jobs[i].head = &head{}
		}
		heads.Go(func() error {
			for _, j := range page.Jobs {
				if len(j.Settings) > 0 {
					*j.head = headOf(j.Settings)
					each(j)
				}
			}
			return nil
		})
		again := 0
		for _, j := range page.Jobs {
			if i, seen := index[j.ID]; seen { // jobs were made or deleted while we turned pages
				jobs[i] = j
				again++
				continue
			}
			index[j.ID] = len(jobs)
			jobs = append(jobs, j)
		}
		if again > mayVanish && 2*again > len(page.Jobs) {
			return nil, fmt.Errorf("list jobs: %d of the %d jobs of a page were on earlier ones, after %d jobs", again, len(page.Jobs), len(jobs))
		}
		if page.Next == "" {
			if page.HasMore {
				return nil, fmt.Errorf("list jobs: the workspace says that there are more after %d jobs, and not where", len(jobs))
			}
			return jobs, heads.Wait()
		}
		if tokens[page.Next] {
			return nil, fmt.Errorf("list jobs: the workspace gives the same page twice, after %d jobs", len(jobs))
		}
		tokens[page.Next] = true
		query["page_token"] = page.Next
	}
	return nil, fmt.Errorf("list jobs: no end after %d pages", maxPages)
}

// passOver is for a list that nobody looks at before its end.
func passOver(listed) {}

// object is a job as the other rooms see it. The settings of one without a mark are decoded where whole says so.
func (w *Workspace) object(j listed, whole bool) (fabric.Object, error) {
	id := j.ID.String()
	if n, err := strconv.ParseInt(id, 10, 64); err != nil || n <= 0 {
		return fabric.Object{}, fmt.Errorf("read jobs: %q is no job id", w.redact(id))
	}
	o := fabric.Object{ID: id, Kind: Job, URL: w.host + "/jobs/" + id}
	if len(j.Settings) == 0 {
		return o, fmt.Errorf("read job %s: it has no settings", id)
	}
	h := j.head
	if h == nil {
		first := headOf(j.Settings)
		h = &first
	}
	if h.err != nil {
		return o, fmt.Errorf("read job %s: %w", id, h.err)
	}
	o.Name = h.Name
	o.Mark, o.Managed = markOf(h.Tags)
	o.Wrote = wroteOf(h.Tags)
	if !o.Managed && !whole {
		return o, nil
	}
	if j.Settings[0] != '{' {
		return o, fmt.Errorf("read job %s: its settings are no object", id)
	}
	o.Doc = fabric.LazyDoc(j.Settings, settingsOf)
	return o, nil
}

// settingsOf are the settings of a job without our mark. They came out of a decoder before, so that they are JSON.
func settingsOf(text []byte) fabric.Doc {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	var settings map[string]any
	if err := dec.Decode(&settings); err != nil {
		panic("the settings of a job were JSON and are no longer: " + err.Error())
	}
	return unmarked(settings)
}

// pagedLists are the arrays of a job that get gives in pages of 100.
var pagedLists = []string{"tasks", "job_clusters", "environments", "parameters"}

// job reads one job, all pages of it.
func (w *Workspace) job(ctx context.Context, id string) (fabric.Object, error) {
	j, err := w.whole(ctx, id)
	if err != nil {
		return fabric.Object{}, err
	}
	return w.object(j, true)
}

// whole is a job as get gives it, all pages of it in one.
func (w *Workspace) whole(ctx context.Context, id string) (listed, error) {
	query := map[string]any{"job_id": id}
	var whole map[string]any
	var job listed
	tokens := map[string]bool{}
	for range maxPages {
		var page struct {
			listed
			Next string `json:"next_page_token"`
		}
		if err := w.get(ctx, getPath, query, &page); err != nil {
			return listed{}, fmt.Errorf("read job %s: %w", id, err)
		}
		switch {
		case page.ID.String() != id:
			return listed{}, fmt.Errorf("read job %s: the workspace answers with job %s", id, w.redact(page.ID.String()))
		case whole == nil && page.Next == "":
			return page.listed, nil
		}
		d, err := fabric.ParseDoc(page.Settings)
		if err != nil {
			return listed{}, fmt.Errorf("read job %s: %w", id, err)
		}
		settings := d.Object()
		if whole == nil {
			whole, job = settings, page.listed
		} else {
			for _, name := range pagedLists {
				before, _ := whole[name].([]any)
				if more, _ := settings[name].([]any); len(more) > 0 {
					whole[name] = append(before, more...)
				}
			}
		}
		if page.Next == "" {
			job.Settings = fabric.NewDoc(whole).Canonical()
			return job, nil
		}
		if tokens[page.Next] {
			return listed{}, fmt.Errorf("read job %s: the workspace gives the same page twice", id)
		}
		tokens[page.Next] = true
		query["page_token"] = page.Next
	}
	return listed{}, fmt.Errorf("read job %s: no end after %d pages", id, maxPages)
}
