package reconciler

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"

	"selvage/artifacts"
	"selvage/configs"
	"selvage/fabric"
	"selvage/reconciler/ledger"
)

// simPlace is as much of a fabric as planning needs.
type simPlace struct{ fabric.Fabric }

func (simPlace) Rules(fabric.Kind) *fabric.Rules { return rules }

// gitJob is a job as committed.
type gitJob struct {
	committed string // fabric id
	x         int
	every     bool
	broken    bool // it can't be rendered
}

// simDeployment is one deployment with what its last reading of git said.
type simDeployment struct {
	*configs.Deployment
	workspace *simWorkspace
	sighting  time.Time
	seen      map[fabric.Key]gitJob // nil: never read
	partial   bool
	oracle    simOracle
}

// sim is a world of rounds.
type sim struct {
	t           *testing.T
	rnd         *rand.Rand
	now         time.Time
	git         map[fabric.Key]gitJob
	r           *Reconciler
	setup       *Setup
	rows        map[fact][]byte // of the table
	deployments []*simDeployment
	docs        map[string]fabric.Doc
	store       *artifacts.Store // empty: the documents are all in memory
	ids, nonces int
	tally       simTally
	story       []string // the last things that happened
	wrong       string   // what the oracle found
}

var simKeys = []fabric.Key{"jobs/a", "jobs/b", "jobs/c", "jobs/d", "jobs/e", "jobs/f"}

const simHome, simAway = "4004", "1174" // fabric ids of the two fabrics

func newSim(t *testing.T, seed uint64) *sim {
	s := &sim{t: t, rnd: rand.New(rand.NewPCG(seed, 11)), now: noon, git: map[fabric.Key]gitJob{}, rows: map[fact][]byte{}, docs: map[string]fabric.Doc{}}
	var err error
	if s.store, err = artifacts.OpenStore(t.TempDir()); err != nil {
		t.Fatal(err)
	}
	project := &configs.Project{Name: "hello", Poll: time.Minute}
	config := &configs.Config{}
	s.setup = &Setup{Config: config, Fabrics: map[string]fabric.Fabric{}, looks: map[string]*looks{}}
	for _, f := range []struct{ name, id string }{{"home", simHome}, {"away", simAway}} {
		place := &configs.Fabric{Name: f.name, ProphecyIDs: []string{f.id}}
		policy := &configs.Policy{Name: "p", Heal: true, Prune: configs.Prune{Max: 2, Percent: 60, ActiveRuns: configs.RunsWait}}
		d := &configs.Deployment{Project: project, Fabric: place, Policy: policy, Mode: configs.Apply}
		config.Deployments = append(config.Deployments, d)
		s.setup.Fabrics[f.name], s.setup.looks[f.name] = simPlace{}, &looks{}
		s.deployments = append(s.deployments, &simDeployment{Deployment: d, workspace: &simWorkspace{}, oracle: newSimOracle()})
	}
	s.restart()
	for _, k := range simKeys[:4] {
		s.git[k] = gitJob{committed: simHome, every: true}
	}
	return s
}

// restart forgets what is in memory, and reads the state from its rows.
func (s *sim) restart() {
	docs := map[string]fabric.Doc{}
	if s.r != nil {
		docs = s.r.documents.cache // they lie on disk, too
		s.save()
	}
	s.r = &Reconciler{Options: Options{Installation: inst}, state: newState(&table{}), documents: documents{store: s.store, cache: docs}, last: map[string]Decision{}}
	for k, value := range s.rows {
		if err := s.r.state.load(k.kind, k.dep, k.key, value); err != nil {
			s.t.Fatal(err)
		}
	}
}

// save writes the pending rows, as a flush does.
func (s *sim) save() {
	t := s.r.state.table
	for f, value := range t.pending {
		if value == nil {
			delete(s.rows, f)
		} else {
			s.rows[f] = value
		}
	}
	clear(t.pending)
}

func (s *sim) once(in int) bool { return s.rnd.IntN(in) == 0 }

func (s *sim) tell(format string, args ...any) {
	if len(s.story) > 60 {
		s.story = append(s.story[:0:0], s.story[30:]...)
	}
	s.story = append(s.story, s.now.Format("02 15:04:05 ")+fmt.Sprintf(format, args...))
}

// doc is a definition; equal ones are one.
func (s *sim) doc(k fabric.Key, x int, every, paused bool, name string) fabric.Doc {
	id := fmt.Sprint(k, x, every, paused, name)
	d, ok := s.docs[id]
	if !ok {
		o := map[string]any{"name": name, "x": json.Number(strconv.Itoa(x))}
		if every {
			o["every"] = "day"
		}
		if paused {
			o["paused"] = true
		}
		d = fabric.NewDoc(o)
		if len(s.docs) < 10_000 {
			s.docs[id] = d
		}
	}
	return d
}

func (s *sim) keep(d fabric.Doc) string {
	if d.IsZero() {
		return ""
	}
	digest := d.Digest()
	if len(s.r.documents.cache) > 20_000 {
		used := map[string]bool{}
		for _, all := range []map[string]map[fabric.Key]Applied{s.r.state.applied, s.r.state.formerly} {
			for _, owned := range all {
				for _, a := range owned {
					used[a.Sent], used[a.Read] = true, true
				}
			}
		}
		for _, open := range s.r.state.intents {
			for _, i := range open {
				for _, digest := range slices.Concat(i.Sent, i.Read) {
					used[digest] = true
				}
			}
		}
		s.r.documents.keep(used)
	}
	s.r.documents.cache[digest] = d
	return digest
}

func (s *sim) fold(entries ...ledger.Entry) {
	for _, e := range entries {
		e.Time = s.now
		if err := s.r.state.fold(e); err != nil {
			s.t.Fatal(err)
		}
	}
	s.save()
}

// events change git, the configuration and the workspaces behind everybody's back.
func (s *sim) events() {
	k := simKeys[s.rnd.IntN(len(simKeys))]
	j, there := s.git[k]
	switch s.rnd.IntN(24) {
	case 0:
		s.git[k] = gitJob{committed: []string{simHome, simHome, simAway}[s.rnd.IntN(3)], x: s.rnd.IntN(3), every: !s.once(4)}
	case 1, 2:
		delete(s.git, k)
	case 3:
		if there {
			j.x++
			s.git[k] = j
		}
	case 4:
		if there { // to the other fabric
			j.committed = map[string]string{simHome: simAway, simAway: simHome, "": simHome}[j.committed]
			s.git[k] = j
		}
	case 5:
		if there {
			j.broken = !j.broken
			s.git[k] = j
		}
	case 6: // another key for the same job
		to := simKeys[s.rnd.IntN(len(simKeys))]
		if _, taken := s.git[to]; there && !taken {
			delete(s.git, k)
			s.git[to] = j
			if !s.once(5) {
				for _, d := range s.deployments {
					d.Moved = map[string]string{string(k): string(to)}
				}
			}
		}
	case 7, 14:
		s.configure(s.deployments[s.rnd.IntN(2)])
	case 8, 9:
		s.byHand(s.deployments[s.rnd.IntN(2)].workspace)
	case 10:
		if s.once(3) {
			s.restart()
			s.tally.restarts++
			s.tell("restart")
		}
	case 11: // runs begin and end
		for _, d := range s.deployments {
			for _, j := range d.workspace.jobs {
				if j.runs > 0 && s.once(2) {
					j.runs = 0
				} else if s.once(4) {
					j.runs = 1 + s.rnd.IntN(2)
				}
			}
		}
	case 12:
		if there && s.once(4) {
			j.committed = "" // saved by something else
			s.git[k] = j
		}
	case 13:
		if s.once(40) {
			s.r.documents.cache = map[string]fabric.Doc{} // the private store is lost
			s.tell("no document is known any more")
		}
	default:
		return
	}
}

func (s *sim) configure(d *simDeployment) {
	policy := *d.Policy
	switch s.rnd.IntN(7) {
	case 0:
		policy.Protect = nil
		if s.once(2) {
			policy.Protect = []string{"jobs/{a,b}"}
		}
	case 1:
		d.Protect = nil
		if s.once(2) {
			d.Protect = []string{string(simKeys[s.rnd.IntN(len(simKeys))])}
		}
	case 2:
		policy.Prune.Quarantine = []time.Duration{0, 3 * time.Minute, 10 * time.Minute}[s.rnd.IntN(3)]
	case 3:
		policy.Prune.ActiveRuns = []configs.ActiveRuns{configs.RunsWait, configs.RunsWait, configs.RunsCancel, configs.RunsIgnore}[s.rnd.IntN(4)]
	case 4:
		policy.Prune.Max, policy.Prune.Percent = s.rnd.IntN(4), 20*s.rnd.IntN(6)
	case 5:
		d.Jobs = nil // those of the fabric's id
		if s.once(3) {
			d.Jobs = []string{[]string{"jobs/*", "jobs/{a,b,c}", "jobs/[d-f]"}[s.rnd.IntN(3)]}
		}
	case 6:
		policy.Heal = !s.once(4)
	}
	d.Policy = &policy
	s.tell("%s is kept by prune %v, protect %v, jobs %v", d.Name(), policy.Prune, d.Protected(), d.Jobs)
}

// byHand is what people do in a workspace.
func (s *sim) byHand(w *simWorkspace) {
	if len(w.jobs) == 0 {
		return
	}
	i := s.rnd.IntN(len(w.jobs))
	j := w.jobs[i]
	s.tally.hand++
	switch s.rnd.IntN(10) {
	case 0: // a copy has everything but the id
		if len(w.jobs) < 12 {
			copied := *j
			copied.id, copied.born, copied.truth = s.newID(), s.now.Unix(), simTruth{}
			if j.truth.owner != (fabric.Owner{}) {
				copied.origin = j.truth
			}
			w.jobs = append(w.jobs, &copied)
			s.tell("somebody copies job %s to %s", j.id, copied.id)
		}
	case 1:
		j.mark = fabric.Mark{}
		s.tell("somebody takes the mark off job %s", j.id)
	case 2:
		w.drop(j.id)
		s.tell("somebody deletes job %s", j.id)
	case 3, 4:
		o := j.doc.Object()
		o["x"] = 50 + s.rnd.IntN(3)
		j.doc = fabric.NewDoc(o)
		s.tell("somebody edits job %s", j.id)
	case 5:
		o := j.doc.Object()
		if o["paused"] != nil {
			delete(o, "paused")
		} else if o["every"] != nil {
			o["paused"] = true
		}
		j.doc = fabric.NewDoc(o)
		s.tell("somebody pauses job %s, or starts it again", j.id)
	case 6:
		j.hidden = !j.hidden
		s.tell("job %s hidden: %v", j.id, j.hidden)
	default: // somebody tidies up
		for _, j := range slices.Clone(w.jobs) {
			if j.hidden = false; j.truth.owner.Key == "" || j.mark == (fabric.Mark{}) {
				w.drop(j.id)
			}
		}
	}
}

func (s *sim) newID() string {
	s.ids++
	return strconv.Itoa(s.ids)
}

func (s *sim) newNonce() string {
	s.nonces++
	return fmt.Sprintf("n%d", s.nonces)
}

// look is what a listing says; nil where there is none.
func (s *sim) look(d *simDeployment) *fabric.Live {
	if s.once(25) {
		s.tally.outages++
		return nil
	}
	complete := !s.once(10)
	if !complete {
		s.tally.partial++
	}
	var objects []fabric.Object
	listed := map[string]bool{}
	for _, j := range d.workspace.jobs {
		lags := s.now.Unix()-j.born < 20 && s.once(2)
		if j.hidden || lags || !complete && s.once(3) {
			continue
		}
		objects, listed[j.id] = append(objects, j.object()), true
	}
	var gone []string
	if complete {
		owned := s.r.state.applied[d.Name()]
		for _, k := range slices.Sorted(maps.Keys(owned)) { // in order, so that a world goes the same way each time
			a := owned[k]
			switch j := d.workspace.find(a.ID); {
			case a.ID == "" || listed[a.ID] || s.once(20): // or it answers 403 for once
			case j == nil:
				gone = append(gone, a.ID)
			case !j.hidden:
				objects = append(objects, j.object())
			}
		}
	}
	return fabric.NewLive(s.now, complete, "/root", objects, gone)
}

// read has the deployment read git.
func (s *sim) read(d *simDeployment) {
	if d.seen != nil && s.once(10) {
		return // the remote does not answer
	}
	d.sighting, d.seen, d.partial = s.now, maps.Clone(s.git), s.once(12)
	if d.partial {
		for _, k := range simKeys {
			if s.once(3) {
				delete(d.seen, k)
			}
		}
	}
}

func (s *sim) render(d *simDeployment) *fabric.Desired {
	desired := fabric.NewDesired()
	for k, j := range d.seen {
		switch {
		case !d.selects(k, j.committed):
			desired.UnselectFor(k, j.committed)
		case j.broken:
			desired.Block(k, configs.Found(configs.JobBroken, string(k), ""))
		default:
			name := string(k[len("jobs/"):])
			desired.Add(fabric.Resource{Key: k, Kind: "job", Name: name, Doc: s.doc(k, j.x, j.every, false, name), Committed: j.committed})
		}
	}
	return desired
}

// round is one reconcile of one of the deployments, as round does it, with faults.
func (s *sim) round() {
	s.tally.rounds++
	s.now = s.now.Add(time.Duration(5+s.rnd.IntN(70)) * time.Second)
	s.events()
	d := s.deployments[s.rnd.IntN(2)]
	s.read(d)
	rd := &round{Reconciler: s.r, Setup: s.setup, d: d.Deployment, name: d.Name(), at: s.now, sighting: d.sighting, partial: d.partial, desired: s.render(d)}
	if s.once(20) {
		rd.ask.By = "somebody"
	}
	if live := d.workspace.last; live != nil && rd.ask.By == "" && s.now.Sub(live.At) < 30*time.Second && s.once(2) {
		rd.live = live // the last look is good enough to find out
	} else if rd.live = s.look(d); rd.live == nil {
		return
	}
	if open := s.r.state.intents[d.Name()]; len(open) > 0 {
		if rd.live.At.Before(s.now) {
			if rd.live = s.look(d); rd.live == nil {
				return
			}
		}
		for _, nonce := range slices.Sorted(maps.Keys(open)) {
			i := open[nonce]
			if results, resolved := rd.became(i); resolved {
				s.tell("%s: %s of %v was %s", d.Name(), i.Op, i.Keys, results[0].Status)
				s.outcome(d, nonce, results...)
				s.inherits(d, nonce, results[0])
			}
		}
	}
	d.workspace.last = rd.live
	owned := len(s.r.state.applied[d.Name()])
	p := s.plan(rd, d)
	s.tally.count(p)
	s.write(rd, p)
	s.witness(d, rd)
	if s.once(10) {
		return // a gate is closed
	}
	if len(p.Free()) == 0 {
		return
	}
	if rd.live.At.Before(s.now) {
		if rd.live = s.look(d); rd.live == nil {
			return
		}
		before := p.Digest
		rd.askedRuns, rd.active = nil, nil
		owned = len(s.r.state.applied[d.Name()])
		if p = s.plan(rd, d); p.Digest != before {
			s.write(rd, p)
			s.witness(d, rd)
		}
	}
	if s.once(30) {
		s.byHand(d.workspace) // between the plan and its requests
	}
	s.act(rd, d, p, owned)
}

// inherits makes a copy the original where somebody deleted or hid that one, while nobody knew yet what had become of the
// request that made it: nothing tells the two apart then.
func (s *sim) inherits(d *simDeployment, nonce string, r fabric.Result) {
	j := d.workspace.find(r.ID)
	if j == nil || r.Status != fabric.Done || j.mark.Nonce != nonce || j.truth.owner != (fabric.Owner{}) {
		return
	}
	for _, other := range d.workspace.jobs {
		if other.mark.Nonce != nonce || other.truth.owner == (fabric.Owner{}) {
			continue
		}
		if !other.hidden {
			return // it was there to be seen
		}
		other.truth.owner = fabric.Owner{}
	}
	j.truth = j.origin
	s.tell("%s: nothing tells job %s from the one that was made as %s", d.Name(), j.id, j.truth.owner.Key)
}

// plan is what compare does.
func (s *sim) plan(rd *round, d *simDeployment) Plan {
	p := NewPlan(rd.planInput())
	if len(p.Runs) == 0 {
		return p
	}
	rd.active = map[fabric.Key]int{}
	for _, c := range p.Changes {
		if j := d.workspace.find(c.ID); j != nil && slices.Contains(p.Runs, c.Key) && !j.hidden && !s.once(10) {
			rd.active[c.Key] = j.runs
		}
	}
	return NewPlan(rd.planInput())
}

// write is what writePlan does.
func (s *sim) write(rd *round, p Plan) {
	if len(p.Recommitted) > 0 {
		s.tell("%s: committed for %v", rd.name, p.Recommitted)
	}
	s.fold(rd.goneEntries(p)...)
	if len(p.Released) > 0 {
		s.tell("%s releases %v", rd.name, p.Released)
		s.fold(ledger.Entry{Kind: kindRelinquish, Deployment: rd.name, Data: encode(keysOf{p.Released})})
	}
	if len(p.Taken) > 0 {
		s.fold(ledger.Entry{Kind: kindTake, Deployment: rd.name, Data: encode(keysOf{p.Taken})})
	}
}

func (s *sim) outcome(d *simDeployment, nonce string, rs ...fabric.Result) {
	var o outcomeSeen
	for _, r := range rs {
		seen := resultSeen{Key: r.Key, Status: r.Status.String(), ID: r.ID}
		if r.Err != nil {
			seen.Error = r.Err.Error()
		}
		o.Results = append(o.Results, seen)
	}
	s.fold(ledger.Entry{Kind: kindOutcome, Deployment: d.Name(), Intent: nonce, Data: encode(o)})
}

// act carries out what is free, as an adapter does.
func (s *sim) act(rd *round, d *simDeployment, p Plan, owned int) {
	deleted, fenced := 0, 0
	for _, c := range p.Free() {
		if s.once(25) {
			return // stopped, suspended, or a newer release
		}
		j := d.workspace.find(c.ID)
		if c.Action != fabric.Create { // what is about to be touched is read again
			switch {
			case j == nil:
				continue
			case j.hidden, j.mark != c.Mark, j.doc.Digest() != c.Live.Digest():
				s.tally.held++
				continue
			case c.Action != fabric.Delete || c.Runs == configs.RunsIgnore:
			case c.Runs == configs.RunsCancel:
				j.runs = 0
			case j.runs > 0:
				s.tally.held++
				continue
			}
		}
		nonce := s.newNonce()
		i := intentMade{Kind: "job", Keys: []fabric.Key{c.Key}, Names: []string{c.Name}, Actions: []fabric.Action{c.Action}, From: []fabric.Key{c.From},
			ID: c.ID, Changes: []string{c.Digest()}, Committed: []string{c.Committed}, Sent: []string{s.keep(c.Desired)}}
		switch {
		case c.Action == fabric.Create:
			i.Op, i.ID = fabric.OpCreate, ""
		case c.Action == fabric.Delete:
			i.Op = fabric.OpDelete
		default:
			i.Op = fabric.OpUpdate
		}
		if c.Action.Rests() {
			i.Read = []string{s.keep(c.Desired)}
			if !c.Sent.IsZero() {
				i.Sent = []string{s.keep(c.Sent)}
			}
		}
		s.fold(ledger.Entry{Kind: kindIntent, Deployment: d.Name(), Intent: nonce, Data: encode(i)})
		result := fabric.Result{Key: c.Key, ID: c.ID, Nonce: nonce}
		switch fate := s.rnd.IntN(40); {
		case fate == 0: // the request is lost
			s.tally.lost++
			s.tell("%s: %s %s is lost", d.Name(), c.Action, c.Key)
			continue
		case fate == 1:
			result.Status, result.Err = fabric.Refused, errNotSeen
		case fate == 2:
			result.Status, result.Err = fabric.Later, errNotSeen
		default:
			if j == nil && c.Action != fabric.Create { // it went between the look and the request
				result.Status, result.Err = fabric.Refused, errNotSeen
				break
			}
			switch c.Action {
			case fabric.Delete:
				deleted++
			case fabric.Quarantine:
				fenced++
			}
			s.judge(d, rd, c, j, owned, deleted, fenced)
			result.ID = s.carryOut(d, c, j, nonce)
			result.Status = fabric.Done
			s.tell("%s: %s %s%s, job %s", d.Name(), c.Action, c.From, c.Key, result.ID)
			if fate == 3 { // the answer is lost
				s.tally.lost++
				continue
			}
		}
		s.outcome(d, nonce, result)
	}
}

// carryOut is what the workspace does.
func (s *sim) carryOut(d *simDeployment, c fabric.Change, j *simJob, nonce string) (id string) {
	switch c.Action {
	case fabric.Create:
		j = &simJob{id: s.newID(), mark: fabric.MarkOf(inst, c.Owner, nonce), born: s.now.Unix()}
		d.workspace.jobs = append(d.workspace.jobs, j)
		s.tally.created++
	case fabric.Delete:
		d.workspace.drop(j.id)
		s.tally.deleted++
		return j.id
	case fabric.Move:
		j.mark = fabric.MarkOf(inst, c.Owner, c.Mark.Nonce)
		s.tally.moved++
	case fabric.Update:
		j.mark = fabric.MarkOf(inst, c.Owner, c.Mark.Nonce)
		s.tally.updated++
	case fabric.Quarantine:
		s.tally.quarantined++
	case fabric.Leave:
		s.tally.left++
	}
	if !j.truth.fenced.IsZero() && c.Action != fabric.Quarantine {
		s.tally.restored++
	}
	j.doc, j.wrote = c.Desired, nonce
	j.truth.written(d, c, s.now)
	return j.id
}
