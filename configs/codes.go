package configs

import "sort"

// Code names a decision or a finding. Every code of Selvage stands in this file, with its level,
// its sentence and what to do next, so that an operator can look one up and no two rooms use one
// code for two things.
type Code string

// Level is the weight of a code.
type Level int

const (
	Note  Level = iota // worth knowing; changes nothing
	Skip               // the named thing is left out of the release, and what is live stays
	Wait               // nothing is written until time passes or a person acts
	Block              // nothing is written for the named thing until its cause is mended
	Alarm              // as Block, and somebody should look now
)

func (l Level) String() string {
	return [...]string{"note", "skip", "wait", "block", "alarm"}[l]
}

const (
	// git
	TagSkipped Code = "tag_skipped"
	TagMoved   Code = "tag_moved"
)

// repositories
const (
	RefOdd        Code = "ref_odd"
	RefMissing    Code = "ref_missing"
	TagUnparsable Code = "tag_unparsable"
	TagNotCommit  Code = "tag_not_commit"
	TagRenamed    Code = "tag_renamed"
	TagForeign    Code = "tag_foreign"
	TagAmbiguous  Code = "tag_ambiguous"
	FileOdd       Code = "file_odd"
	FileCase      Code = "file_case"
)

// fabrics
const (
	NameTaken           Code = "name_taken"
	MarkMissing         Code = "mark_missing"
	MarkCopied          Code = "mark_copied"
	MarkUnproven        Code = "mark_unproven"
	NotSeen             Code = "not_seen"
	ListShort           Code = "list_short"
	OutsideMissing      Code = "outside_missing"
	Stripped            Code = "stripped"
	PlaceholderLeft     Code = "placeholder_left"
	ReferenceMissing    Code = "reference_missing"
	ReferenceBlocked    Code = "reference_blocked"
	ReferenceUnselected Code = "reference_unselected"
	ReferenceCycle      Code = "reference_cycle"
	ReferenceAmbiguous  Code = "reference_ambiguous"
	ReferenceBroken     Code = "reference_broken"
	OverlayNoHit        Code = "overlay_no_hit"
	InstanceMissing     Code = "instance_missing"
	ArtifactMissing     Code = "artifact_missing"
	JobUnselected       Code = "job_unselected"

	PlaceholderUnsafe Code = "placeholder_unsafe"
	CallsTool         Code = "calls_authoring_tool"
	CallAllowed       Code = "call_allowed"
	ScalaUnknown      Code = "scala_unknown"
	ScalaUnbuilt      Code = "scala_unbuilt"
	AccessBroken      Code = "acl_broken"
	AccessCompleted   Code = "acl_completed"
	AccessInTurn      Code = "acl_in_turn"
	TagReserved       Code = "tag_reserved"
	OverLimit         Code = "over_limit"
	ManagedLeftOut    Code = "managed_by_left_out"
	TooManyTags       Code = "too_many_tags"
	Guardrail         Code = "guardrail"
	NotAllSeen        Code = "not_all_seen"
	ListDiffers       Code = "list_differs"
)

// the reconcile loop
const (
	UpToDate          Code = "up_to_date"
	Verified          Code = "verified"
	Changed           Code = "changed"
	Drifted           Code = "drifted"
	Pruned            Code = "pruned"
	Protected         Code = "protected"
	ActiveRunsFound   Code = "active_runs"
	InQuarantine      Code = "in_quarantine"
	QuarantineEdited  Code = "quarantine_edited"
	LeftFabric        Code = "left_fabric"
	StillElsewhere    Code = "still_elsewhere"
	LiveChanged       Code = "live_changed"
	Moved             Code = "moved"
	MoveUnclear       Code = "move_unclear"
	LabelsOnly        Code = "labels_only"
	Released          Code = "released"
	Unstable          Code = "unstable"
	PausedByHand      Code = "paused_by_hand"
	OtherWriter       Code = "other_writer"
	EditedMeanwhile   Code = "edited_meanwhile"
	Restarted         Code = "restarted"
	Observing         Code = "mode_observe"
	FirstApply        Code = "first_apply"
	Suspended         Code = "suspended"
	Approved          Code = "approved"
	PlanChanged       Code = "plan_changed"
	NotDescendant     Code = "not_descendant"
	HealOff           Code = "heal_off"
	AbsentOnce        Code = "absent_once"
	OverBudget        Code = "over_budget"
	IntentOpen        Code = "intent_open"
	IntentResolved    Code = "intent_resolved"
	FabricRefused     Code = "fabric_refused"
	BackingOff        Code = "backing_off"
	GitUnreachable    Code = "git_unreachable"
	FabricUnreachable Code = "fabric_unreachable"
	NoCandidate       Code = "no_candidate"
	UnknownRevision   Code = "unknown_revision"
	NothingSelected   Code = "nothing_selected"
	NotBuilt          Code = "not_built"
	NotRendered       Code = "not_rendered"
	LedgerFailed      Code = "ledger_failed"
	NewerArrived      Code = "newer_arrived"
	StillSettling     Code = "settling"
	OwnMistake        Code = "own_mistake"
	ReleasePartial    Code = "release_partial"
	ConfigChanged     Code = "config_changed"
	ConfigRefused     Code = "config_refused"
	ConfigRestart     Code = "config_needs_restart"
)

// holding and taking over
const (
	Held            Code = "held"
	Adopted         Code = "adopted"
	AdoptedEdited   Code = "adopted_edited"
	AdoptedMarked   Code = "adopted_marked"
	AdoptedUnmarked Code = "adopted_unmarked"
	AdoptedHealOff  Code = "adopted_heal_off"
	AdoptUnclear    Code = "adopt_unclear"
	Disowned        Code = "disowned"
)

// projects and their artifacts
const (
	EntryPassedOver      Code = "entry_passed_over"
	PipelineUnlisted     Code = "pipeline_unlisted"
	PipelineIncomplete   Code = "pipeline_incomplete"
	PipelineNotSupported Code = "pipeline_not_supported"
	PipelineNotBuilt     Code = "pipeline_not_built"
	WheelRenamed         Code = "wheel_renamed"
	WheelCalls           Code = "wheel_calls"
	JobUnlisted          Code = "job_unlisted"
	JobBroken            Code = "job_broken"
	JobNotSupported      Code = "job_not_supported"
	JobPipelineMissing   Code = "job_pipeline_missing"
	JobPipelineNotBuilt  Code = "job_pipeline_not_built"
	JobFabricDiffers     Code = "job_fabric_differs"
	JarMissing           Code = "jar_missing"
	SubscriptionMissing  Code = "subscription_missing"
	ConfigurationMissing Code = "configuration_missing"
	SecretInGit          Code = "secret_in_git"
	FileMissing          Code = "file_missing"
	FileIncludes         Code = "file_includes"
	NotNotebook          Code = "not_a_notebook"
)

// wheels
const (
	SetupRefused   Code = "setup_refused"
	SetupUnbounded Code = "setup_unbounded"
)

type meaning struct {
	level    Level
	sentence string
	next     string
}

var codes = map[Code]meaning{
	TagSkipped: {Note, "the tag was passed over", ""},
	TagMoved:   {Alarm, "the tag points at another object than when it was first seen", "find out who moved it; release under a new tag, or accept it with: selvage apply DEPLOYMENT --revision TAG"},

	RefOdd:        {Note, "a branch or tag was ignored", "delete it in the repository, or give it another name"},
	RefMissing:    {Wait, "the repository has nothing that the deployment follows", "push it, or mend follow: of the deployment in selvage.yaml"},
	TagUnparsable: {Note, "what ends the tag is no version, so that it counts as older than every tag with one", "release under a version such as 1.2.3, or set order: tagged"},
	TagNotCommit:  {Note, "the tag was passed over: it names no commit", "tag a commit"},
	TagRenamed:    {Note, "the tag was made under another name than it has now", "find out who copied it; a tag made for one release should not stand for another"},
	TagForeign:    {Note, "the tag was passed over: it does not release this project", "if it does, name it under tags: of the project in selvage.yaml"},
	TagAmbiguous:  {Block, "it is not clear which project the tag releases, so that it is not taken", "set tags: of the project in selvage.yaml"},
	FileOdd:       {Skip, "a file or folder is ignored because of its name", "give it a plain name in the repository"},
	FileCase:      {Note, "two names in one folder differ only in upper and lower case", "rename one of them: some systems can't hold both"},

	NameTaken:           {Block, "a job of that name is there already, and it is not selvage's", "if it is the same job, take it over: selvage adopt DEPLOYMENT; if it is another one, rename one of the two"},
	MarkMissing:         {Block, "the live resource no longer carries our mark", "put the selvage tags back on it, or delete it by hand so that it is made anew"},
	MarkCopied:          {Block, "two live resources carry the same mark of ours and none is known to be the original", "delete the copy, or take the selvage tags off it"},
	MarkUnproven:        {Block, "a live resource carries our mark, but the ledger does not know it as ours", "delete it by hand or take its selvage tags off, if it is a copy"},
	NotSeen:             {Wait, "the fabric did not say whether the resource is there", "look at the rights of the fabric's principal: selvage doctor"},
	ListShort:           {Wait, "the fabric's list lacks what was there, so that nothing is taken for absent until another look agrees", "if nobody deleted it, look at the rights of the fabric's principal: selvage doctor"},
	Stripped:            {Note, "a setting that makes a running job call the authoring tool was taken out", ""},
	PlaceholderLeft:     {Block, "a placeholder has no value", "set prophecy_id or prophecy_url of the project in selvage.yaml"},
	ReferenceBlocked:    {Block, "the job runs another one that can't be deployed", "mend what blocks the other one"},
	ReferenceUnselected: {Block, "the job runs another one that this deployment does not select", "select both under jobs: of the deployment, or neither"},
	ReferenceMissing:    {Block, "the definition or the overlay refers to something that is not there", "mend the name in the definition and release again, or in selvage.yaml; or have it made on the fabric, where its principal can see it"},
	ReferenceAmbiguous:  {Block, "the definition or the overlay refers to something by a name that several have", "rename all but one, or write the id, or for a job of the project its key, in place of the name"},
	ReferenceBroken:     {Block, "what stands in place of an id is no reference", "write the id, or a reference of the kind that belongs there, such as {warehouse: NAME}"},
	ReferenceCycle:      {Block, "jobs refer to each other in a circle", "break the circle in the definitions and release again"},
	OverlayNoHit:        {Block, "a part of the overlay changes nothing", "mend or remove it in selvage.yaml"},
	InstanceMissing:     {Block, "a pipeline of the job has no configuration of that name", "add the configuration to the pipeline, or mend config_instance in selvage.yaml"},
	ArtifactMissing:     {Block, "the definition names an artifact that the release does not hold", "mend the path in the definition, or release the pipeline that makes it"},
	JobUnselected:       {Note, "the deployment does not select the job", "name it under jobs: of the deployment, or its fabric id under prophecy_ids of the fabric, if it belongs here"},

	PlaceholderUnsafe: {Block, "the value of a placeholder holds a character that does not belong into a path", "name the tag without it, or mend prophecy_id or prophecy_url of the project in selvage.yaml"},
	CallsTool:         {Block, "the definition names the authoring tool's own address, so that the running job would call it", "take it out of the definition, or allow the job to with isolation: {allow: [KEY]} of the deployment"},
	CallAllowed:       {Note, "the job may call the authoring tool, because the deployment allows it", ""},
	ScalaUnknown:      {Block, "nothing says for which Scala version the jar of a pipeline has to be", "name a runtime such as 15.4.x-scala2.12 under spark_version of the task's cluster, or a jar with a suffix such as _2.12 in the job"},
	ScalaUnbuilt:      {Block, "no jar of a pipeline is known for the Scala version of the task's cluster, and building Scala comes later", "run the job on a cluster of the other version, or deploy it by other means until then"},
	AccessBroken:      {Block, "the definition's access_control_list can't be set as it is", "mend it in the job's file, or under patch: of the overlay"},
	AccessCompleted:   {Note, "whoever selvage logs in as keeps CAN_MANAGE of the job beside what access_control_list says, so that the next apply still works", ""},
	AccessInTurn:      {Note, "access lists are read in turns: what others did to one shows once it is its turn", "to read it now: selvage plan DEPLOYMENT"},
	TagReserved:       {Note, "a tag of the definition was left out, because tags of that name are ours", "name it otherwise"},
	OverLimit:         {Block, "the job is larger than the workspace takes", "make it smaller in the definition or in the overlay, or make two jobs of it, and release again"},
	ManagedLeftOut:    {Note, "the description of the job has no room for the line that says whose it is", "shorten it, or set managed_by: lock of the fabric in selvage.yaml"},
	Guardrail:         {Block, "a guardrail of the fabric does not allow what the job says", "change the job in its project, or the deployment's overlay; guardrails of the fabric are the operator's to change in selvage.yaml"},
	NotAllSeen:        {Block, "we may not see every job of the workspace, so that what does not show may be there: nothing is created", "make the fabric's principal an admin of the workspace; or, if the jobs of others are none of its business, say visibility: own of the fabric in selvage.yaml"},
	ListDiffers:       {Note, "the list of jobs and the job itself do not say the same of it; the job itself is believed", ""},
	TooManyTags:       {Block, "the job has more tags than the workspace takes", "remove some from the definition or from the overlay"},

	UpToDate:          {Note, "the fabric runs what the release says", ""},
	Verified:          {Note, "the change was applied, and looking again agrees", ""},
	Changed:           {Note, "the release differs from what is live", ""},
	Drifted:           {Note, "what is live was changed by somebody else", ""},
	Pruned:            {Note, "the release no longer holds the resource", ""},
	Protected:         {Note, "the release no longer holds the job, and protect: keeps it as it is", "take the pattern out of protect: in selvage.yaml when the job may go"},
	ActiveRunsFound:   {Wait, "runs of the job are under way, so that it is not deleted yet", "wait for them, or end them in the workspace; active_runs: cancel under prune of the policy ends them by itself"},
	InQuarantine:      {Wait, "the job is paused and renamed before it is deleted", "put it into git again if it is still needed: the live job then goes on as it was"},
	QuarantineEdited:  {Block, "somebody changed the job after it was paused and renamed, so that it is not deleted", "delete it by hand if nobody needs it, put it into git again, or keep it as it is: selvage disown DEPLOYMENT"},
	LeftFabric:        {Note, "git moved the job to another fabric: it is paused here, and no longer managed", ""},
	StillElsewhere:    {Wait, "git moved the job here, and it is not paused yet on the fabric that it left", "let the other deployment pause it, or pause it there by hand"},
	LiveChanged:       {Wait, "what is live changed since the plan was made; it is compared again before anything is written", ""},
	LabelsOnly:        {Note, "only fields that name the release differ; they ride along with the next change", ""},
	Released:          {Note, "the configuration no longer covers the resource: it is left as it is, and no longer managed", ""},
	Unstable:          {Note, "a field is still different after it was written; it is left alone until the release changes it", "see whether a cluster policy or another tool sets it"},
	PausedByHand:      {Note, "it was paused by hand in the workspace: the pause stands until git changes that field", "selvage resume DEPLOYMENT JOB"},
	OtherWriter:       {Alarm, "it came back after it was put right twice within an hour, or the authoring tool wrote it again, so that it is not put right any more", "have the other one stop, then: selvage apply DEPLOYMENT"},
	EditedMeanwhile:   {Wait, "it was changed between our look and our write, so that nothing was written over it; it is planned again", ""},
	Restarted:         {Note, "runs that began before the update are ended, so that others begin with the new definition", ""},
	Observing:         {Wait, "the deployment only observes", "set mode: apply in selvage.yaml when the plan is what you want"},
	FirstApply:        {Wait, "the first apply of a deployment needs a person", "read the plan, then: selvage apply DEPLOYMENT"},
	Suspended:         {Wait, "suspended", "selvage resume TARGET"},
	Approved:          {Note, "a person approved this plan", ""},
	PlanChanged:       {Wait, "the plan is no longer the one that was approved", "look at it again: selvage plan DEPLOYMENT"},
	NotDescendant:     {Wait, "the release does not descend from the one that is live", "if it is meant: selvage apply DEPLOYMENT --revision TAG"},
	HealOff:           {Wait, "drift is shown and not put right, because heal is off", "set heal: true in the policy, or: selvage apply DEPLOYMENT"},
	AbsentOnce:        {Wait, "absent from the release once; looked at again after the next poll", ""},
	OverBudget:        {Wait, "more deletions than the prune budget allows", "if they are all meant, raise prune in the policy"},
	IntentOpen:        {Wait, "an earlier request may or may not have been carried out; it is looked for before anything else is done", ""},
	IntentResolved:    {Note, "what became of an earlier request was found by looking", ""},
	FabricRefused:     {Block, "the fabric refused the change", "mend what it names; it is tried again when the definition or the configuration changes, or with: selvage apply DEPLOYMENT"},
	BackingOff:        {Wait, "the fabric does not take requests now; they are tried again later", ""},
	GitUnreachable:    {Wait, "the git remote can't be read", "selvage doctor says what fails"},
	FabricUnreachable: {Wait, "the fabric can't be read", "selvage doctor says what fails"},
	UnknownRevision:   {Block, "the repository holds no such revision", "name a tag, a branch or the whole id of a commit that is there"},
	NothingSelected:   {Wait, "the release holds no job for this deployment", "see which jobs it holds, and for which fabrics: selvage why DEPLOYMENT"},
	NoCandidate:       {Wait, "nothing in the repository matches what the deployment follows", "push a tag or branch that matches follow:"},
	NotBuilt:          {Block, "the release can't be built", "mend the project and release again"},
	NotRendered:       {Block, "the release can't be carried over to the fabric", ""},
	LedgerFailed:      {Alarm, "the ledger can't be written, so nothing is applied", "make room or mend the disk under state, then start the daemon again"},
	ReleasePartial:    {Block, "the release is not read as a whole, so that what it lacks may be in git all the same", "mend the names in the repository that the findings list"},
	Moved:             {Note, "the live resource goes on under another key: its id and its runs are kept", ""},
	MoveUnclear:       {Block, "moved: says that the job goes on under another key, and the release still holds it under the old one", "take the old job out of the project, or, if they are two jobs, the entry out of moved: of the deployment in selvage.yaml"},
	OutsideMissing:    {Block, "the job needs something on the fabric that others put there, and it is not there", "have it put there by those who own it: the release of the other project, the secret, or the DLT pipeline"},
	OwnMistake:        {Alarm, "selvage made a mistake of its own", "suspend the deployment if it does not pass, and report what the log says"},
	StillSettling:     {Wait, "the fabric is taking the change in", ""},
	ConfigChanged:     {Note, "the configuration of the deployment changed; no further request by the old one is sent", ""},
	ConfigRefused:     {Block, "the configuration on disk is not the one that runs", "mend it: it is loaded as soon as it is saved"},
	ConfigRestart:     {Block, "the configuration on disk is not the one that runs: it needs a restart to take effect", "restart the daemon, or put back what it names"},
	NewerArrived:      {Note, "a newer release arrived; no further request of the older one is sent", ""},

	Held:            {Wait, "a person holds the deployment at a release; drift is still put right", "selvage unhold DEPLOYMENT"},
	Adopted:         {Note, "the live job was taken over: it gets our mark, and keeps its id, its history and its permissions", ""},
	AdoptedEdited:   {Wait, "the live job was edited after it was accepted, and its first apply would undo that", "look at it and accept it again: selvage adopt DEPLOYMENT"},
	AdoptedMarked:   {Block, "the live job that was to be taken over carries another mark by now", "find out who took it; if it is to be ours, have it handed back there, and: selvage adopt DEPLOYMENT"},
	AdoptedUnmarked: {Block, "the release no longer holds the job that was taken over, and nothing without our mark is deleted", "hand it back: selvage disown DEPLOYMENT --job KEY"},
	AdoptedHealOff:  {Wait, "drift is shown and not put right: jobs of the deployment were taken over, and its policy does not say heal itself", "set heal: true in a policy of the deployment, or: selvage apply DEPLOYMENT"},
	AdoptUnclear:    {Note, "no live job says of which release it is, so that it is compared with the newest one", "name the release that is live with --baseline TAG"},
	Disowned:        {Wait, "the jobs were handed back; nothing is written to them, and none is made in their place", "to take them over again: selvage adopt DEPLOYMENT"},

	EntryPassedOver:      {Note, "an entry that is no job, pipeline or configuration of this project was passed over", "rename or remove it"},
	PipelineUnlisted:     {Note, "the pipeline has a folder, but the project does not list it: it is not built", "list it in pbt_project.yml, or remove the folder"},
	PipelineIncomplete:   {Note, "the pipeline is listed, but it can't be built: its code is not there", "save the pipeline again in the authoring tool, or take it off pbt_project.yml"},
	PipelineNotSupported: {Note, "pipelines of this language are not built yet", ""},
	PipelineNotBuilt:     {Skip, "the pipeline could not be built", "mend its setup.py and release again"},
	WheelRenamed:         {Note, "the wheel is built under another file name than the job names; the job gets the built one", ""},
	WheelCalls:           {Note, "the pipeline's code names the address of a host that jobs must not call", "see whether the pipeline calls it when it runs, and take it out if so"},
	JobUnlisted:          {Skip, "the job has a folder, but the project does not list it: its live job stays as it is", "list it in pbt_project.yml, or remove the folder to remove the job"},
	JobBroken:            {Skip, "the job's definition can't be understood: its live job stays as it is", "save the job again in the authoring tool, or mend the file, and release again"},
	JobNotSupported:      {Skip, "the job has something that is not carried over yet: its live job stays as it is", "take it out of the job, or deploy this job by other means"},
	JobPipelineMissing:   {Skip, "the job names a pipeline that is not there: its live job stays as it is", "add the pipeline, or take it out of the job, and release again"},
	JobPipelineNotBuilt:  {Skip, "a pipeline of the job could not be built: its live job stays as it is", "mend the pipeline and release again"},
	JobFabricDiffers:     {Note, "the job is committed for two different fabrics", "save the job again in the authoring tool"},
	JarMissing:           {Skip, "no jar of a Scala pipeline of the job is known, and building Scala comes later: its live job stays as it is", "deploy this job by other means until then, or take the pipeline out of it"},
	SubscriptionMissing:  {Skip, "the job names a pipeline of another project that its release does not hold: its live job stays as it is", "release that project with the pipeline in it, or subscribe to a release that has it, and release again"},
	ConfigurationMissing: {Skip, "a configuration can't be read: the live jobs that use it stay as they are", "save it again in the authoring tool, or take it off pbt_project.yml, and release again"},
	SecretInGit:          {Alarm, "a secret stands in the repository, readable by everybody who can read it", "revoke it, put a reference in its place, and release again"},

	FileMissing:  {Skip, "the job names a file by its path in the repository that can't be taken from there: its live job stays as it is", "commit the file, mend the path, or write the full path of one that is on the fabric, such as /Workspace/..., and release again"},
	FileIncludes: {Skip, "a file of the job names another one by a relative path, which will not lie beside it on the fabric: its live job stays as it is", "put what it needs into the file itself, or name the other one by its full path on the fabric, and release again"},
	NotNotebook:  {Skip, "the job runs a file as a notebook that is none: its live job stays as it is", "save it as a notebook, or run it with a spark_python_task, and release again"},

	SetupRefused:   {Skip, "a setup.py asks for something that no wheel is built from here", "mend the setup.py and release again"},
	SetupUnbounded: {Skip, "a setup.py exceeds what evaluating it may use", "mend the setup.py and release again"},
}

// Codes lists every code in alphabetical order.
func Codes() []Code {
	all := make([]Code, 0, len(codes))
	for c := range codes {
		all = append(all, c)
	}
	sort.Slice(all, func(i, j int) bool { return all[i] < all[j] })
	return all
}

// Sentence is what the code means, without particulars.
func (c Code) Sentence() string { return codes[c].sentence }

// Level is the weight of every finding with this code.
func (c Code) Level() Level { return codes[c].level }
