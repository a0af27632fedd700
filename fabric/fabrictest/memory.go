package fabrictest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"selvage/configs"
	"selvage/fabric"
)

// DAG is the kind of resource that Memory holds.
const DAG fabric.Kind = "dag"

// MemoryOptions shape a Memory.
type MemoryOptions struct {
	Installation string        // whose marks are ours
	SettleAfter  time.Duration // from a commit until it shows
}

// Memory is a fabric like an Airflow that parses a git bundle: all changes of a plan are one commit,
// which is taken at once and shows SettleAfter later. Until then Observe gives the old state. It names
// its resources itself, by the job's name, so that a definition may name others that come with the same
// commit. It is safe for concurrent use.
//
// A definition is the "request" object of a job's file, or the file itself where it has none. What means
// something to Memory in it:
//
//	name          the id; without it the name of the job, or the last part of its key
//	tasks         a list by task_id; shown sorted, from the last to the first
//	runs          keys of resources that must be there; become their ids
//	schedule      "@daily" is shown as "0 0 * * *"
//	paused        shown as false where it is absent
//	release       "{tag}" becomes the Binding's Tag; the field only labels
//	outside       a list of paths of files that others put there
//	import_error  such a definition is committed and never parsed: its step fails to settle
type Memory struct {
	o  MemoryOptions
	mu sync.Mutex
	// head is what the commits say and parsed what shows, each by id.
	head, parsed map[string]file
	commits      []*commit
	requests     int
	blind        bool
	faults       map[int]Fault // by the number of the request
	outside      map[fabric.Outside]bool
	ids          map[fabric.Outside][]string // of things that go by a name
	asked        int                         // things that Outside was asked about
	active       map[string]int              // runs under way, by id
}

// file is one committed definition.
type file struct {
	doc   fabric.Doc
	mark  fabric.Mark
	wrote string // nonce of the commit
}

// commit is one batch of changes.
type commit struct {
	nonce  string
	due    time.Time
	writes []write
	shown  bool
	failed error
}

// write sets one file, or deletes it.
type write struct {
	id   string
	file *file // nil deletes
}

// NewMemory returns an empty Memory.
func NewMemory(o MemoryOptions) *Memory {
	return &Memory{outside: map[fabric.Outside]bool{}, active: map[string]int{}, ids: map[fabric.Outside][]string{}, o: o, head: map[string]file{}, parsed: map[string]file{}, faults: map[int]Fault{}}
}

var errBlind = errors.New("the scheduler does not answer")

// parse shows the commits that are due. The caller holds mu.
func (m *Memory) parse() {
	now := time.Now()
	for _, c := range m.commits {
		if c.shown || c.due.After(now) {
			continue
		}
		c.shown = true
		for _, w := range c.writes {
			if w.file == nil {
				delete(m.parsed, w.id)
			} else if text, ok := w.file.doc.At("import_error").(string); ok {
				c.failed = errors.Join(c.failed, fmt.Errorf("dag %s can't be imported: %s", w.id, text))
			} else {
				m.parsed[w.id] = *w.file
			}
		}
	}
}

// Observe implements fabric.Fabric.
func (m *Memory) Observe(ctx context.Context, s fabric.Scope) (*fabric.Live, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if m.blind {
		return nil, errBlind
	}
	m.parse()
	pending, touched := map[string]string{}, map[string]bool{}
	for _, c := range m.commits {
		if !c.shown {
			pending[c.nonce] = c.nonce
			for _, w := range c.writes {
				touched[w.id] = true
			}
		}
	}
	look := s.Owned
	if s.Only != nil {
		look = s.Only
	}
	asked, gone := map[string]bool{}, []string(nil)
	for _, o := range look {
		asked[o.ID] = true
		if _, there := m.parsed[o.ID]; !there && o.Kind == DAG && !touched[o.ID] { // what is on its way is not gone
			gone = append(gone, o.ID)
		}
	}
	var objects []fabric.Object
	for _, id := range slices.Sorted(maps.Keys(m.parsed)) {
		if s.Only != nil && !asked[id] {
			continue
		}
		f := m.parsed[id]
		objects = append(objects, fabric.Object{ID: id, Kind: DAG, Name: id, Mark: f.mark, Managed: f.mark != fabric.Mark{}, Wrote: f.wrote, Doc: shown(f.doc)})
	}
	live := fabric.NewLive(time.Now(), s.Only == nil, "memory:/artifacts", objects, gone)
	live.Pending = pending
	return live, nil
}

// shown is a definition as the scheduler spells it.
func shown(d fabric.Doc) fabric.Doc {
	o := d.Object()
	if o["paused"] == nil {
		o["paused"] = false
	}
	if o["schedule"] == "@daily" {
		o["schedule"] = "0 0 * * *"
	}
	if tasks, ok := o["tasks"].([]any); ok {
		slices.SortStableFunc(tasks, func(a, b any) int { return strings.Compare(taskID(b), taskID(a)) })
	}
	o["last_parsed"] = json.Number("1")
	return fabric.NewDoc(o)
}

func taskID(task any) string {
	m, _ := task.(map[string]any)
	id, _ := m["task_id"].(string)
	return id
}

var dagRules = &fabric.Rules{
	Keys:       map[string]string{"tasks": "task_id"},
	Sets:       map[string]bool{"runs": true},
	Defaults:   map[string]fabric.Default{"paused": fabric.Value("false")},
	OutputOnly: map[string]bool{"last_parsed": true},
	Rest: func(live, _ fabric.Doc, _ string) fabric.Doc { // the name is the id
		o := live.Object()
		o["paused"] = true
		return fabric.NewDoc(o)
	},
}

// Rules implements fabric.Fabric.
func (m *Memory) Rules(fabric.Kind) *fabric.Rules { return dagRules }

// Steps puts all changes into one step.
func (m *Memory) Steps(changes []fabric.Change) []fabric.Step {
	if len(changes) == 0 {
		return nil
	}
	return []fabric.Step{{ID: fmt.Sprintf("commit of %d", len(changes)), Changes: slices.Clone(changes)}}
}

// Do commits the changes of a step under one intent: all of them are done or none is.
func (m *Memory) Do(ctx context.Context, s fabric.Step, j fabric.Journal) fabric.Outcome {
	o := fabric.Outcome{Results: make([]fabric.Result, len(s.Changes)), Status: fabric.Done}
	i := fabric.Intent{Nonce: fabric.NewNonce(), Op: fabric.OpCommit, Text: s.ID}
	var writes []write
	var part []int // indexes of the changes that write
	for n, c := range s.Changes {
		o.Results[n] = fabric.Result{Key: c.Key, ID: c.ID, Status: fabric.Done}
		w := write{id: c.ID}
		switch c.Action {
		case fabric.Create:
			w = write{c.Name, &file{c.Desired, fabric.MarkOf(m.o.Installation, c.Owner, i.Nonce), i.Nonce}}
		case fabric.Update, fabric.Quarantine, fabric.Leave:
			w.file = &file{c.Desired, c.Mark, i.Nonce}
		case fabric.Move:
			w.file = &file{c.Desired, fabric.MarkOf(m.o.Installation, c.Owner, c.Mark.Nonce), i.Nonce}
		case fabric.Delete:
		default:
			continue
		}
		part, writes = append(part, n), append(writes, w)
		i.Keys, i.Sent = append(i.Keys, c.Key), append(i.Sent, c.Desired)
		if w.file == nil {
			i.Sent[len(i.Sent)-1] = fabric.Doc{}
		}
		o.Results[n].ID, o.Results[n].Nonce = w.id, i.Nonce
	}
	if len(writes) == 0 {
		return o
	}
	fail := func(st fabric.Status, err error) fabric.Outcome {
		for _, n := range part {
			o.Results[n].Status, o.Results[n].Err = st, err
		}
		o.Status, o.Err = st, fmt.Errorf("%s: %w", s.ID, err)
		return o
	}
	if n, err := m.unchanged(s.Changes); err != nil { // nothing of the commit happens without this one
		fail(fabric.Later, fmt.Errorf("%s: %w", s.Changes[n].Key, err))
		return o
	}
	permitted, err := j.Begin(ctx, i)
	if err != nil {
		return fail(fabric.Later, fmt.Errorf("write down the intent: %w", err))
	}
	err = m.push(permitted, writes)
	var no *refusal
	switch {
	case errors.Is(err, errBusy), errors.Is(err, fabric.ErrNoIntent), errors.Is(err, fabric.ErrSpent):
		fail(fabric.Later, err)
	case errors.As(err, &no):
		fail(fabric.Later, err) // nothing of the commit happened, and the rest of it may be tried without this one
		for _, n := range part {
			if o.Results[n].ID == no.id {
				o.Results[n].Status = fabric.Refused
			}
		}
		o.Status = fabric.Refused
	case err != nil: // the connection broke: look whether the commit is there
		taken, lookErr := m.taken(i.Nonce)
		switch {
		case lookErr != nil:
			return fail(fabric.Doubtful, errors.Join(err, lookErr))
		case !taken:
			fail(fabric.Later, err)
		}
	}
	results := make([]fabric.Result, len(part))
	for n, of := range part {
		results[n] = o.Results[of]
	}
	if err := j.End(context.WithoutCancel(ctx), i.Nonce, results...); err != nil {
		return fail(fabric.Doubtful, fmt.Errorf("write down the outcome: %w", err))
	}
	if o.Status == fabric.Done {
		o.Receipt = i.Nonce
	}
	return o
}

// Active implements fabric.Fabric: the runs are those that SetActive said there are.
func (m *Memory) Active(ctx context.Context, _ fabric.Kind, ids []string) (map[string]int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if m.blind {
		return nil, errBlind
	}
	runs := make(map[string]int, len(ids))
	for _, id := range ids {
		runs[id] = m.active[id]
	}
	return runs, nil
}

// SetActive says how many runs of a definition are under way.
func (m *Memory) SetActive(id string, runs int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.active[id] = runs
}

// Settled says whether the commit of a step shows.
func (m *Memory) Settled(ctx context.Context, s fabric.Step) (fabric.State, time.Time, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return fabric.Unsettled, time.Time{}, err
	}
	if s.Receipt == "" {
		return fabric.Settled, time.Time{}, nil
	}
	if m.blind {
		return fabric.Unsettled, time.Time{}, errBlind
	}
	m.parse()
	for _, c := range m.commits {
		switch {
		case c.nonce != s.Receipt:
		case !c.shown:
			return fabric.Unsettled, c.due, nil
		case c.failed != nil:
			return fabric.Failed, time.Time{}, c.failed
		default:
			return fabric.Settled, time.Time{}, nil
		}
	}
	return fabric.Failed, time.Time{}, fmt.Errorf("no commit %s is there", s.Receipt)
}

// notRendered is the finding about a job that Memory can't carry over.
func notRendered(key, particulars string) configs.Finding {
	return configs.Found(configs.NotRendered, key, particulars)
}

// Outside knows only what SetOutside and SetNamed said is there.
func (m *Memory) Outside(ctx context.Context, things []fabric.Outside) (map[fabric.Outside]fabric.Sight, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if m.blind {
		return nil, errBlind
	}
	m.asked += len(things)
	seen := map[fabric.Outside]fabric.Sight{}
	for _, t := range things {
		seen[t] = fabric.Alone(m.ids[t])
		if m.outside[t] {
			seen[t] = fabric.Sight{Presence: fabric.Present}
		}
	}
	return seen, nil
}

// SetOutside puts something there that is not ours, or takes it away.
func (m *Memory) SetOutside(t fabric.Outside, there bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.outside[t] = there
}

// SetNamed puts things there that are not ours and that bear a name, each under an id, in place of those that did.
func (m *Memory) SetNamed(t fabric.Outside, ids ...string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ids[t] = ids
}

// Asked counts the things that Outside was asked about.
func (m *Memory) Asked() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.asked
}
