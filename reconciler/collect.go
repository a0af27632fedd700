package reconciler

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"selvage/configs"
	"selvage/fabric"
	"selvage/reconciler/ledger"
)

const (
	// DefaultKeep is how many releases of each deployment keep their artifacts on a fabric.
	DefaultKeep = 10
	// leastAge is how long an artifact stays at least, and how long the artifacts of a release stay that something was
	// done for: a run that began with them may still need them.
	leastAge = 7 * 24 * time.Hour
	// removedAtOnce is how many files go under one intent.
	removedAtOnce = 100
)

// CollectRequest asks for the artifacts of a fabric that nothing names any more.
type CollectRequest struct {
	Fabric string `json:"fabric"`
	Keep   int    `json:"keep"`          // last releases of each deployment; at least 1
	Dry    bool   `json:"dry,omitempty"` // list them only
	By     string `json:"by"`
}

// Collected is what came of it.
type Collected struct {
	Fabric string `json:"fabric"`
	Root   string `json:"root"` // of most of them
	// Files are those that nothing names, by path; removed unless Dry.
	Files   []fabric.File `json:"files"`
	Removed bool          `json:"removed"`
	Kept    KeptFiles     `json:"kept"`
}

// KeptFiles counts the folders of artifacts that stay, each under the first reason that holds.
type KeptFiles struct {
	Jobs     int `json:"jobs"`     // a live job names it, of whoever
	Releases int `json:"releases"` // a release that is kept names it
	Files    int `json:"files"`    // a file that is kept names it
	Young    int `json:"young"`    // something in it is younger than a week
	Foreign  int `json:"foreign"`  // something in it was not put there by this installation
}

// Collect removes the artifacts of a fabric that no live job names, none of the last releases of any deployment, and
// no file that one of those needs; that are older than a week; and that this installation put there. What can't be read
// as a whole names everything: then nothing is removed.
//
// While it removes, no round of a deployment that has its artifacts there runs: one that needs a file again looks for
// it, and puts it there again.
func (r *Reconciler) Collect(ctx context.Context, a CollectRequest) (Collected, error) {
	s := r.use()
	defer r.leave(s)
	ctx, stop := r.whileRunning(ctx)
	defer stop()
	if _, ok := s.Config.Fabrics[a.Fabric]; !ok {
		return Collected{}, fmt.Errorf("unknown fabric %q: the configuration has %s", a.Fabric, few(slices.Sorted(mapKeys(s.Config.Fabrics))))
	}
	if a.Keep < 1 {
		return Collected{}, fmt.Errorf("keep %d releases: at least the last one of each deployment is kept", a.Keep)
	}
	c := &collecting{Reconciler: r, setup: s, ask: a, now: time.Now()}
	if err := c.open(ctx); err != nil {
		return Collected{}, err
	}
	if a.Dry {
		return c.find(ctx)
	}
	if a.By == "" {
		return Collected{}, errors.New("nobody asked: to remove artifacts needs to know who does")
	}
	for _, name := range c.deployments() {
		if err := r.queue.hold(ctx, name); err != nil {
			return Collected{}, err
		}
		defer r.queue.done(name, time.Time{})
	}
	if err := c.still(); err != nil {
		return Collected{}, err
	}
	if err := c.conclude(ctx); err != nil {
		return Collected{}, err
	}
	found, err := c.find(ctx)
	if err == nil {
		err = c.remove(ctx, found.Files)
	}
	found.Removed = err == nil
	return found, err
}

// collecting is one call of Collect.
type collecting struct {
	*Reconciler
	setup  *Setup
	ask    CollectRequest
	now    time.Time
	roots  []string
	shared []string // fabrics with artifacts in the same places, the asked one first
}

// open finds out which fabrics share a place: of one workspace, and of a volume whichever workspaces there are.
func (c *collecting) open(ctx context.Context) error {
	places := map[string]bool{}
	asked := c.setup.Config.Fabrics[c.ask.Fabric]
	names := slices.DeleteFunc(slices.Sorted(mapKeys(c.setup.Config.Fabrics)), func(name string) bool { return name == c.ask.Fabric })
	for _, name := range slices.Insert(names, 0, c.ask.Fabric) {
		f := c.setup.Config.Fabrics[name]
		if f.Databricks.Host != asked.Databricks.Host && (f.Artifacts != asked.Artifacts || !strings.HasPrefix(f.Artifacts, "/Volumes/")) {
			continue // its places are others, whoever logs in
		}
		collector, ok := c.setup.Fabrics[name].(fabric.Collector)
		if !ok {
			if name == c.ask.Fabric {
				return fmt.Errorf("fabric %s has no artifacts to be removed", name)
			}
			continue
		}
		roots, err := collector.Roots(ctx)
		if err != nil {
			return err
		}
		shares := name == c.ask.Fabric
		for _, root := range roots {
			at := root
			if !strings.HasPrefix(root, "/Volumes/") {
				at = f.Databricks.Host + root
			}
			if name == c.ask.Fabric {
				places[at] = true
			}
			shares = shares || places[at]
		}
		if name == c.ask.Fabric {
			c.roots = roots
		}
		if shares {
			c.shared = append(c.shared, name)
		}
	}
	return nil
}

func (c *collecting) collector() fabric.Collector {
	return c.setup.Fabrics[c.ask.Fabric].(fabric.Collector) // see open
}

// deployments are those that have artifacts in the place, sorted.
func (c *collecting) deployments() []string {
	var names []string
	for _, d := range c.setup.Config.Deployments {
		if slices.Contains(c.shared, d.Fabric.Name) {
			names = append(names, d.Name())
		}
	}
	return names
}

// still is the reason why nothing may be removed, or nil.
func (c *collecting) still() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.broken != nil {
		return c.broken
	}
	if c.Reconciler.setup != c.setup {
		return errReconfigured
	}
	for _, name := range c.shared {
		if p, ok := c.state.suspensions[name]; ok && (p.Until.IsZero() || time.Now().Before(p.Until)) {
			return fmt.Errorf("fabric %s: %s", name, suspensionFinding(p).Text)
		}
	}
	return nil
}

// find lists what may go.
func (c *collecting) find(ctx context.Context) (Collected, error) {
	out := Collected{Fabric: c.ask.Fabric, Root: c.roots[0], Files: []fabric.File{}}
	h, err := c.history()
	if err != nil {
		return out, err
	}
	jobs := map[string]bool{}
	looking := &round{Reconciler: c.Reconciler, Setup: c.setup, at: c.now}
	for _, name := range c.shared {
		mentions, unseen, err := c.setup.Fabrics[name].(fabric.Collector).Mentions(ctx, fabric.Scope{Owned: looking.ownedOn(name)})
		if err != nil {
			return out, err
		}
		if unseen != "" && c.setup.Config.Fabrics[name].Visibility != configs.SeesOwn {
			f := configs.Found(configs.NotAllSeen, name, unseen)
			return out, fmt.Errorf("fabric %s: %s: a job that does not show may name an artifact", name, f.Text)
		}
		for digest := range mentions {
			jobs[digest] = true
		}
	}
	there := map[string][]string{} // digest to the roots that have it
	var folders, kept []string
	for _, root := range c.roots {
		names, err := c.collector().Folders(ctx, root)
		if err != nil {
			return out, err
		}
		for _, name := range names {
			if there[name] = append(there[name], root); len(there[name]) > 1 {
				continue
			}
			folders = append(folders, name)
			if jobs[name] || h.named[name] {
				kept = append(kept, name)
			}
		}
	}
	needed, err := c.needed(ctx, kept, there, h)
	if err != nil {
		return out, err
	}
	slices.Sort(folders)
	for _, name := range folders {
		switch {
		case jobs[name]:
			out.Kept.Jobs++
			continue
		case h.named[name]:
			out.Kept.Releases++
			continue
		case needed[name]:
			out.Kept.Files++
			continue
		}
		files, err := c.filesOf(ctx, name, there)
		if err != nil {
			return out, err
		}
		young, foreign := false, false
		for _, f := range files {
			young = young || f.Modified.IsZero() || c.now.Sub(f.Modified) < leastAge
			foreign = foreign || f.Odd != "" || !h.ours[f.Path]
		}
		switch {
		case foreign: // whoever put it there may need the rest too
			out.Kept.Foreign++
		case young:
			out.Kept.Young++
		default:
			out.Files = append(out.Files, files...)
		}
	}
	return out, nil
}

// filesOf lists the files of a digest below all roots.
func (c *collecting) filesOf(ctx context.Context, name string, there map[string][]string) ([]fabric.File, error) {
	var all []fabric.File
	for _, root := range there[name] {
		files, err := c.collector().Files(ctx, root, name)
		if err != nil {
			return nil, err
		}
		all = append(all, files...)
	}
	return all, nil
}

// needed are the folders that files in kept ones name, directly or through others: a script names the profile that it
// reads. Wheels and jars name none.
func (c *collecting) needed(ctx context.Context, kept []string, there map[string][]string, h history) (map[string]bool, error) {
	found := map[string]bool{}
	seen := map[string]bool{}
	for len(kept) > 0 {
		name := kept[0]
		kept = kept[1:]
		if seen[name] || h.archives[name] {
			continue
		}
		seen[name] = true
		files, err := c.filesOf(ctx, name, there)
		if err != nil {
			return nil, err
		}
		for _, f := range files {
			if f.Odd != "" || isArchive(f.Path) {
				continue
			}
			content, err := c.collector().Content(ctx, f)
			if err != nil {
				return nil, err
			}
			for _, digest := range digestIn.FindAllString(string(content), -1) {
				if there[digest] != nil && digest != name {
					found[digest] = true
					kept = append(kept, digest)
				}
			}
		}
	}
	return found, nil
}

var digestIn = regexp.MustCompile(`[0-9a-f]{64}`)

func isArchive(p string) bool {
	switch strings.ToLower(path.Ext(p)) {
	case ".whl", ".jar":
		return true
	}
	return false
}

// history is what the ledger says of artifacts.
type history struct {
	named    map[string]bool // digests in documents of releases that are kept, and of all that is live or was released
	ours     map[string]bool // paths that this installation uploaded
	archives map[string]bool // folders of ours that hold nothing but wheels and jars
}

// releaseSeen is what one release of a deployment sent.
type releaseSeen struct {
	last time.Time       // when something was done for it
	seq  uint64          // of the entry that says so
	sent map[string]bool // digests of documents
}

// history reads the ledger from its beginning. A document that can't be read might name anything, so it is an error.
func (c *collecting) history() (history, error) {
	h := history{named: map[string]bool{}, ours: map[string]bool{}, archives: map[string]bool{}}
	releases := map[string]map[string]*releaseSeen{} // by deployment and release
	at := func(e ledger.Entry, release string) *releaseSeen {
		dep := e.Deployment
		seen := releases[dep][release]
		if seen == nil {
			seen = &releaseSeen{sent: map[string]bool{}}
			set(releases, dep, release, seen)
		}
		seen.last, seen.seq = e.Time, e.Seq
		return seen
	}
	s := newState(&table{})
	for e, err := range c.Ledger.Entries(0) {
		if err != nil {
			return h, err
		}
		if err := s.fold(e); err != nil {
			return h, err
		}
		s.table.pending = nil
		switch e.Kind {
		case kindIntent:
			i, open := s.intents[e.Deployment][e.Intent]
			if !open {
				continue
			}
			if i.Op == fabric.OpUpload {
				h.uploaded(i.Paths, e.Text)
			}
			for _, digest := range i.Sent {
				at(e, i.Release).sent[digest] = true
			}
		case kindPhase:
			var p phaseReached
			if err := json.Unmarshal(e.Data, &p); err != nil {
				return h, err // fold has read it
			}
			if p.Live && p.Revision.Release != "" { // its jobs, sent for whichever release
				seen := at(e, p.Revision.Release)
				for _, a := range s.applied[e.Deployment] {
					seen.sent[a.Sent] = true
				}
			}
		}
	}
	sent := map[string]bool{}
	for _, byRelease := range releases {
		var all []*releaseSeen
		for _, seen := range byRelease {
			all = append(all, seen)
		}
		slices.SortFunc(all, func(a, b *releaseSeen) int { return cmp.Compare(b.seq, a.seq) })
		for n, seen := range all {
			if n < c.ask.Keep || c.now.Sub(seen.last) < leastAge {
				for digest := range seen.sent {
					sent[digest] = true
				}
			}
		}
	}
	for _, owned := range []map[string]map[fabric.Key]Applied{s.applied, s.formerly} {
		for _, byKey := range owned {
			for _, a := range byKey {
				sent[a.Sent], sent[a.Read] = true, true
			}
		}
	}
	for _, byNonce := range s.intents {
		for _, i := range byNonce {
			for _, digest := range i.Sent {
				sent[digest] = true
			}
		}
	}
	delete(sent, "")
	for digest := range sent {
		content, err := c.Documents.Read(digest)
		if err != nil {
			return h, fmt.Errorf("read what was sent to a fabric, to see which artifacts it names: %w", err)
		}
		for _, name := range digestIn.FindAllString(string(content), -1) {
			h.named[name] = true
		}
	}
	return h, nil
}

// uploaded notes what an upload put on a fabric. Earlier versions wrote its path into the text alone.
func (h *history) uploaded(paths []string, text string) {
	if i := strings.LastIndex(text, ") to /"); len(paths) == 0 && i >= 0 {
		paths = []string{text[i+len(") to "):]}
	}
	for _, p := range paths {
		h.ours[p] = true
		folder := digestIn.FindString(p)
		if was, known := h.archives[folder]; !known || was {
			h.archives[folder] = isArchive(p)
		}
	}
}

// conclude ends removals whose outcome is not known: to remove again what they named does no harm, and this one looks
// at everything anew.
func (c *collecting) conclude(ctx context.Context) error {
	c.mu.Lock()
	var open []openIntent
	for _, i := range c.state.intents[""] {
		if i.Op == fabric.OpCollect {
			open = append(open, i)
		}
	}
	c.mu.Unlock()
	slices.SortFunc(open, func(a, b openIntent) int { return a.At.Compare(b.At) })
	for _, i := range open {
		if err := c.end(ctx, i.Nonce, fabric.Result{Status: fabric.Later, Err: errors.New("it was interrupted; what is left of it is looked at again")}); err != nil {
			return err
		}
	}
	return nil
}

// remove removes files, some of one root at a time.
func (c *collecting) remove(ctx context.Context, files []fabric.File) error {
	for _, root := range c.roots {
		below := slices.DeleteFunc(slices.Clone(files), func(f fabric.File) bool { return !strings.HasPrefix(f.Path, root+"/") })
		for batch := range slices.Chunk(below, removedAtOnce) {
			res := c.collector().Remove(ctx, batch, c)
			var paths []string
			for _, f := range batch {
				paths = append(paths, f.Path)
			}
			for _, name := range c.shared {
				c.setup.Fabrics[name].(fabric.Collector).Forget(paths)
			}
			if res.Status != fabric.Done {
				return fmt.Errorf("%s: %w", res.Status, res.Err)
			}
		}
	}
	return nil
}

// Begin makes the intent durable, as a fabric.Journal does.
func (c *collecting) Begin(ctx context.Context, i fabric.Intent) (context.Context, error) {
	still := func() error {
		if ctx.Err() != nil {
			return errStopping
		}
		return c.still()
	}
	if err := still(); err != nil {
		return nil, err
	}
	e := ledger.Entry{Kind: kindIntent, Fabric: c.ask.Fabric, Intent: i.Nonce, By: c.ask.By, Text: i.Text, Data: encode(intentMade{Op: i.Op, Paths: i.Paths})}
	if _, err := c.record(ctx, e); err != nil {
		return nil, err
	}
	return fabric.WithPermit(ctx, i, still), nil
}

// End writes the outcome down.
func (c *collecting) End(ctx context.Context, nonce string, rs ...fabric.Result) error {
	for _, r := range rs {
		if r.Status != fabric.Doubtful {
			return c.end(ctx, nonce, r)
		}
	}
	return nil
}

func (c *collecting) end(ctx context.Context, nonce string, r fabric.Result) error {
	seen := resultSeen{Status: r.Status.String()}
	text := "remove artifacts: " + seen.Status
	if r.Err != nil {
		seen.Error = r.Err.Error()
		text += ": " + seen.Error
	}
	_, err := c.record(context.WithoutCancel(ctx), ledger.Entry{Kind: kindOutcome, Fabric: c.ask.Fabric, Intent: nonce, Text: text, Data: encode(outcomeSeen{Results: []resultSeen{seen}})})
	return err
}
