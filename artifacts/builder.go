package artifacts

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"sort"
	"strings"
	"sync"

	"github.com/google/renameio/v2"
	"golang.org/x/sync/errgroup"

	"selvage/configs"
)

// Builder makes releases. Each wheel is built once per content of its code folder and BuilderVersion:
// a commit that leaves a pipeline as it is costs neither a child process nor a build. It may be used
// from many goroutines.
type Builder struct {
	store *Store
	built string   // folder of small files that say which blob was built from what
	child []string // command line of the process that evaluates setup.py files
	busy  chan struct{}

	mu       sync.Mutex
	projects map[string]chan struct{} // one Build of a project at a time: the next one finds its wheels
}

// NewBuilder returns a Builder that keeps wheels in store and its notes of what was built in cacheDir,
// which may be lost at any time. child is the command line of a process that runs EvalChildMain.
func NewBuilder(store *Store, cacheDir string, child []string) *Builder {
	return &Builder{
		store:    store,
		built:    cacheDir,
		child:    child,
		busy:     make(chan struct{}, max(1, runtime.GOMAXPROCS(0))),
		projects: map[string]chan struct{}{},
	}
}

// Source is where a release is made from.
type Source struct {
	Tree    Tree
	Project string // its name in selvage.yaml
	Root    string // folder of pbt_project.yml; "." for the root
	Commit  string // whose tree Tree is
	// Subscribed finds the release of another project that a job names a pipeline of. It returns
	// ErrNotWatched where no repository of the configuration holds it, and ErrNotReleased where that
	// one does not hold the release. Any other error ends the Build. Nil: none is watched.
	Subscribed func(context.Context, Subscription) (Source, error)
	// Isolation are patterns over hosts; a pipeline whose code names one of them is a finding.
	Isolation []string
}

// ErrNotWatched is what Source.Subscribed returns for a project that the configuration does not have.
var ErrNotWatched = errors.New("no repository of the configuration holds it")

// ErrNotReleased is what Source.Subscribed returns where the repository was read and has no such tag or
// no such project: it is wrapped in what was looked for. The job is blocked then.
var ErrNotReleased = errors.New("there is no such release")

// Build reads the project of s and builds its pipelines.
//
// Findings are those of ReadProject and of the building. A job whose pipeline could not be built is
// in the release with its reason in Blocked. An error means that there is no release: the project
// can't be read, the store can't be written, or ctx ended.
func (b *Builder) Build(ctx context.Context, s Source) (*Release, []configs.Finding, error) {
	t, project, root, commit := s.Tree, s.Project, s.Root, s.Commit
	leave, err := b.enter(ctx, project)
	if err != nil {
		return nil, nil, fmt.Errorf("build %s at %s: %w", project, commit, err)
	}
	defer leave()
	p, findings, err := readProject(t, root, b.store, s.Isolation)
	if err != nil {
		return nil, findings, fmt.Errorf("build %s at %s: %w", project, commit, err)
	}
	r := &Release{Project: project, Path: p.Path, Commit: commit, Version: p.Version, Jobs: p.Jobs, Pipelines: p.Pipelines, Configurations: p.Configurations,
		Files: p.Files, Folders: p.Folders}
	problems, err := b.pipelines(ctx, t, r.Path, r.Pipelines)
	if err != nil {
		return nil, findings, fmt.Errorf("build %s at %s: %w", project, commit, err)
	}
	subscribed, err := b.subscribed(ctx, s, r)
	if err != nil {
		return nil, findings, fmt.Errorf("build %s at %s: %w", project, commit, err)
	}
	for i := range r.Pipelines {
		if problem, ok := problems[r.Pipelines[i].Key]; ok {
			findings = append(findings, problem)
		}
	}
	findings = append(findings, blockJobs(r, problems)...)
	findings = append(findings, subscribed...)
	calls, err := b.findCalls(slices.Concat(r.Pipelines, r.Subscribed), s.Isolation)
	if err != nil {
		return nil, findings, fmt.Errorf("build %s at %s: %w", project, commit, err)
	}
	findings = append(findings, calls...)
	r.collect()
	r.Digest = r.digest()
	return r, findings, nil
}

// enter waits until no other Build of the project runs and a place is free.
func (b *Builder) enter(ctx context.Context, project string) (leave func(), err error) {
	b.mu.Lock()
	own, ok := b.projects[project]
	if !ok {
		own = make(chan struct{}, 1)
		b.projects[project] = own
	}
	b.mu.Unlock()
	for i, place := range []chan struct{}{own, b.busy} {
		select {
		case place <- struct{}{}:
		case <-ctx.Done():
			if i == 1 {
				<-own
			}
			return nil, ctx.Err()
		}
	}
	return func() { <-b.busy; <-own }, nil
}

// pipelines fills in the artifact of every pipeline of the project in root that can be built, the jars
// that are known of Scala ones, and returns why the others can't be built, by key.
func (b *Builder) pipelines(ctx context.Context, t Tree, root string, all []Pipeline) (map[string]configs.Finding, error) {
	problems := map[string]configs.Finding{}
	var missing []*Pipeline
	for i := range all {
		p := &all[i]
		switch {
		case p.Tree == "": // ReadProject said why
		case p.Language == scala:
			p.Jars = b.jars(p.Tree)
		default:
			if p.Artifact = b.recall(b.note(p.Tree), "wheel"); p.Artifact == nil {
				missing = append(missing, p)
			}
		}
	}
	if len(missing) == 0 {
		return problems, nil
	}
	var scripts []setupScript
	var folders []fs.FS
	var todo []*Pipeline
	for _, p := range missing {
		folder := path.Join(root, p.Key)
		source, err := readFile(t, path.Join(folder, "code/setup.py"), maxSetupSource+1)
		switch {
		case errors.Is(err, errTooLarge), errors.Is(err, errNotFollowed):
			problems[p.Key] = configs.Found(configs.PipelineNotBuilt, path.Join(folder, "code/setup.py"), err.Error())
			continue
		case err != nil:
			return nil, err
		}
		code, err := fs.Sub(t, path.Join(folder, "code"))
		if err != nil {
			return nil, err
		}
		files, err := regularFiles(code)
		if err != nil {
			return nil, fmt.Errorf("list %s/code: %w", folder, err)
		}
		todo, folders = append(todo, p), append(folders, code)
		scripts = append(scripts, setupScript{Pipeline: folder, Source: source, Files: files})
	}
	setups, err := evaluateSetups(ctx, b.child, scripts)
	if err != nil {
		return nil, err
	}
	return problems, b.wheels(ctx, todo, folders, setups, problems)
}

// wheels builds the wheel of each pipeline, some at a time, and stores them. What fails for a reason
// in the repository is added to problems.
func (b *Builder) wheels(ctx context.Context, todo []*Pipeline, folders []fs.FS, setups []setupResult, problems map[string]configs.Finding) error {
	var mu sync.Mutex // guards problems
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(max(1, runtime.GOMAXPROCS(0)))
	for i, p := range todo {
		if setups[i].Problem != nil {
			mu.Lock()
			problems[p.Key] = *setups[i].Problem
			mu.Unlock()
			continue
		}
		g.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			wheel, err := buildWheel(folders[i], setups[i].Setup)
			var refused *refusal
			switch {
			case errors.As(err, &refused):
				mu.Lock()
				defer mu.Unlock()
				problems[p.Key] = configs.Found(configs.PipelineNotBuilt, p.Key, err.Error())
				return nil
			case err != nil: // the tree could not be read, which says nothing about the pipeline
				return fmt.Errorf("build %s: %w", p.Key, err)
			}
			sum, size, err := b.store.Put(bytes.NewReader(wheel.Content))
			if err != nil {
				return err
			}
			p.Artifact = &Artifact{SHA256: sum, Name: wheel.Name, Size: size, Kind: "wheel"}
			return b.remember(b.note(p.Tree), *p.Artifact)
		})
	}
	return g.Wait()
}

// regularFiles lists every regular file below the root of f, sorted.
func regularFiles(f fs.FS) ([]string, error) {
	var files []string
	err := fs.WalkDir(f, ".", func(name string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			files = append(files, name)
		}
		return err
	})
	sort.Strings(files)
	return files, err
}

// blockJobs marks the jobs whose pipelines have no artifact, and notes where a wheel's name is not
// the one that the job was committed with. It returns what it found.
func blockJobs(r *Release, problems map[string]configs.Finding) []configs.Finding {
	pipelines := map[string]*Pipeline{}
	for i := range r.Pipelines {
		pipelines[r.Pipelines[i].Key] = &r.Pipelines[i]
	}
	var findings []configs.Finding
	for i := range r.Jobs {
		j := &r.Jobs[i]
		for _, key := range j.Pipelines {
			if problem, failed := problems[key]; failed {
				why := strings.TrimPrefix(problem.Text, problem.Code.Sentence()+": ")
				findings = append(findings, j.block(configs.JobPipelineNotBuilt, j.naming(key), key+": "+why))
			} else if p := pipelines[key]; p.Language == scala && len(p.Jars) == 0 {
				findings = append(findings, j.block(configs.JarMissing, j.naming(key), key))
			}
		}
		for k, c := range j.Components {
			if c.Kind == PipelineComponent && c.Subscribed == nil {
				findings = append(findings, renamed(j, k, pipelines[c.PipelineID])...)
			}
		}
	}
	return findings
}

// naming is the field of the first component that names a pipeline of this project; in the oldest files that is id.
func (j *Job) naming(key string) string {
	for k, c := range j.Components {
		switch {
		case c.Kind != PipelineComponent || c.Subscribed != nil || c.PipelineID != key:
		case strings.HasSuffix(c.ID, key):
			return fmt.Sprintf("components[%d].%s.id", k, c.Kind)
		default:
			return fmt.Sprintf("components[%d].%s.pipelineId", k, c.Kind)
		}
	}
	return ""
}

// renamed notes that the wheel of the k-th component has another name than the job names.
func renamed(j *Job, k int, p *Pipeline) []configs.Finding {
	c := j.Components[k]
	if p == nil || p.Artifact == nil || path.Base(c.Path) == p.Artifact.Name {
		return nil
	}
	return []configs.Finding{configs.Found(configs.WheelRenamed, fmt.Sprintf("%s: components[%d].%s.path", j.File, k, c.Kind),
		fmt.Sprintf("%s instead of %s", p.Artifact.Name, shorten(path.Base(c.Path))))}
}

// note is the file that says what was built from a code folder.
func (b *Builder) note(tree string) string {
	return filepath.Join(b.built, hexDigest([]byte(BuilderVersion+"\n"+tree))+".json")
}

// recall returns the artifact that a note names, if the store still has it, whole. Whatever is wrong
// with the note or the blob, building again mends it.
func (b *Builder) recall(note, kind string) *Artifact {
	text, err := os.ReadFile(note)
	if err != nil {
		return nil
	}
	var a Artifact
	if err := json.Unmarshal(text, &a); err != nil {
		return nil
	}
	if a.Kind != kind || a.Name == "" || strings.ContainsAny(a.Name, "/\\") || !b.store.intact(a.SHA256) {
		return nil
	}
	return &a
}

func (b *Builder) remember(note string, a Artifact) error {
	text, err := json.Marshal(a)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(b.built, 0o755); err != nil {
		return diskError("note what was built in", b.built, err)
	}
	if err := renameio.WriteFile(note, append(text, '\n'), 0o644); err != nil {
		return diskError("note what was built in", b.built, err)
	}
	return nil
}
