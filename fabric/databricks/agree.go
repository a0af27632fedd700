package databricks

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"selvage/configs"
	"selvage/fabric"
)

// The list of jobs and the job itself should say the same of it; nobody has promised that they do. So each job of ours is
// read on its own once, when it is seen first, and compared with the list: a part of them with each look, until all
// were. The ledger remembers what came of it. What a look at single jobs reads, as after a write, is kept until the next
// list, and compared with that: it costs no request where the two agree.
//
// Where they don't, because nobody changed the job in between, the job itself is believed: the list's own spelling
// would be drift for ever otherwise. As long as the list says the same of such a job as it did then, the job is taken
// to be as it was read; when the list changes, it is read again. A few are read again with each look anyway, for a
// change that the list never shows.

// reading is a job that the list and the job itself differ about.
type reading struct {
	got    fabric.Doc
	listed string // digest of what the list said
	fields []fabric.Field
	at     time.Time // when the job was read
}

const (
	// mostReadAgain are how many differing jobs are read again with each look although nothing hints at a change.
	mostReadAgain = 2
	// mostFieldsTold bounds the fields that a finding names.
	mostFieldsTold = 5
	// Of the jobs that were not compared so far, a look reads a tenth of those that are ours, and no fewer or more than
	// this.
	leastFirstReads, mostFirstReads = 25, 250
)

// keepReads notes jobs that were read one by one, to be compared with the next list.
func (w *Workspace) keepReads(objects []fabric.Object) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, o := range objects {
		if !o.Doc.IsZero() {
			w.reads[o.ID] = o.Doc
		}
	}
}

// takeReads are those that a list which begins now is newer than.
func (w *Workspace) takeReads() map[string]fabric.Doc {
	w.mu.Lock()
	defer w.mu.Unlock()
	reads := w.reads
	w.reads = map[string]fabric.Doc{}
	return reads
}

// agree compares a list with reads, what was read one by one before it, and puts the job itself in place of what the
// list says where the two differ. It leaves alone the objects of cut, of which the list gives only a part: those are
// read on their own each time. What it says of the jobs of the scope is what they do not know yet.
func (w *Workspace) agree(ctx context.Context, objects []fabric.Object, cut []int, reads map[string]fabric.Doc, s fabric.Scope) (map[string]fabric.Accord, error) {
	again, unread, listed := w.doubtful(objects, cut, reads, s)
	if len(again)+len(unread) > 0 {
		var owned []fabric.Owned
		for _, id := range again {
			owned = append(owned, fabric.Owned{Kind: Job, ID: id})
		}
		at := time.Now()
		found, _, err := w.byID(ctx, owned)
		if err != nil {
			return nil, err
		}
		found = append(found, w.firstReads(ctx, unread)...)
		w.mu.Lock()
		for _, o := range found {
			l := listed[o.ID]
			if fields := differences(o.Doc, l); len(fields) > 0 {
				w.differing[o.ID] = reading{got: o.Doc, listed: l.Digest(), fields: fields, at: at}
				w.accords[o.ID] = fabric.Differs
			} else {
				delete(w.differing, o.ID)
				w.accords[o.ID] = fabric.Agrees
			}
		}
		w.mu.Unlock()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, o := range objects {
		d, differs := w.differing[o.ID]
		if !differs || d.listed != o.Doc.Digest() {
			continue
		}
		objects[i].Doc = d.got
		objects[i].Notes = append(slices.Clone(o.Notes), configs.Found(configs.ListDiffers, "job "+o.ID, told(d.fields)))
	}
	news := map[string]fabric.Accord{}
	for _, o := range s.Owned {
		if a := w.accords[o.ID]; o.Kind == Job && a != fabric.Untold && a != o.Accord {
			news[o.ID] = a
		}
	}
	return news, nil
}

// firstReads reads jobs that were never compared. What goes wrong with one is no reason to doubt the list: that one is passed
// over until the next start, and those that were not read for it are left to the next look.
func (w *Workspace) firstReads(ctx context.Context, ids []string) []fabric.Object {
	var mu sync.Mutex
	var found []fabric.Object
	var over []string
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(getsAtOnce)
	for _, id := range ids {
		g.Go(func() error {
			if ctx.Err() != nil {
				return nil
			}
			o, err := w.job(ctx, id)
			mu.Lock()
			defer mu.Unlock()
			var e *CallError
			var busy *fabric.Busy
			switch {
			case err == nil:
				found = append(found, o)
			case ctx.Err() != nil: // cut short
			case errors.As(err, &busy), errors.As(err, &e) && e.Status == http.StatusTooManyRequests:
				return err
			default:
				over = append(over, id)
				if e == nil || e.Status < http.StatusBadRequest {
					return err
				}
			}
			return nil
		})
	}
	_ = g.Wait() // it only ends the reading
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, id := range over {
		w.passedOver[id] = true
	}
	return found
}

// doubtful are the ids of the jobs that have to be read on their own, those of some that were never compared, and what the
// list says of all of them.
func (w *Workspace) doubtful(objects []fabric.Object, cut []int, reads map[string]fabric.Doc, s fabric.Scope) (ids, unread []string, listed map[string]fabric.Doc) {
	partly := map[int]bool{}
	for _, i := range cut {
		partly[i] = true
	}
	first := make(map[string]fabric.Accord, len(s.Owned))
	ours := make(map[string]bool, len(s.Owned))
	for _, o := range s.Owned {
		if o.Kind == Job && o.ID != "" {
			ours[o.ID] = true
			first[o.ID] = o.Accord
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	listed = map[string]fabric.Doc{}
	var still []string // differing as before
	for i, o := range objects {
		if !o.Managed && !ours[o.ID] {
			continue
		}
		read, fresh := reads[o.ID]
		was, differs := w.differing[o.ID]
		before := first[o.ID]
		if told := w.accords[o.ID]; told != fabric.Untold {
			before = told
		}
		switch {
		case partly[i]:
			w.accords[o.ID] = fabric.Agrees
			continue
		case differs && was.listed == o.Doc.Digest():
			still = append(still, o.ID)
		case differs, fresh && len(differences(read, o.Doc)) > 0, before == fabric.Differs: // the last one: before this process
			ids = append(ids, o.ID)
		case fresh:
			w.accords[o.ID] = fabric.Agrees
			continue
		case s.Compare && ours[o.ID] && before == fabric.Untold && !w.passedOver[o.ID]:
			unread = append(unread, o.ID)
		default:
			continue
		}
		listed[o.ID] = o.Doc
	}
	for id := range w.differing {
		if _, there := listed[id]; !there {
			delete(w.differing, id)
		}
	}
	if len(s.Owned) > 0 {
		maps.DeleteFunc(w.accords, func(id string, _ fabric.Accord) bool { return !ours[id] })
		maps.DeleteFunc(w.passedOver, func(id string, _ bool) bool { return !ours[id] })
	}
	slices.SortFunc(still, func(a, b string) int { return w.differing[a].at.Compare(w.differing[b].at) })
	ids = append(ids, still[:min(len(still), mostReadAgain)]...)
	most := min(max(len(ours)/10, leastFirstReads), mostFirstReads)
	return ids, unread[:min(len(unread), most)], listed
}

// differences are the fields in which the list differs from the job itself: Old is what the list says.
func differences(got, listed fabric.Doc) []fabric.Field {
	fields, _ := fabric.Compare(fabric.Comparison{Rules: jobRules, Desired: got, Live: listed})
	return fields
}

// told names fields for people.
func told(fields []fabric.Field) string {
	var names []string
	for i, f := range fields {
		if i == mostFieldsTold {
			names = append(names, fmt.Sprintf("and %d more", len(fields)-i))
			break
		}
		names = append(names, f.Path)
	}
	return strings.Join(names, ", ")
}

const (
	// mostCompared bounds the jobs with a mark that a check reads one by one, and leastCompared is how many it reads, with
	// others, where there are so many.
	mostCompared  = 1000
	leastCompared = 40
)

// compareReads reads listed jobs one by one, those with a mark and some others, and says what differs.
func (w *Workspace) compareReads(ctx context.Context, jobs []listed) (text string, differ bool, err error) {
	var marked, others []listed
	for _, j := range jobs {
		o, err := w.object(j, true)
		switch {
		case err != nil:
			return "", false, err
		case j.HasMore: // the list has a part of it, and says so
		case o.Managed:
			marked = append(marked, j)
		default:
			others = append(others, j)
		}
	}
	some := marked[:min(len(marked), mostCompared)]
	some = append(some, others[:min(len(others), max(leastCompared-len(some), 0))]...)
	found := make([]string, len(some))
	unread := make([]error, len(some))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(getsAtOnce)
	for i, j := range some {
		g.Go(func() error {
			whole, err := w.whole(ctx, j.ID.String())
			if err != nil {
				unread[i] = err
				return ctx.Err()
			}
			got, err := fabric.ParseDoc(whole.Settings)
			if err != nil {
				unread[i] = fmt.Errorf("read job %s: %w", j.ID, err)
				return nil
			}
			list, err := fabric.ParseDoc(j.Settings)
			if err != nil {
				unread[i] = fmt.Errorf("read job %s: %w", j.ID, err)
				return nil
			}
			if fields := differences(got, list); len(fields) > 0 {
				found[i] = fmt.Sprintf("job %s: %s", j.ID, told(fields))
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return "", false, err
	}
	for _, err := range unread {
		var e *CallError
		if err != nil && !(errors.As(err, &e) && e.missing()) { // somebody may have deleted it meanwhile
			return "", false, err
		}
	}
	found = slices.DeleteFunc(found, func(s string) bool { return s == "" })
	of := fmt.Sprintf("%d of them, read one by one", len(some))
	if len(found) == 0 {
		return of + ", are as the list says", false, nil
	}
	text = fmt.Sprintf("of %s, the list differs in %d; the jobs themselves are believed. %s", of, len(found), strings.Join(found[:min(len(found), mostFieldsTold)], "; "))
	return text, true, nil
}
