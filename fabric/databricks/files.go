package databricks

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"selvage/artifacts"
	"selvage/configs"
	"selvage/fabric"
)

// mostRoutes bounds the files of one job. A job has at most 1000 tasks.
const mostRoutes = 2000

// filing gives the files of one job their places on the fabric.
type filing struct {
	*rendering
	d      *draft
	all    []*route
	routes routes // all, once they are complete
	byKey  map[string]*route
	texts  []*text
	pairs  []pair
	own    map[string]bool // ids of this project, as the paths of its components have them
	seen   map[*text]bool  // those that the job uses
}

// pair is a dbt script that finds its profile by the path that stands in it.
type pair struct {
	at              *spot
	script, profile *text
}

// files finds what becomes of each committed path, makes the files that Render makes, and puts our paths in
// place of every mention, in the request and in those files.
func (n *rendering) files(d *draft) {
	f := &filing{rendering: n, d: d, byKey: map[string]*route{}, seen: map[*text]bool{},
		own: map[string]bool{projectIDPlaceholder: true, n.ProjectID: n.ProjectID != ""}}
	for i, c := range d.job.Components {
		f.component(spotOf("components").element(i).member(c.Kind), c)
	}
	f.configurations()
	if len(f.all) > mostRoutes {
		d.block(configs.JobBroken, spotOf("components"), fmt.Sprintf("%d files; expected at most %d", len(f.all), mostRoutes))
	}
	if d.blocked != nil {
		return
	}
	slices.SortFunc(f.all, func(a, b *route) int { return strings.Compare(a.from.key(), b.from.key()) })
	f.routes = newRoutes(f.all...)
	f.strangers()
	f.findScala()
	f.makeTexts()
	f.rewrite()
	for _, p := range f.pairs {
		if f.seen[p.script] && !f.seen[p.profile] {
			d.block(configs.JobBroken, p.at, "neither the script nor the job mentions the path, so that dbt would not find its profile where it is put; expected a mention of it, or of its folder")
		}
	}
}

// component adds the files of one component.
func (f *filing) component(at *spot, c artifacts.Component) {
	switch c.Kind {
	case artifacts.ScriptComponent:
		f.script(at, c)
	case artifacts.DBTComponent:
		f.dbt(at, c)
	case artifacts.DLTComponent: // its task says which pipeline
	default:
		f.pipeline(at.member("path"), c)
	}
}

// pipeline adds the artifact of a pipeline. That of a pipeline of another project is ours where its release
// was built, and else has to be on the fabric. A pipeline of ours that happens to have its name never is.
func (f *filing) pipeline(at *spot, c artifacts.Component) {
	from, ok := newCommitted(c.Path)
	if !ok {
		return
	}
	key := c.PipelineID
	if key == "" {
		key = c.ID
	}
	r := &route{from: from, as: key}
	p := f.pipelines[key]
	if c.Subscribed != nil {
		r.as = c.Subscribed.Key()
		if p = f.subscribed[r.as]; p == nil {
			r.outside = true
			f.add(at, r)
			return
		}
	} else if id := from.project(); id != "" {
		f.own[id] = true
	}
	switch {
	case p != nil && p.Artifact != nil:
		blob := f.stored(p.Artifact)
		r.blob = &blob
	case p != nil && (p.Language == "scala" || len(p.Jars) > 0):
		r.jars = &jars{pipeline: r.as, by: p.Jars, suffix: scalaSuffix(from.base()), used: map[string]bool{}}
	default:
		r.missing = fmt.Sprintf("%s of %s", from.base(), r.as)
	}
	f.add(at, r)
}

func (n *rendering) stored(a *artifacts.Artifact) fabric.Blob {
	return fabric.Blob{SHA256: a.SHA256, Name: a.Name, Size: a.Size, Path: path.Join(n.Root, a.SHA256, a.Name)}
}

// add adds a route. Components that share a path must mean one thing by it.
func (f *filing) add(at *spot, r *route) {
	key := r.from.key()
	known := f.byKey[key]
	switch {
	case known == nil:
		f.byKey[key] = r
		f.all = append(f.all, r)
	case known.as == r.as:
	case known.file < 0 && r.file < 0:
		known.unsure = true
	default:
		f.d.block(configs.JobBroken, at, "two components have the same path and not the same content")
	}
}

// strangers blocks a job that has a library in the authoring tool's store which no component of it puts there.
func (f *filing) strangers() {
	for _, t := range tasksOf(f.d.at, f.d.request) {
		walk(t.at.member("libraries"), t.settings["libraries"], func(at *spot, s string) string {
			if at.key == "coordinates" || !strings.Contains(s, "/prophecy/artifacts/") {
				return s
			}
			rest := f.routes.replace(s, func(*route) (string, bool) { return "", true })
			if strings.Contains(rest, "/prophecy/artifacts/") {
				f.d.block(configs.ArtifactMissing, at, fmt.Sprintf("%q is the path of no component of the job", shorten(s, mostOfKey)))
			}
			return s
		})
	}
}

// rewrite puts our paths in place of the committed ones in the request. A task inside another one may run on
// a cluster of its own, so it comes before that.
func (f *filing) rewrite() {
	d := f.d
	here := func(scala string) func(at *spot, s string) string {
		return func(at *spot, s string) string {
			return f.routes.replace(s, func(r *route) (string, bool) {
				ours, need, problem := f.resolve(r, scala, d.subject(at))
				if problem != nil {
					if d.blocked == nil {
						d.blocked = problem
					}
					return "", false
				}
				f.use(need)
				return ours, ours != ""
			})
		}
	}
	tasks := tasksOf(d.at, d.request)
	for len(tasks) > 0 {
		n := 1
		for n < len(tasks) && tasks[n].at.index < 0 { // inside the first
			n++
		}
		for _, t := range slices.Backward(tasks[:n]) {
			walk(t.at, t.settings, here(scalaOfTask(d.request, t)))
		}
		tasks = tasks[n:]
	}
	for _, c := range clustersOf(d.at, d.request) {
		if scala := scalaOf(c.settings); scala != "" {
			walk(c.at, c.settings, here(scala))
		}
	}
	walk(d.at, d.request, here(anyScala))
}

// need is what whoever mentions a path needs to be on the fabric.
type need struct {
	blob    *fabric.Blob
	text    *text
	outside string // path
}

// resolve says what stands in place of a committed path: our own, or nothing where it stays. scala is the
// Scala version of who mentions it; subject names that place.
func (f *filing) resolve(r *route, scala, subject string) (ours string, n need, problem *configs.Finding) {
	refuse := func(code configs.Code, particulars string) (string, need, *configs.Finding) {
		found := configs.Found(code, subject, particulars)
		return "", need{}, &found
	}
	switch {
	case r.unsure:
		return refuse(configs.JobBroken, fmt.Sprintf("%q is the folder of two profiles", "/"+r.from.key()))
	case r.text != nil && !r.text.made:
		return refuse(configs.JobBroken, "files of the job mention each other in a circle, so that none can be named by what it holds")
	case r.text != nil && r.file < 0:
		return r.text.folder, need{text: r.text}, nil
	case r.text != nil:
		return r.text.files[r.file].blob.Path, need{text: r.text}, nil
	case r.outside:
		filled, left := put(f.placeholders.usable, r.from.onFabric())
		if left != "" {
			return refuse(f.placeholders.unfilled(left))
		}
		return "", need{outside: filled}, nil
	case r.jars != nil:
		jar, code, why := r.jars.choose(scala)
		if jar == nil {
			return refuse(code, why)
		}
		blob := f.stored(jar)
		return blob.Path, need{blob: &blob}, nil
	case r.blob != nil:
		return r.blob.Path, need{blob: r.blob}, nil
	}
	return refuse(configs.ArtifactMissing, r.missing)
}

// use notes that the job needs something, and everything that this needs in turn.
func (f *filing) use(n need) {
	d := f.d
	switch {
	case n.blob != nil:
		if !slices.ContainsFunc(d.Blobs, func(b fabric.Blob) bool { return b.Path == n.blob.Path }) {
			d.Blobs = append(d.Blobs, *n.blob)
		}
	case n.outside != "":
		d.needs(fabric.OutsideFile, n.outside)
	case n.text != nil && !f.seen[n.text]:
		t := n.text
		f.seen[t] = true
		if d.blocked == nil {
			d.blocked = t.problem
		}
		for i := range t.files {
			f.use(need{blob: &t.files[i].blob})
			for _, c := range t.files[i].calls {
				if d.blocked != nil || d.told >= mostCalls {
					break
				}
				f.call(d, t.files[i].subject, t.files[i].line(c.Line), c.Host)
			}
		}
		for _, also := range t.needs {
			f.use(also)
		}
	}
}
