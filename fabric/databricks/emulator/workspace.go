// Package emulator is a Databricks workspace in a process: an http.Handler that the vendor's own SDK
// talks to, for tests, for the demo and for rehearsals. New makes a workspace, Start serves it on a
// loopback port, and a PipeListener serves it without any socket, inside a testing/synctest bubble.
//
// It holds jobs (create, reset, update, get, list, delete, run-now and the runs of them), permissions
// of jobs, workspace files, volumes, what people put there by hand (secrets by name, pipelines, files of DBFS: to be
// looked at; warehouses, policies, pools, clusters, destinations: to be listed), the caller's identity and OAuth tokens for machines. Everything
// else answers 404 ENDPOINT_NOT_FOUND. It shares no code and no table with our client, so that a
// mistake in one does not hide in the other.
//
// # Documented, or seen by many
//
//   - names of jobs are not unique; job ids are 64-bit (ours never fit a float64);
//   - jobs/get of a missing job is 400 INVALID_PARAMETER_VALUE "Job N does not exist.";
//   - the permission is looked at before the existence: 403 PERMISSION_DENIED;
//   - tasks, job_clusters, parameters and environments are read 100 at a time;
//   - jobs/list: limit 1 to 100, 20 when absent, newest first, name filter exact without regard to case;
//   - tasks come back sorted by task_key, depends_on and webhook destinations in an order of the
//     service's own (here: never the order sent, if there are two or more);
//   - defaults are filled in at job, task, for_each and cluster level (defaults.go, clusters.go);
//   - who is no admin sees the jobs that an access list lets it see, and changes those that it may manage;
//   - reset keeps the old run_as when it is omitted, and enables the queue when that is omitted;
//   - permissions of a job: PUT replaces all direct entries and wants exactly one owner, no group, and nobody twice;
//     PATCH merges; GET shows what is inherited too; who makes a job owns it unless the request says otherwise;
//   - access_control_list counts on create only; apply_policy_default_values and the condition of a
//     table_update trigger are never read back;
//   - limits of size, count and charset are errors (validate.go, tasks.go); over the rate is 429.
//
// # Assumed
//
//   - A field that is not known is kept and read back: a newer service than this package.
//   - null is the same as absent.
//   - API 2.1 answers like 2.2.
//   - A policy's values are injected where absent; a value that contradicts the policy is an error.
//   - Page tokens point between two jobs, so that creating and deleting while paging neither skips nor
//     doubles a job that was there all the time.
//   - An idempotency token of run-now works for as long as the workspace lives.
//   - A run takes Options.RunTime, all its tasks at once. Started by run-now it is skipped where max_concurrent_runs of them
//     are active and the job has no queue; with one it begins at once all the same.
//   - A continuous job that is not paused always has an active run, which ends by being cancelled alone: the next begins then.
//     A run keeps the settings that the job had when it began.
//   - Data security mode, cloud attributes and elastic disk of a cluster that names none, on Azure and
//     Google Cloud.
//
// What is unverified on a real workspace has a switch in Unverified for each answer that it may give.
//
// # Strictness
//
// A request that the real API would reject, and one that a careful client never sends (an unknown
// field beside new_settings, an output-only field inside), is answered with an error and remembered:
// Violations lists them, and a test ends with a look at it.
package emulator

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"time"
)

// Profile is the cloud that the workspace lives in. It decides the charset of tags and the defaults of clusters.
type Profile string

// The three clouds.
const (
	AWS   Profile = "AWS"
	Azure Profile = "AZURE"
	GCP   Profile = "GCP"
)

// Options say what kind of workspace to emulate. The zero value is a usable AWS workspace.
type Options struct {
	Token string            // accepted bearer token; default "emulator-token"
	User  string            // whose token it is; default "deployer@selvage.example"
	Users map[string]string // further bearer tokens, and whose they are
	// Guests are users that are no admins, with the groups that they are in. Of a job that does not grant them anything
	// they see nothing. Everybody else is in the group "admins".
	Guests       map[string][]string
	ClientID     string // a service principal that may ask for OAuth tokens
	ClientSecret string

	Profile    Profile                   // default AWS
	Seed       int64                     // of ids and orders: same seed and same requests, same answers
	Policies   map[string]map[string]any // cluster policy id to the cluster fields that it fixes
	Volumes    []string                  // "catalog.schema.volume" that exist; nil: any does
	RunTime    time.Duration             // of a simulated run; default 2 s
	EndTime    time.Duration             // from the cancel of a run until it has ended; default none
	Limits     map[string]Limit          // by endpoint, as "jobs/create" or "workspace/import"; "*" for all together
	Latency    time.Duration             // of every answer, our own work on it included
	Principals []string                  // users, groups and service principals that exist; nil: any does
	Lenient    bool                      // accept what only our caution rejects, see Strictness above
	// IntentLog is a folder. Where set, a request that changes anything must carry the header
	// X-Selvage-Intent with an id that already stands in one of the folder's *.jsonl files;
	// any other is refused with status 500 and remembered as a violation.
	IntentLog string

	Unverified Unverified
	Now        func() time.Time // default time.Now
}

// Limit is a rate limit; requests above it are answered with 429.
type Limit struct {
	PerSecond float64
	Burst     int // at least 1
}

// Unverified has a switch for every behaviour that nobody has observed on a real workspace. The zero
// value is the answer that we think likely; the client must live with all of them.
type Unverified struct {
	GroupsHidden         bool          // scim/v2/Me does not say which groups the caller is in
	ListLag              time.Duration // a new job is missing from jobs/list for so long
	ListStale            time.Duration // jobs/list shows a job as it was for so long after a write
	ListOmits            string        // jobs/list never shows this field of the settings
	ListOmitsDefaults    bool          // jobs/list leaves out the defaults that jobs/get shows
	ListByOffset         bool          // page tokens count jobs: deleting while paging skips one, creating doubles one
	TasksAsSent          bool          // tasks are not sorted
	ListsReordered       bool          // parameters, job_clusters, environments and libraries come back in another order
	ResetReorders        bool          // a reset that changes nothing still picks new orders
	JobClustersBare      bool          // no defaults below job_clusters, only below tasks
	QueueHidesDisabled   bool          // queue {enabled: false} reads back as absent
	QueueKept            bool          // reset without queue keeps the old one, instead of enabling it
	PermissionsLag       time.Duration // an access list reads as before for so long after a write
	PermissionsOutlive   bool          // the access list of a deleted job can still be read
	AdminsInherit        bool          // what the group admins is granted directly is not kept: it inherits CAN_MANAGE
	UserNamesLowered     bool          // names of users in access lists come back in lower case
	MissingIs404         bool          // reset, update and delete of a missing job, and writes of its permissions: 404 RESOURCE_DOES_NOT_EXIST, not 400
	DeletedIs403         bool          // any call for a deleted job: 403, as some see without admin rights
	BadTokenIs403        bool          // a wrong token: 403, not 401
	RetryAfter           bool          // 429 carries Retry-After
	EnvironmentEcho      string        // "client" or "environment_version": that name is echoed, whichever was sent
	BundleRejected       bool          // deployment.kind BUNDLE is refused
	ParentPathHidden     bool          // parent_path is not read back
	ParentPathFixed      bool          // reset and update do not move a job to another parent_path
	EmptyBlocksDropped   bool          // an empty notification_settings or health is not read back
	EmailsLowered        bool          // addresses in email_notifications come back in lower case
	EmailFlagEchoed      bool          // email_notifications show no_alert_for_skipped_runs: false
	EmptyTagsEchoed      bool          // a job without tags shows tags {}
	RetriesEchoed        bool          // max_retries, min_retry_interval_millis and retry_on_timeout are always shown
	DeltaPreview         bool          // clusters get spark.databricks.delta.preview.enabled in spark_conf
	RunJobUnchecked      bool          // run_job_task may name a job that is not there
	TriggersPreview      bool          // the plural triggers are on; off, they answer 404 FEATURE_DISABLED
	ExistsIs400          bool          // import over an existing file without overwrite: 400, not 409
	MultipartLimit       int64         // bytes of a multipart import; default 450 MB
	VolumeParents        bool          // a file in a volume needs its folder to be there
	PipelineMissingIs403 bool          // a pipeline that is not there: 403, as for one that the caller may not see
	NotebookSizes        bool          // get-status of a notebook shows a size, which is not that of what was imported
	ClusterFilterIgnored bool          // clusters/list gives clusters of every source, whatever is asked for
	LikeIgnoresCase      bool          // the filter of the list of pipelines takes no notice of upper and lower case
	PauseCancels         bool          // pausing a continuous job cancels its active run
	BudgetPolicy         string        // effective_budget_policy_id of every job that names none
}

// Workspace is one emulated workspace. It is safe for use by many goroutines.
type Workspace struct {
	o       Options
	journal journal
	faults  faults
	intents intentLog

	mu        sync.Mutex // guards what follows; never held while waiting
	rng       *rand.Rand
	state     state
	snapshots map[string]state
	hidden    map[int64]map[string]bool // job id to the users that may not see it; "" is everybody
	limiters  map[string]*limiter
	tokens    map[string]grant // OAuth tokens that we gave out
	trouble   troubled
}

// New makes an empty workspace.
func New(o Options) *Workspace {
	if o.Token == "" {
		o.Token = "emulator-token"
	}
	if o.User == "" {
		o.User = "deployer@selvage.example"
	}
	if o.Profile == "" {
		o.Profile = AWS
	}
	if o.RunTime == 0 {
		o.RunTime = 2 * time.Second
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Unverified.MultipartLimit == 0 {
		o.Unverified.MultipartLimit = 450_000_000
	}
	w := &Workspace{
		o:         o,
		rng:       rand.New(rand.NewPCG(uint64(o.Seed), 0x5e1f)),
		snapshots: map[string]state{},
		hidden:    map[int64]map[string]bool{},
		limiters:  map[string]*limiter{},
		tokens:    map[string]grant{},
		intents:   intentLog{dir: o.IntentLog},
	}
	for name, l := range o.Limits {
		w.limiters[name] = newLimiter(l)
	}
	w.state = newState(o)
	return w
}

// Start serves the workspace on a free loopback port. stop closes the server and every connection.
func (w *Workspace) Start() (url string, stop func(), err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, fmt.Errorf("listen for the emulated workspace: %w", err)
	}
	return "http://" + l.Addr().String(), w.Serve(l), nil
}

// Serve serves the workspace on l until stop is called, which also waits for the serving goroutine.
func (w *Workspace) Serve(l net.Listener) (stop func()) {
	srv := &http.Server{Handler: w, ReadHeaderTimeout: time.Minute}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = srv.Serve(l) // always ErrServerClosed, or what broke the listener: then clients see it at once
	}()
	return func() {
		_ = srv.Close()
		<-done
	}
}
