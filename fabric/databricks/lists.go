package databricks

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"selvage/fabric"
)

// The listing of jobs does not hold their access lists, and to read each takes a request. So each look reads a few of
// them, those whose last read is the longest ago, and gives of the others what was read last. A process begins
// without having read any.
const (
	leastInTurn  = 2
	pagesInTurn  = 12 // so many pages of the listing allow one list more
	listLag      = 30 * time.Second
	refusedTwice = 2 // an administrator, too, is refused a list now and then
)

// lists are the access lists that were read in this process.
type lists struct {
	mu   sync.Mutex
	byID map[string]list
}

// list is what is known of the access list of one job.
type list struct {
	doc     fabric.Doc // zero where it was never read
	at      time.Time  // when it was read
	tried   time.Time  // when that was tried last; zero: it is next
	refused int        // so often in a row
	writes  int        // by us
	before  fabric.Doc // as it was read before the last write
	wrote   time.Time  // when that was
}

// stale reports a list that reads as it did before a write of a moment ago: the service has not taken the write in yet.
func (l list) stale(doc fabric.Doc) bool {
	return time.Since(l.wrote) < listLag && !l.before.IsZero() && doc.Digest() == l.before.Digest()
}

func (l list) object(w *Workspace, id string) (fabric.Object, bool) {
	o := fabric.Object{ID: id, Kind: Permissions, Doc: l.doc, Read: l.at, URL: w.host + "/jobs/" + id}
	if o.Unread = l.refused >= refusedTwice || l.refused > 0 && l.doc.IsZero(); o.Unread {
		o.Doc = fabric.Doc{}
	}
	return o, o.Unread || !o.Doc.IsZero()
}

// forget is for a list that was just written, or may have been. It was as before until then.
func (ls *lists) forget(id string, before fabric.Doc) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	ls.set(id, list{writes: ls.byID[id].writes + 1, before: before, wrote: time.Now()})
}

// set is for who holds the lock.
func (ls *lists) set(id string, l list) {
	if ls.byID == nil {
		ls.byID = map[string]list{}
	}
	ls.byID[id] = l
}

// readLists reads the access lists of jobs and remembers them. What it could not find out stays as it was; the error is
// the first of those that are no answer about one list.
func (w *Workspace) readLists(ctx context.Context, ids []string) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(getsAtOnce)
	for _, id := range ids {
		g.Go(func() error {
			if _, err := w.readList(ctx, id); err != nil && !listRefused(err) {
				return err
			}
			return nil
		})
	}
	return g.Wait()
}

// listRefused reports the service's word that a list is not there for us to read. It says nothing of what is in it.
func listRefused(err error) bool {
	var e *CallError
	return errors.As(err, &e) && e.Status >= 400 && e.Status < 500 && e.Status != http.StatusUnauthorized && e.Status != http.StatusTooManyRequests
}

// readList reads one list and remembers it, or that it was refused.
func (w *Workspace) readList(ctx context.Context, id string) (fabric.Doc, error) {
	ls := &w.lists
	ls.mu.Lock()
	writes := ls.byID[id].writes
	ls.mu.Unlock()
	at := time.Now()
	doc, err := w.readAccess(ctx, id)
	if err != nil && !listRefused(err) {
		return doc, err
	}
	ls.mu.Lock()
	defer ls.mu.Unlock()
	l := ls.byID[id]
	switch {
	case l.writes != writes || err == nil && l.stale(doc): // it is another one by now, or will be
	case err == nil:
		ls.set(id, list{doc: doc, at: at, tried: at, writes: writes})
	default:
		if l.refused++; l.refused >= refusedTwice {
			l.tried = at
		}
		ls.set(id, l)
	}
	return doc, err
}

// remembered are the objects of the lists that were read, or that could not be, among those of the jobs.
func (w *Workspace) remembered(ids []string) []fabric.Object {
	w.lists.mu.Lock()
	defer w.lists.mu.Unlock()
	var objects []fabric.Object
	for _, id := range ids {
		if o, ok := w.lists.byID[id].object(w, id); ok {
			objects = append(objects, o)
		}
	}
	return objects
}

// inTurn reads the access lists whose turn it is, and returns what is known of all. Candidates are those that are
// owned, and those that somebody asked for once, of jobs of ours that are there. Of a list that can't be read now, what
// is known stays; the error is that of the context.
func (w *Workspace) inTurn(ctx context.Context, owned []fabric.Owned, jobs []fabric.Object, pages int) ([]fabric.Object, error) {
	candidates := map[string]bool{}
	for _, o := range owned {
		if o.Kind == Permissions {
			candidates[o.ID] = true
		}
	}
	w.lists.mu.Lock()
	for id := range w.lists.byID {
		candidates[id] = true
	}
	there := map[string]bool{}
	for _, j := range jobs {
		if j.Kind == Job && j.Mark.Installation == w.installation && candidates[j.ID] {
			there[j.ID] = true
		}
	}
	maps.DeleteFunc(w.lists.byID, func(id string, _ list) bool { return !there[id] })
	ids := slices.SortedFunc(maps.Keys(there), func(a, b string) int {
		return cmp.Or(w.lists.byID[a].tried.Compare(w.lists.byID[b].tried), strings.Compare(a, b))
	})
	w.lists.mu.Unlock()
	if len(ids) == 0 {
		return nil, nil
	}
	err := w.readLists(ctx, ids[:min(len(ids), max(leastInTurn, pages/pagesInTurn))])
	if err != nil && ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return w.remembered(ids), nil
}

// asked reads the access lists that somebody asks for.
func (w *Workspace) asked(ctx context.Context, owned []fabric.Owned) ([]fabric.Object, error) {
	var ids []string
	once := map[string]bool{}
	for _, o := range owned {
		if o.Kind == Permissions && o.ID != "" && !once[o.ID] {
			once[o.ID] = true
			ids = append(ids, o.ID)
		}
	}
	if err := w.readLists(ctx, ids); err != nil {
		return nil, err
	}
	return w.remembered(ids), nil
}
