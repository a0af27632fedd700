// Package artifacts turns the tree of a commit into a Release: it reads the project, builds its
// pipelines, and keeps what was built under its SHA-256.
//
// Start with a Store and a Builder; Builder.Build takes a Tree and gives a Release. ReadProject alone
// reads without building, for checks of a work tree or a pull request.
//
// What is not understood is a finding that names file and field. A job that can't be deployed stays
// in the release, with the reason in Job.Blocked: it is unknown, not absent, so nobody deletes the
// live one because of it.
package artifacts

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"path"
	"sort"

	"selvage/configs"
)

// Release is one project at one commit. The ref it was reached by, placeholders, overlay and fabric
// are not part of it.
type Release struct {
	Digest    string // SHA-256 in hex; see digest
	Project   string // name in selvage.yaml
	Path      string // folder of pbt_project.yml in the repository; "." for the root
	Commit    string
	Version   string // as pbt_project.yml says; informative
	Jobs      []Job
	Pipelines []Pipeline
	// Subscribed are the pipelines of other projects that the jobs name and that were built from a watched
	// repository; by Key, which is that of their Subscription.
	Subscribed     []Pipeline
	Configurations []Configuration
	Files          []File     // of the repository that jobs name; by Path
	Folders        []Folder   // the same of folders
	Artifacts      []Artifact // what the store holds of it, each once, by SHA-256; files among them
}

// Outline is the release without what it is rendered from: of its jobs and pipelines only which there are. It takes a
// tenth of the memory.
func (r *Release) Outline() *Release {
	o := &Release{Digest: r.Digest, Project: r.Project, Path: r.Path, Commit: r.Commit, Version: r.Version,
		Jobs: make([]Job, len(r.Jobs)), Pipelines: make([]Pipeline, len(r.Pipelines))}
	for i, j := range r.Jobs {
		o.Jobs[i] = Job{Key: j.Key, Name: j.Name, FabricUID: j.FabricUID, FabricID: j.FabricID}
	}
	for i, p := range r.Pipelines {
		o.Pipelines[i] = Pipeline{Key: p.Key, Name: p.Name}
	}
	return o
}

// Configuration is one instance of a configuration that jobs read from a file at run time, unlike those
// inside a pipeline's artifact.
type Configuration struct {
	// Owner is whom it configures: the base pipeline as pbt_project.yml names it
	// ("21759/pipelines/basePipeline1"), or ProjectConfiguration.
	Owner   string
	Name    string // of the instance: "default"
	File    string // in the repository
	Content []byte // placeholders included; meaningless where Blocked is set
	// Blocked is why Content is not known. A job that uses the configuration can't be deployed then.
	Blocked *configs.Finding
}

// ProjectConfiguration is the Owner of a project's own configurations (arguments -pi, -pc and -pj).
const ProjectConfiguration = "projectConfigurations/config"

// Job is one committed job definition.
type Job struct {
	Key        string // "jobs/daily_revenue"
	Name       string // request.name
	FabricUID  string // of pbt_project.yml, as text; may be empty
	FabricID   string // of databricks-job.json; where they differ, FabricUID decides
	Enabled    *bool  // nil: never said
	Scheduler  string // "Databricks"
	File       string // in the repository
	Raw        []byte // exact bytes of File
	Digest     string // SHA-256 of Raw in hex
	Components []Component
	Pipelines  []string          // keys of the pipelines that its components name
	Runs       []string          // keys of the jobs that its run_job_tasks name, and names of those that are no job of the project
	Blocked    []configs.Finding // why it can't be deployed; what is live stays

	SecretScope string // of databricks-job.json, for its DBT components
}

// The kinds of Component.
const (
	PipelineComponent = "PipelineComponent"
	ScriptComponent   = "ScriptComponent"
	DBTComponent      = "DBTComponent"
	DLTComponent      = "DLTPipelineComponent"
)

// Component is a part of a job that has files of its own.
type Component struct {
	Kind           string // PipelineComponent, ...
	Path           string // where the tool would put the artifact, placeholders included
	NodeName       string
	ID             string // of the process; in the oldest files the pipeline's key
	PipelineID     string // the pipeline's key, whichever field it stood in
	Language       string
	ReleaseVersion string // of another project
	ConfigPath     string // of a subscribed pipeline: the folder of its configurations
	// Subscribed is set for a pipeline of another project.
	Subscribed *Subscription

	Content        string // of a script, inline
	ProfilePath    string // of a DBT component: where dbt finds its profile
	ProfileContent string // YAML
	SecretKey      string // in Job.SecretScope
	ProjectID      string // of the dbt project
	SQLFabricID    string // whose token the secret holds
	FilesDirectory string // where Path and ProfilePath lie
	ProjectPath    string // where the tool keeps a checked-out project; not of a release
}

// Subscription names a pipeline in a release of another project.
type Subscription struct {
	ProjectID string // "7234"; may be empty
	Git       string // URL of the repository; may be empty
	SubPath   string // folder of the project in it; may be empty
	Tag       string // "Proj/0.1"; may be empty
	Version   string // "0.1"
	Pipeline  string // "pipelines/x"
}

// Key is how Release.Subscribed names the pipeline: "7234/pipelines/x@0.1".
func (s Subscription) Key() string {
	project := s.ProjectID
	if project == "" {
		project = s.Git + "/" + s.SubPath
	}
	return project + "/" + s.Pipeline + "@" + s.Version
}

// Pipeline is Spark code that becomes one artifact.
type Pipeline struct {
	Key      string // "pipelines/clean_orders"
	Name     string
	Language string    // "python"
	Tree     string    // digest of its code folder; empty where it has none
	Artifact *Artifact // nil where none was built; a Scala pipeline has none, see Jars
	// Jars are those of a Scala pipeline, by the Scala version that they were built for: "2.12".
	Jars      map[string]*Artifact
	Instances []string // names of its configurations
}

// Artifact is a file built from the project.
type Artifact struct {
	SHA256 string
	Name   string // file name
	Size   int64
	Kind   string // "wheel", "jar", "file"
}

// digest is the identity of a release: SHA-256 over the JSON of this form. Keys are sorted, so equal
// content gives equal bytes. Fields are only ever added under a new form name: a release that has none
// of what the second and third form add keeps the digest that it always had.
func (r *Release) digest() string {
	type job struct{ Key, Digest string }
	type artifact struct{ Pipeline, Name, SHA256 string }
	type jar struct{ Pipeline, Scala, Name, SHA256 string }
	type configuration struct{ Owner, Name, File, SHA256 string }
	type source struct{ Path, SHA256 string }
	form := struct {
		Form, Project, Path, Commit string
		Jobs                        []job
		Artifacts                   []artifact
		Subscribed                  []artifact      `json:",omitempty"`
		Jars                        []jar           `json:",omitempty"`
		Configurations              []configuration `json:",omitempty"`
		Files                       []source        `json:",omitempty"`
		Folders                     []source        `json:",omitempty"`
	}{Form: "selvage release 1", Project: r.Project, Path: r.Path, Commit: r.Commit}
	for _, j := range r.Jobs {
		form.Jobs = append(form.Jobs, job{j.Key, j.Digest})
	}
	jars := func(p Pipeline) {
		for _, version := range scalaVersions {
			if a := p.Jars[version]; a != nil {
				form.Jars = append(form.Jars, jar{p.Key, version, a.Name, a.SHA256})
			}
		}
	}
	for _, p := range r.Pipelines {
		if p.Artifact != nil {
			form.Artifacts = append(form.Artifacts, artifact{p.Key, p.Artifact.Name, p.Artifact.SHA256})
		}
		jars(p)
	}
	for _, p := range r.Subscribed {
		if p.Artifact != nil {
			form.Subscribed = append(form.Subscribed, artifact{p.Key, p.Artifact.Name, p.Artifact.SHA256})
		}
		jars(p)
	}
	for _, c := range r.Configurations {
		sum := "" // of a content that is not known
		if c.Blocked == nil {
			sum = hexDigest(c.Content)
		}
		form.Configurations = append(form.Configurations, configuration{c.Owner, c.Name, c.File, sum})
	}
	for _, f := range r.Files {
		form.Files = append(form.Files, source{f.Path, f.SHA256})
	}
	for _, f := range r.Folders {
		form.Folders = append(form.Folders, source{f.Path, f.Digest})
	}
	switch {
	case len(form.Files)+len(form.Folders) > 0:
		form.Form = "selvage release 3"
	case len(form.Subscribed)+len(form.Jars)+len(form.Configurations) > 0:
		form.Form = "selvage release 2"
	}
	sort.Slice(form.Jobs, func(i, k int) bool { return form.Jobs[i].Key < form.Jobs[k].Key })
	for _, artifacts := range [][]artifact{form.Artifacts, form.Subscribed} {
		sort.Slice(artifacts, func(i, k int) bool { return artifacts[i].Pipeline < artifacts[k].Pipeline })
	}
	sort.SliceStable(form.Jars, func(i, k int) bool { return form.Jars[i].Pipeline < form.Jars[k].Pipeline })
	b, err := json.Marshal(form)
	if err != nil {
		panic("artifacts: strings do not encode: " + err.Error())
	}
	return hexDigest(b)
}

// collect fills Artifacts from the pipelines and the files of the repository: each once, in the order of its SHA-256.
func (r *Release) collect() {
	seen := map[Artifact]bool{}
	r.Artifacts = nil
	add := func(a *Artifact) {
		if a != nil && !seen[*a] {
			seen[*a] = true
			r.Artifacts = append(r.Artifacts, *a)
		}
	}
	for _, pipelines := range [][]Pipeline{r.Pipelines, r.Subscribed} {
		for _, p := range pipelines {
			add(p.Artifact)
			for _, version := range scalaVersions {
				add(p.Jars[version])
			}
		}
	}
	files := func(list []File) {
		for _, f := range list {
			add(&Artifact{SHA256: f.SHA256, Name: path.Base(f.Path), Size: f.Size, Kind: "file"})
		}
	}
	files(r.Files)
	for _, f := range r.Folders {
		files(f.Files)
	}
	sort.Slice(r.Artifacts, func(i, k int) bool {
		a, b := r.Artifacts[i], r.Artifacts[k]
		if a.SHA256 != b.SHA256 {
			return a.SHA256 < b.SHA256
		}
		return a.Name < b.Name
	})
}

func hexDigest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
