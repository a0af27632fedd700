package databricks

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"

	"selvage/artifacts"
	"selvage/configs"
	"selvage/fabric"
)

// Render makes the settings of each selected job from its committed request. In this order it leaves out
// what does not belong there, lays the overlay over it, takes out what calls the authoring tool, puts the paths
// of our files in place of the committed ones, and fills the placeholders. What the overlay says is treated
// like what is committed: it may mention committed paths and placeholders, and it can't make a job call the tool.
//
// A committed request without queue gets {"enabled": true}: version 2.2 of the API creates jobs so,
// a run waits then instead of being skipped, and leaving it out would mean one thing on create and
// another on reset.
//
// The settings depend on no workspace, so that a release can be checked without one: see Render, the function.
func (w *Workspace) Render(r *artifacts.Release, b fabric.Binding) (*fabric.Desired, []configs.Finding, error) {
	return Render(r, b)
}

// Render is what Workspace.Render does on any workspace.
func Render(r *artifacts.Release, b fabric.Binding) (*fabric.Desired, []configs.Finding, error) {
	for _, glob := range b.Jobs {
		if !doublestar.ValidatePattern(glob) {
			return nil, nil, fmt.Errorf("render %s: jobs: %q is not a pattern", b.Deployment, glob)
		}
	}
	if b.Root == "" {
		return nil, nil, fmt.Errorf("render %s: the folder of the artifacts is not known before the fabric was looked at", b.Deployment)
	}
	n := &rendering{
		Binding:        b,
		placeholders:   newPlaceholders(b),
		desired:        fabric.NewDesired(),
		pipelines:      map[string]*artifacts.Pipeline{},
		subscribed:     map[string]*artifacts.Pipeline{},
		configurations: r.Configurations,
		release:        r,
		drafts:         map[fabric.Key]*draft{},
		names:          map[string][]fabric.Key{},
		keys:           map[fabric.Key]bool{},
		hits:           hits{parts: map[string]bool{}},
	}
	for i := range r.Pipelines {
		n.pipelines[r.Pipelines[i].Key] = &r.Pipelines[i]
	}
	for i := range r.Subscribed {
		n.subscribed[r.Subscribed[i].Key] = &r.Subscribed[i]
	}
	for _, j := range r.Jobs {
		n.names[j.Name] = append(n.names[j.Name], fabric.Key(j.Key))
		n.keys[fabric.Key(j.Key)] = true
	}
	for i := range r.Jobs {
		n.job(&r.Jobs[i])
	}
	n.references()
	n.noHits()
	for _, k := range slices.Sorted(maps.Keys(n.drafts)) {
		d := n.drafts[k]
		switch {
		case d.unselected != "":
			n.desired.UnselectFor(k, fabricID(d.job))
			n.found(configs.JobUnselected, string(k), d.unselected)
		case d.blocked != nil:
			n.desired.Block(k, *d.blocked)
		default:
			n.desired.Add(d.Resource)
			if d.set != nil {
				n.desired.Add(*d.set)
			}
		}
	}
	slices.SortStableFunc(n.findings, func(a, b configs.Finding) int { return strings.Compare(a.Subject, b.Subject) })
	return n.desired, n.findings, nil
}

// rendering is one call of Render.
type rendering struct {
	fabric.Binding
	placeholders   placeholders
	desired        *fabric.Desired
	findings       []configs.Finding
	pipelines      map[string]*artifacts.Pipeline // own ones, by key
	subscribed     map[string]*artifacts.Pipeline // of other projects, by the key of the subscription
	configurations []artifacts.Configuration
	release        *artifacts.Release
	drafts         map[fabric.Key]*draft
	names          map[string][]fabric.Key // of the jobs, to their keys
	keys           map[fabric.Key]bool     // of the jobs
	hits           hits
}

// draft is one job on its way to a resource.
type draft struct {
	fabric.Resource
	job        *artifacts.Job
	at         *spot          // of the request in the job's file
	request    map[string]any // ours to change
	file       map[string]any // the job's file as committed, once somebody asked for it
	unselected string         // why the deployment does not select it
	blocked    *configs.Finding
	told       int    // calls that it may make and that were named
	says       string // what was added to the description; empty for nothing
	denied     []violation

	entries        any            // who may do what with it, taken out of the request
	entriesOverlay []fabric.Field // what the overlay did to them
	set            *fabric.Resource
}

func (n *rendering) found(code configs.Code, subject, particulars string) {
	n.findings = append(n.findings, configs.Found(code, subject, particulars))
}

// block keeps the first reason: what follows is often its consequence.
func (d *draft) block(code configs.Code, at *spot, particulars string) {
	d.blockFor(code, d.subject(at), particulars)
}

func (d *draft) blockFor(code configs.Code, subject, particulars string) {
	if d.blocked == nil {
		f := configs.Found(code, subject, particulars)
		d.blocked = &f
	}
}

// subject names a place of the job's file in findings; without a spot the file.
func (d *draft) subject(at *spot) string {
	subject := d.job.File
	if subject == "" {
		subject = d.job.Key
	}
	if at != nil {
		subject += ": " + at.String()
	}
	return subject
}

func (n *rendering) job(j *artifacts.Job) {
	d := &draft{Resource: fabric.Resource{Key: fabric.Key(j.Key), Kind: Job, Name: j.Name, Committed: fabricID(j)}, job: j}
	n.drafts[d.Key] = d
	if d.unselected = n.unselected(j); d.unselected != "" {
		return
	}
	if d.read(); d.blocked != nil {
		n.hits.unread++
		return
	}
	n.leaveOut(d)
	n.overlay(d)
	n.access(d)
	n.strip(d)
	n.files(d)
	n.sources(d)
	d.explicit()
	n.managed(d)
	n.link(d)
	n.fill(d)
	d.labelLine()
	n.guard(d)
	n.permit(d)
	d.sort()
}

// sort brings what a job needs into an order that the order of its components has no part in.
func (d *draft) sort() {
	slices.SortFunc(d.Blobs, func(a, b fabric.Blob) int { return strings.Compare(a.Path, b.Path) })
	slices.SortFunc(d.Outside, func(a, b fabric.Outside) int {
		return cmp.Or(strings.Compare(string(a.Kind), string(b.Kind)), strings.Compare(a.Name, b.Name))
	})
}

// needs adds something that others put on the fabric.
func (d *draft) needs(kind fabric.OutsideKind, name string) {
	if t := (fabric.Outside{Kind: kind, Name: name}); !slices.Contains(d.Outside, t) {
		d.Outside = append(d.Outside, t)
	}
}

// read takes the request out of the committed file.
func (d *draft) read() {
	if len(d.job.Blocked) > 0 {
		d.blocked = &d.job.Blocked[0]
		return
	}
	file, err := parse(d.job.Raw)
	if err != nil {
		d.block(configs.JobBroken, nil, err.Error())
		return
	}
	request, field, err := artifacts.Request(file)
	d.at = spotOf(field)
	if err != nil {
		d.block(configs.JobBroken, d.at, err.Error())
		return
	}
	d.request = request
}

// parse decodes one JSON object, numbers as they are written.
func parse(raw []byte) (map[string]any, error) {
	doc, err := fabric.ParseDoc(raw)
	if err != nil {
		return nil, err
	}
	return doc.Object(), nil
}

// unselected says why the deployment leaves the job out; empty where it does not.
func (n *rendering) unselected(j *artifacts.Job) string {
	if len(n.Jobs) > 0 {
		for _, glob := range n.Jobs {
			if ok, _ := doublestar.Match(glob, j.Key); ok {
				return ""
			}
		}
		return "no pattern under jobs matches its key; " + committedFor(j)
	}
	if id := fabricID(j); id != "" && slices.Contains(n.FabricIDs, id) {
		return ""
	}
	return committedFor(j)
}

func committedFor(j *artifacts.Job) string {
	if id := fabricID(j); id != "" {
		return "it is committed for fabric " + id
	}
	return "it is committed for no fabric"
}

func fabricID(j *artifacts.Job) string {
	if j.FabricUID != "" {
		return j.FabricUID
	}
	return j.FabricID
}

// leaveOut removes what is not part of a job's settings, or not the definition's to say.
func (n *rendering) leaveOut(d *draft) {
	tags, _ := d.request["tags"].(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(tags)) {
		if ownTag(name) {
			delete(tags, name)
			n.found(configs.TagReserved, d.subject(d.at.member("tags")), name)
		}
	}
}

// explicit says what the service would otherwise fill in one way on create and another on reset.
func (d *draft) explicit() {
	for field, value := range map[string]any{"format": "MULTI_TASK", "queue": map[string]any{"enabled": true}} {
		if d.request[field] == nil {
			d.request[field] = value
		}
	}
	if tags, _ := d.request["tags"].(map[string]any); len(tags) > maxTags-ourTags {
		d.block(configs.TooManyTags, d.at.member("tags"), fmt.Sprintf("%d, and %d are the most beside the %d of selvage", len(tags), maxTags-ourTags, ourTags))
	}
	for _, c := range clustersOf(d.at, d.request) {
		for _, part := range []string{"spark_conf", "spark_env_vars", "custom_tags"} {
			m, _ := c.settings[part].(map[string]any)
			for key, v := range m {
				switch v.(type) {
				case json.Number, bool:
					m[key] = fmt.Sprint(v) // the API's values are text there; committed files hold numbers too
				}
			}
		}
	}
}
