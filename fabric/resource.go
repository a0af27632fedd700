package fabric

import (
	"sort"

	"selvage/configs"
)

// Kind is the kind of a resource, as in messages: "job", "dag".
type Kind string

// Key names a resource within a deployment, for as long as git keeps it: "jobs/daily_revenue".
type Key string

// Presence says whether a thing is there. Its zero value is Unknown, so that what nobody looked at
// is never taken for absent (law 1).
type Presence int

const (
	Unknown Presence = iota
	Absent
	Present
)

func (p Presence) String() string { return [...]string{"unknown", "absent", "present"}[p] }

// Resource is one thing that a deployment wants to own on a fabric.
type Resource struct {
	Key  Key
	Kind Kind
	Name string // what the fabric shows to people
	Doc  Doc    // what is sent, without the mark; may hold Refs
	// Needs are resources that must exist before this one: those that Doc refers to.
	Needs []Key
	// Blobs are artifacts that must be on the fabric before this resource is written.
	Blobs []Blob
	// Labels are paths in Doc, in the form that Compare prints, at which the release is named.
	Labels map[string]Label
	// Overlaid are paths in Doc that the deployment's overlay set.
	Overlaid map[string]bool
	// Overlay is what the overlay did to the committed definition: Old as committed, New as overlaid.
	Overlay []Field
	// Stripped says what was taken out of the committed definition, and why.
	Stripped []configs.Finding
	// Committed is the fabric id that the definition is committed for; empty where it is for none.
	Committed string
	// Outside are things that the resource can't do without and that others put on the fabric.
	Outside []Outside
}

// Blob is a file and where it belongs on the fabric.
type Blob struct {
	SHA256 string
	Name   string // file name
	Size   int64  // bytes
	Path   string // full path on the fabric
	// Notebook is the language of the notebook that the fabric makes of the file, PYTHON, SQL, SCALA, R or
	// JUPYTER; empty where it stays a file.
	Notebook string
	// Content is what the file holds where Render made it (a script with its placeholders filled); nil
	// for an artifact, which the store has.
	Content []byte `json:"-"`
}

// Outside is something on the fabric that this installation neither makes nor owns.
type Outside struct {
	Kind OutsideKind
	Name string // a full path; "SCOPE/KEY"; the id of a pipeline; of a named kind the name
}

// OutsideKind is the kind of an Outside, as in messages.
type OutsideKind string

const (
	OutsideFile     OutsideKind = "file"
	OutsideSecret   OutsideKind = "secret"
	OutsidePipeline OutsideKind = "DLT pipeline"
)

// Desired is what a release means on a fabric.
type Desired struct {
	resources  map[Key]Resource
	unknown    map[Key]configs.Finding
	unselected map[Key]string // to the fabric id that it is committed for
}

// NewDesired returns an empty Desired to be filled by an adapter's Render.
func NewDesired() *Desired {
	return &Desired{resources: map[Key]Resource{}, unknown: map[Key]configs.Finding{}, unselected: map[Key]string{}}
}

// Add puts a rendered resource in. Its document is kept as text where that is possible.
func (d *Desired) Add(r Resource) {
	r.Doc = r.Doc.Packed()
	d.resources[r.Key] = r
}

// Block says that the release holds key but that it can't be rendered: it is Unknown, so what is live stays.
func (d *Desired) Block(k Key, why configs.Finding) { d.unknown[k] = why }

// Unselect says that the release holds key but that the deployment does not select it.
func (d *Desired) Unselect(k Key) { d.UnselectFor(k, "") }

// UnselectFor is Unselect of a key that is committed for a fabric id; empty where it is for none.
func (d *Desired) UnselectFor(k Key, committed string) { d.unselected[k] = committed }

// Lookup returns the resource and Present; Unknown where it could not be rendered; Absent
// where the release does not hold it or the deployment does not select it.
func (d *Desired) Lookup(k Key) (Resource, Presence) {
	if _, ok := d.unknown[k]; ok {
		return Resource{Key: k}, Unknown
	}
	if r, ok := d.resources[k]; ok {
		return r, Present
	}
	return Resource{Key: k}, Absent
}

// Why returns the finding that made key Unknown.
func (d *Desired) Why(k Key) (configs.Finding, bool) {
	f, ok := d.unknown[k]
	return f, ok
}

// Unselected reports that the release holds key and the deployment's configuration left it out:
// what is live of it is released, not deleted (law 11).
func (d *Desired) Unselected(k Key) bool {
	_, ok := d.unselected[k]
	return ok
}

// Committed is the fabric id that a key is committed for which the release holds, selected or not; empty where
// that is none, or not known.
func (d *Desired) Committed(k Key) string {
	if r, ok := d.resources[k]; ok {
		return r.Committed
	}
	return d.unselected[k]
}

// Keys are all keys that are Present or Unknown, sorted.
func (d *Desired) Keys() []Key {
	keys := make([]Key, 0, len(d.resources)+len(d.unknown))
	for k := range d.resources {
		if _, blocked := d.unknown[k]; !blocked {
			keys = append(keys, k)
		}
	}
	for k := range d.unknown {
		keys = append(keys, k)
	}
	sort.Slice(keys, func(i, j int) bool { return keys[i] < keys[j] })
	return keys
}
