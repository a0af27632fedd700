// Package configs holds the configuration of Selvage: what selvage.yaml may say, how it is read, and
// the values that every other room names in common (Secret, Finding, Code).
//
// Start with [Load]. It either returns a whole, checked [Config], which nobody changes afterwards, or
// [Problems]: every mistake of the file with its line, so that one look mends them all. Nothing is
// accepted and ignored: a key that is unknown, or whose feature is not built, is a mistake.
package configs

import (
	"cmp"
	"slices"
	"time"
)

// Config is one checked configuration. It is immutable: a reload makes another.
type Config struct {
	File string // the path it was loaded from, as it was given
	// Files are the absolute paths of all files that it was read from: File, then those that it includes.
	Files []string
	State string // absolute folder of ledger, database, mirrors and artifacts

	Fabrics  map[string]*Fabric
	Projects map[string]*Project
	// Policies holds what the file names and the built-in one, DefaultPolicy.
	Policies map[string]*Policy
	// Deployments are sorted by name. Their pointers are those of the maps above.
	Deployments []*Deployment
	// Isolation are patterns over host names that no deployed job may call, in lower case: "*.prophecy.io"
	// stands for every host below that domain and for the domain itself. Never empty.
	Isolation []string

	// Digest is the SHA-256, in hex, of what the file means: comments, order and spelling don't
	// count, and of a Secret only where it comes from does. A rotated credential leaves the digest
	// as it is.
	Digest string
}

// Deployment returns the deployment of that name ("project@fabric").
func (c *Config) Deployment(name string) (*Deployment, bool) {
	i, ok := slices.BinarySearchFunc(c.Deployments, name, func(d *Deployment, name string) int { return cmp.Compare(d.Name(), name) })
	if !ok {
		return nil, false
	}
	return c.Deployments[i], true
}

// Fabric is an execution environment that jobs are deployed to.
type Fabric struct {
	Name       string
	Databricks *Databricks // never nil: it is the only kind there is yet
	// ProphecyIDs are the fabric ids that committed jobs carry, in the order of the file.
	ProphecyIDs []string
	// Artifacts is the folder that wheels and jars are uploaded to, below /Volumes or /Workspace.
	// Empty: a folder of the principal that deploys.
	Artifacts string
	// Visibility is SeesAll unless the file says otherwise.
	Visibility Visibility
	Guardrails *Guardrails // nil: none
}

// Databricks says how a workspace is reached and logged in to.
type Databricks struct {
	// Host is scheme and authority without a trailing slash: https, or http on loopback.
	Host string
	// Attributes are set on databricks-sdk-go's config.Config under these names, which are its
	// `name` tags. They are complete for the one way of logging in that stands in auth_type, which
	// is always set, so that nothing needs to come from the environment or from a profile.
	Attributes map[string]Secret
	// RequestsPerSecond limits all requests to the host. 0: the adapter's default.
	RequestsPerSecond float64
	// ManagedBy is how a job says in the workspace that it is ours, one of the words below.
	ManagedBy string
}

// The ways in which a job of ours says so in the workspace, for people who look at it there.
const (
	ManagedByDescription = "description" // the default: a line at the end of its description
	ManagedByLock        = "lock"        // its page is read-only, and says what it is deployed by
	ManagedByNone        = "none"        // as committed
)

// Project is the folder of a pbt_project.yml in a repository.
type Project struct {
	Name string
	// Git is an https, ssh (also git@host:path) or file URL, or http on loopback. It never holds a
	// password, and a user only with ssh.
	Git string
	// Path is the folder of pbt_project.yml, clean and with slashes; "." is the root of the
	// repository. Empty: to be found, if there is just one.
	Path string
	// ProphecyID and ProphecyURL fill the placeholders of project id and authoring tool.
	ProphecyID  string
	ProphecyURL string
	// Tags are doublestar patterns over the tags that release this project; empty: found out for each
	// tag. No two projects of one repository have a pattern in common, or a tag by name that a pattern of the
	// other one matches; patterns that overlap otherwise are found out when such a tag is seen.
	Tags []string
	Poll time.Duration // between two looks at the remote; at least MinPoll
	Auth GitAuth
}

// DefaultIsolation is the host of Config.Isolation where the file names none: the authoring tool's makers.
const DefaultIsolation = "*.prophecy.io"

const (
	DefaultPoll = time.Minute
	MinPoll     = time.Second
)

// GitAuth is how the remote of a project is logged in to: Username and Password together for http(s);
// SSHKey and KnownHosts together, and required, for ssh; nothing for file.
type GitAuth struct {
	Username   string
	Password   Secret
	SSHKey     Secret // the text of a private key in PEM, without a passphrase
	KnownHosts string // absolute path of a known_hosts file
}

// Policy is a set of rules under one name, used by many deployments.
type Policy struct {
	Name  string
	Prune Prune
	Heal  bool // put drift right
	// Protect are doublestar patterns over keys of jobs that are kept when git no longer holds them.
	Protect []string
	// HealSaid: the file says so itself. On a deployment with adopted jobs only that counts.
	HealSaid bool
}

// DefaultPolicy is the name of the policy of deployments that name none.
const DefaultPolicy = "default"

func defaultPolicy(name string) *Policy {
	return &Policy{Name: name, Prune: Prune{Max: 5, Percent: 20, ActiveRuns: RunsWait}, Heal: true}
}

// Deployment is one project on one fabric.
type Deployment struct {
	Project *Project
	Fabric  *Fabric
	Policy  *Policy
	Mode    Mode
	Follow  Follow
	// Jobs are doublestar patterns over job keys ("jobs/daily_*"). Empty: the jobs whose committed
	// fabric is one of Fabric.ProphecyIDs, of which there is at least one then.
	Jobs    []string
	Overlay Overlay
	// Moved maps the key that a job had in earlier releases to the one that it has now, so that the live
	// job stays the same. No two keys lead to one.
	Moved map[string]string
	// Restart says which jobs pick an update up at once.
	Restart Restart
	// Allow are doublestar patterns over the keys of jobs that may call the hosts of Config.Isolation.
	Allow []string
	// Protect are doublestar patterns over keys of jobs that are kept when git no longer holds them, beside those
	// of Policy: see Protected.
	Protect []string
	// Digest is the SHA-256, in hex, of everything in the configuration that bears on this deployment:
	// its project, fabric and policy too. Two loads that give one digest mean the same for it. Other projects
	// of the file are not in it, though a job may name a pipeline of theirs.
	Digest string
}

// Name is "project@fabric", unique in a configuration.
func (d *Deployment) Name() string { return d.Project.Name + "@" + d.Fabric.Name }

// Mode says whether a deployment may write to its fabric.
type Mode string

const (
	Observe Mode = "observe" // the default: plan, and write nothing
	Apply   Mode = "apply"
)

// Follow names the refs that a deployment takes its releases from: a branch, or tags.
type Follow struct {
	Branch string `json:"branch,omitzero"` // a branch name without refs/heads/
	Tag    string `json:"tag,omitzero"`    // a doublestar pattern over tag names without refs/tags/
	Order  Order  `json:"order,omitzero"`  // of tags, newest first; empty with a branch
}

// Order says which of two tags is newer.
type Order string

const (
	Semver Order = "semver" // the default: by the version in the tag's name
	Tagged Order = "tagged" // by the date that the tagger wrote
)

// Overlay is what a deployment changes in the committed definitions. Each part must find something to
// change, or to leave as it wants it, in the jobs of the deployment.
type Overlay struct {
	ConfigInstance string            `json:"config_instance,omitzero"` // replaces the value of -i; empty: as committed
	Schedule       string            `json:"schedule,omitzero"`        // "", "keep", "enabled" or "paused"; "" is "keep"
	Tags           map[string]string `json:"tags,omitzero"`            // added to the tags of each job; portable over the clouds
	// JobClusters are merged, in order, into the settings (new_cluster) of the clusters that they match.
	JobClusters []ClusterOverlay `json:"job_clusters,omitzero"` // Parameters set every parameter of that name that a job has: a parameter of the job, a named
	// parameter of a task, or the argument that follows the name among a task's arguments ("-O").
	Parameters map[string]string `json:"parameters,omitzero"`
	Libraries  Libraries         `json:"libraries,omitzero"` // Notifications are the addresses by event ("on_failure"), instead of all e-mail addresses of the job. Nil:
	// as committed; without any event: nobody. Each event in it has an address.
	Notifications map[string][]string `json:"notifications,omitzero"`
	RunAs         RunAs               `json:"run_as,omitzero"` // Patch are merged, in order, into the settings of jobs and tasks.
	Patch         []Patch             `json:"patch,omitzero"`  // Inherited are the parts that only the defaults of the fabric say, sorted: "config_instance", "tags.env",
	// "job_clusters.*", "patch.jobs/daily_*". What is meant for many deployments need not find something to
	// change in each.
	Inherited []string `json:"inherited,omitzero"`
}

// Inherits reports that a part of the overlay, named as in Inherited, comes from the defaults of the fabric.
func (o Overlay) Inherits(part string) bool {
	_, ok := slices.BinarySearch(o.Inherited, part)
	return ok
}

// ClusterOverlay is a JSON merge patch (RFC 7386) of the clusters whose key matches Key, a doublestar
// pattern. A cluster that a task has of its own goes by the task's key.
type ClusterOverlay struct {
	Key   string         `json:"key,omitzero"`
	Merge map[string]any `json:"merge,omitzero"` // as encoding/json decodes it, with json.Number; nil removes a field
}

// Libraries are the mirrors that clusters get libraries from; empty: as committed.
type Libraries struct {
	PyPI  string `json:"pypi,omitzero"`  // URL of a package index, for each library of kind pypi
	Maven string `json:"maven,omitzero"` // URL of a repository, for each library of kind maven
}

// RunAs is whom the jobs run as; at most one of them is set.
type RunAs struct {
	User             string `json:"user,omitzero"`              // user name, an e-mail address
	ServicePrincipal string `json:"service_principal,omitzero"` // application id
}

// Patch is a JSON merge patch (RFC 7386) of the jobs whose key matches Jobs.
type Patch struct {
	Jobs  string         `json:"jobs,omitzero"`  // a doublestar pattern over job keys
	Merge map[string]any `json:"merge,omitzero"` // of the job's settings; may be nil
	Tasks []TaskPatch    `json:"tasks,omitzero"` // of its tasks, in the order of the file
}

// TaskPatch is a JSON merge patch of the tasks whose key matches Key, a doublestar pattern.
type TaskPatch struct {
	Key   string         `json:"key,omitzero"`
	Merge map[string]any `json:"merge,omitzero"`
}
