// Package adoption finds out which live resources are those of a release that another tool put there before, and
// how they differ from it. Everything in it is pure: the reconciler looks, and a person accepts.
package adoption

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"selvage/fabric"
)

// Job is a job of the release, as far as matching goes.
type Job struct {
	Key   fabric.Key
	Name  string
	Files []string // of its own in the previous tool's store, as in fabric.Before
}

// Live is a live resource that nobody owns.
type Live struct {
	ID     string
	Name   string
	URL    string
	Traces []fabric.Trace
}

// Row is a job in the state file of the previous tool.
type Row struct {
	Job    fabric.Key `json:"job"`
	ID     string     `json:"id"`               // of the live job
	Fabric string     `json:"fabric,omitempty"` // the authoring tool's id
	Tag    string     `json:"tag,omitempty"`    // of the release: "Hello/0.12.0"
}

// Input is everything that matches follow from.
type Input struct {
	Projects []string // ids of the project
	Fabrics  []string // ids of the fabric; rows of others say nothing
	Jobs     []Job    // of the release, those that are not owned
	Live     []Live
	Rows     []Row
	Chosen   map[fabric.Key]string // ids that a person named
	Accepted map[fabric.Key]string // ids that a person accepted before, and that carry no mark yet
}

// Strength says how strong evidence is; the less the stronger.
type Strength int

const (
	Chosen    Strength = iota // a person says so
	Accepted                  // a person accepted it before
	StateFile                 // the previous tool's state file says so
	JobURI                    // the live job names its project and its key
	Files                     // it runs the files of this job, and no others of the project
	Name                      // nothing else has the name
	none
)

func (s Strength) String() string {
	return [...]string{"--match", "accepted before", "state file", "job.uri", "component paths", "unique name"}[s]
}

// Evidence is one reason to take a live job for one of the release.
type Evidence struct {
	Kind   string `json:"kind"` // Strength
	Detail string `json:"detail,omitempty"`
}

// Pair is a job of the release and the live one that it is.
type Pair struct {
	Key      fabric.Key `json:"key"`
	ID       string     `json:"id"`
	Name     string     `json:"name"` // live
	URL      string     `json:"url,omitempty"`
	Version  string     `json:"version,omitempty"` // of the release that it says it is of
	Tag      string     `json:"tag,omitempty"`     // the same, as the state file names it
	Evidence []Evidence `json:"evidence"`          // strongest first
}

// Unclear is a job of the release that several live jobs may be, or that one may be which says otherwise itself.
type Unclear struct {
	Key        fabric.Key `json:"key"`
	Why        string     `json:"why"`
	Candidates []Pair     `json:"candidates"`
}

// Stray is a live job of the project that is none of the release.
type Stray struct {
	ID      string     `json:"id"`
	Name    string     `json:"name"`
	URL     string     `json:"url,omitempty"`
	Key     fabric.Key `json:"key,omitempty"` // that it says it has
	Version string     `json:"version,omitempty"`
	// Twin is the live job that is matched with the job which this one says it is too.
	Twin string `json:"twin,omitempty"`
}

// Result is what matching came to. Each job of the release is in Matched, Unclear or Missing; all lists are sorted.
type Result struct {
	Matched    []Pair       `json:"matched"`
	Unclear    []Unclear    `json:"unclear,omitempty"`
	Missing    []fabric.Key `json:"missing,omitempty"` // not live
	Strays     []Stray      `json:"strays,omitempty"`
	Duplicates int          `json:"duplicates"` // live jobs that claim to be a job of the release which another one is, too
}

// Match proposes which live job each job of the release is. Stronger evidence goes before weaker, and between equals
// it never guesses: it says that the job is unclear.
func Match(in Input) Result {
	m := newMatcher(in)
	for s := Chosen; s < none; s++ {
		m.round(s)
	}
	return m.result()
}

// claim is what a live job says of itself.
type claim struct {
	keys     map[fabric.Key]bool // in this project
	foreign  bool                // it names a job of another project
	files    []string            // of this project, sorted
	others   bool                // it runs files of other projects
	versions []string            // of its release, most telling first
}

func claimOf(l Live, projects []string) claim {
	c := claim{keys: map[fabric.Key]bool{}}
	var branches, stored []string
	for _, t := range l.Traces {
		own := slices.Contains(projects, t.Project)
		switch {
		case t.Kind == fabric.TraceRelease:
			branches = append(branches, t.Version)
		case t.Kind == fabric.TraceJob && own:
			c.keys[t.Key] = true
		case t.Kind == fabric.TraceJob:
			c.foreign = true
		case own:
			stored = append(stored, t.Version)
			c.files = append(c.files, t.File)
		default:
			c.others = true
		}
	}
	slices.Sort(c.files)
	c.files = slices.Compact(c.files)
	slices.Sort(branches)
	slices.Sort(stored)
	c.versions = slices.Concat(slices.Compact(branches), slices.Compact(stored))
	return c
}

// ours reports that the live job says it belongs to the project.
func (c claim) ours() bool { return len(c.keys) > 0 || !c.foreign && len(c.files) > 0 }

// contradicts reports that the live job names a job, and not this one.
func (c claim) contradicts(k fabric.Key) bool {
	return (len(c.keys) > 0 || c.foreign) && !c.keys[k]
}

type matcher struct {
	Input
	jobs   map[fabric.Key]Job
	claims []claim
	byID   map[string]int
	names  map[string]int              // live jobs that may be found by their name
	named  map[string]int              // all live jobs
	titles map[string]int              // jobs of the release by name
	rows   map[fabric.Key][]Row        // of this fabric
	taken  map[int]fabric.Key          // live jobs that are matched
	pairs  map[fabric.Key]int          // index into Live
	open   map[fabric.Key]unclear      // that must not be decided by weaker evidence
	narrow map[fabric.Key]map[int]bool // candidates that a weaker look may choose from
}

type unclear struct {
	why        string
	candidates []int
}

func newMatcher(in Input) *matcher {
	m := &matcher{Input: in, jobs: map[fabric.Key]Job{}, byID: map[string]int{}, names: map[string]int{}, named: map[string]int{}, titles: map[string]int{},
		rows: map[fabric.Key][]Row{}, taken: map[int]fabric.Key{}, pairs: map[fabric.Key]int{}, open: map[fabric.Key]unclear{},
		narrow: map[fabric.Key]map[int]bool{}}
	for _, j := range in.Jobs {
		m.jobs[j.Key] = j
		m.titles[j.Name]++
	}
	for i, l := range in.Live {
		c := claimOf(l, in.Projects)
		m.claims = append(m.claims, c)
		m.byID[l.ID] = i
		m.named[l.Name]++
		if !c.foreign && len(c.keys) == 0 {
			m.names[l.Name]++
		}
	}
	for _, r := range in.Rows {
		if r.Fabric == "" || len(in.Fabrics) == 0 || slices.Contains(in.Fabrics, r.Fabric) {
			m.rows[r.Job] = append(m.rows[r.Job], r)
		}
	}
	return m
}

// candidates are the live jobs that evidence of this strength speaks for.
func (m *matcher) candidates(s Strength, j Job) []int {
	var found []int
	add := func(id string) {
		if i, ok := m.byID[id]; ok && !slices.Contains(found, i) {
			found = append(found, i)
		}
	}
	switch s {
	case Chosen:
		add(m.Chosen[j.Key])
	case Accepted:
		add(m.Accepted[j.Key])
	case StateFile:
		for _, r := range m.rows[j.Key] {
			add(r.ID)
		}
	default:
		for i, l := range m.Live {
			c := m.claims[i]
			switch {
			case s == JobURI && c.keys[j.Key],
				s == Files && len(c.keys) == 0 && !c.foreign && len(j.Files) > 0 && slices.Equal(c.files, j.Files),
				s == Name && len(c.keys) == 0 && !c.foreign && (len(c.files) > 0 || !c.others) && l.Name == j.Name && l.Name != "":
				add(l.ID)
			}
		}
	}
	return found
}

// round matches what evidence of one strength is enough for.
func (m *matcher) round(s Strength) {
	found, rivals := map[fabric.Key][]int{}, map[int]int{}
	for _, k := range slices.Sorted(maps.Keys(m.jobs)) {
		_, matched := m.pairs[k]
		if _, open := m.open[k]; matched || open {
			continue
		}
		for _, i := range m.candidates(s, m.jobs[k]) {
			if _, taken := m.taken[i]; !taken {
				found[k] = append(found[k], i)
				rivals[i]++
			}
		}
	}
	for _, k := range slices.Sorted(maps.Keys(found)) {
		cs := found[k]
		alone := len(cs) == 1 && rivals[cs[0]] == 1
		switch {
		case s == StateFile && alone && m.claims[cs[0]].contradicts(k):
			m.open[k] = unclear{"the state file says so, and the live job itself says that it is another one", cs}
		case s == Name && alone && (m.names[m.jobs[k].Name] > 1 || m.titles[m.jobs[k].Name] > 1), s == Name && !alone && len(m.narrow[k]) == 0:
			m.open[k] = unclear{"the name is all that speaks for it, and it is not unique", cs}
		case alone && (len(m.narrow[k]) == 0 || m.narrow[k][cs[0]]):
			m.pairs[k], m.taken[cs[0]] = cs[0], k
		case s == Files: // equals, of which a name may tell one
			m.narrow[k] = map[int]bool{}
			for _, i := range cs {
				m.narrow[k][i] = true
			}
		case s == Name:
		case len(cs) > 1:
			m.open[k] = unclear{fmt.Sprintf("%d live jobs have the same evidence: %s", len(cs), s), cs}
		default:
			m.open[k] = unclear{"the same live job has as much evidence for another job of the release", cs}
		}
	}
	if s != Name {
		return
	}
	for k, among := range m.narrow {
		_, matched := m.pairs[k]
		if _, open := m.open[k]; !matched && !open {
			left := slices.DeleteFunc(slices.Sorted(maps.Keys(among)), func(i int) bool { _, taken := m.taken[i]; return taken })
			if len(left) > 0 {
				m.open[k] = unclear{"its files are those of other jobs too, and no name tells them apart", left}
			}
		}
	}
}

func (m *matcher) result() Result {
	var r Result
	candidate, claimed := map[int]bool{}, map[int]bool{}
	for _, k := range slices.Sorted(maps.Keys(m.jobs)) {
		if i, ok := m.pairs[k]; ok {
			r.Matched = append(r.Matched, m.pair(k, i))
			continue
		}
		u, open := m.open[k]
		if !open {
			r.Missing = append(r.Missing, k)
			continue
		}
		list := Unclear{Key: k, Why: u.why}
		same := 0
		for _, i := range u.candidates {
			list.Candidates = append(list.Candidates, m.pair(k, i))
			candidate[i] = true
			if m.claims[i].keys[k] && !claimed[i] {
				claimed[i] = true
				same++
			}
		}
		r.Duplicates += max(0, same-1)
		slices.SortFunc(list.Candidates, func(a, b Pair) int { return cmp.Compare(a.ID, b.ID) })
		r.Unclear = append(r.Unclear, list)
	}
	for i, l := range m.Live {
		_, matched := m.taken[i]
		c := m.claims[i]
		if matched || candidate[i] || !c.ours() {
			continue
		}
		s := Stray{ID: l.ID, Name: l.Name, URL: l.URL}
		if len(c.versions) > 0 {
			s.Version = c.versions[0]
		}
		for _, k := range slices.Sorted(maps.Keys(c.keys)) {
			s.Key = k
			if twin, ok := m.pairs[k]; ok {
				s.Twin = m.Live[twin].ID
				r.Duplicates++
			}
			break
		}
		r.Strays = append(r.Strays, s)
	}
	slices.SortFunc(r.Strays, func(a, b Stray) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID)) })
	return r
}

// pair lists all that speaks for a live job being a job of the release.
func (m *matcher) pair(k fabric.Key, i int) Pair {
	l, j, c := m.Live[i], m.jobs[k], m.claims[i]
	p := Pair{Key: k, ID: l.ID, Name: l.Name, URL: l.URL}
	add := func(s Strength, detail string) { p.Evidence = append(p.Evidence, Evidence{s.String(), detail}) }
	if m.Chosen[k] == l.ID {
		add(Chosen, "")
	}
	if m.Accepted[k] == l.ID {
		add(Accepted, "")
	}
	if len(c.versions) > 0 {
		p.Version = c.versions[0]
	}
	for _, r := range m.rows[k] {
		if r.ID != l.ID {
			continue
		}
		add(StateFile, r.Tag)
		if p.Tag = r.Tag; p.Version == "" {
			p.Version = r.Tag[strings.LastIndex(r.Tag, "/")+1:]
		}
		break
	}
	if c.keys[k] {
		add(JobURI, "")
	}
	if len(j.Files) > 0 && slices.Equal(c.files, j.Files) {
		add(Files, "")
	}
	if alone := m.named[l.Name] == 1 || m.names[l.Name] == 1 && len(c.keys) == 0; l.Name == j.Name && alone && m.titles[j.Name] == 1 {
		add(Name, "")
	}
	return p
}

// Version is a release that live jobs say they are of.
type Version struct {
	Version string `json:"version"`
	Tag     string `json:"tag,omitempty"` // as the state file names it
	Jobs    int    `json:"jobs"`
}

// Versions counts which releases live jobs of the project say they are of, the most frequent first.
func Versions(in Input) []Version {
	tags := map[string]string{} // by id of the live job
	for _, r := range in.Rows {
		if r.Fabric == "" || len(in.Fabrics) == 0 || slices.Contains(in.Fabrics, r.Fabric) {
			tags[r.ID] = r.Tag
		}
	}
	counts := map[string]*Version{}
	for _, l := range in.Live {
		c, tag := claimOf(l, in.Projects), tags[l.ID]
		version := tag[strings.LastIndex(tag, "/")+1:]
		if c.ours() && len(c.versions) > 0 {
			version = c.versions[0]
		}
		if version == "" {
			continue
		}
		if counts[version] == nil {
			counts[version] = &Version{Version: version}
		}
		v := counts[version]
		v.Jobs++
		if strings.HasSuffix("/"+tag, "/"+version) {
			v.Tag = tag
		}
	}
	var all []Version
	for _, v := range counts {
		all = append(all, *v)
	}
	slices.SortFunc(all, func(a, b Version) int {
		return cmp.Or(-cmp.Compare(a.Jobs, b.Jobs), -cmp.Compare(a.Version, b.Version))
	})
	return all
}
