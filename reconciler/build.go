package reconciler

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"selvage/artifacts"
	"selvage/configs"
	"selvage/reconciler/ledger"
)

// made is a release with what was found while making it.
type made struct {
	release  *artifacts.Release
	outline  bool // release is its Outline
	findings []configs.Finding
	// partial: the tree holds entries whose names can't be trusted, so that what the release lacks
	// may be in git all the same.
	partial bool
	// configuration is the digest of the one that says where subscribed projects are; empty where none is
	// subscribed to, so that it does not matter.
	configuration string
	again         bool // something of another project is not there yet: it is made again by the next round
}

// build turns the commit into a release.
func (rd *round) build(ctx context.Context) error {
	rd.out.Revision = rd.target
	key := rd.builds[rd.d.Project.Name] + "\x00" + rd.target.Commit
	rd.mu.Lock()
	m, known := rd.releases[key]
	rd.mu.Unlock()
	if !known || m.configuration != "" && m.configuration != rd.Config.Digest {
		var err error
		if m, err = rd.make(ctx); err != nil {
			return rd.fallBack(ctx, err)
		}
		rd.keepRelease(key, m)
	}
	rd.note(m.findings...)
	rd.release, rd.outline, rd.partial = m.release, m.outline, m.partial
	rd.target.Release = rd.release.Digest
	rd.out.Revision = rd.target
	if rd.ask.Dry || rd.known.Target.Commit == rd.target.Commit && rd.known.Target.Ref == rd.target.Ref {
		return nil
	}
	text := fmt.Sprintf("%s, %d pipelines, %d jobs", rd.target, len(rd.release.Pipelines), len(rd.release.Jobs))
	if rd.target.By != "" {
		text += ", released by " + rd.target.By + " (claimed)"
	}
	if len(rd.tenants[rd.d.Project.Name].projects) > 1 && rd.rule != "" { // whose the tag is was a question
		text += "; it is this project's tag: " + rd.rule.Why()
	}
	_, err := rd.record(ctx, ledger.Entry{Kind: kindRelease, Deployment: rd.name, Text: text, Data: encode(rd.target)})
	if err != nil {
		return rd.fail(configs.LedgerFailed, err)
	}
	return rd.reach(ctx, Built, nil)
}

func (rd *round) keepRelease(key string, m made) {
	rd.mu.Lock()
	defer rd.mu.Unlock()
	if m.again {
		delete(rd.releases, key)
	} else {
		rd.releases[key] = m
	}
}

// inFull reads the release once more where only its outline is in memory: something other than the release changed what
// it means.
func (rd *round) inFull(ctx context.Context) error {
	if !rd.outline {
		return nil
	}
	m, err := rd.make(ctx)
	if err != nil {
		return err
	}
	key := rd.builds[rd.d.Project.Name] + "\x00" + rd.target.Commit
	if m.release.Digest != rd.release.Digest { // as after a tag was moved in a repository whose pipelines it runs
		rd.mu.Lock()
		delete(rd.releases, key)
		rd.mu.Unlock()
		return rd.fail(configs.NotBuilt, fmt.Errorf("%s: the same commit was built as %.12s before and as %.12s now: the next round goes by that", rd.target, rd.release.Digest, m.release.Digest))
	}
	rd.keepRelease(key, m)
	rd.release, rd.outline = m.release, false
	return nil
}

// outlines keeps only the outline of each release that all deployments of its project have rendered.
func (r *Reconciler) outlines() {
	for key, m := range r.releases {
		if m.outline {
			continue
		}
		rendered := true
		for _, d := range r.setup.Config.Deployments {
			if d.Project.Name == m.release.Project && r.rendered[d.Name()].release != m.release.Digest {
				rendered = false
			}
		}
		if rendered {
			m.release, m.outline = m.release.Outline(), true
			r.releases[key] = m
		}
	}
}

// fallBack goes on with the release that is live when a newer one can't be built: its drift is still
// put right. The answer of the round stays that the newer one can't.
func (rd *round) fallBack(ctx context.Context, err error) error {
	live := rd.known.Live
	if rd.ask != (ask{}) || live.IsZero() || live.Commit == rd.target.Commit || rd.out.Result.Code != configs.NotBuilt && rd.out.Result.Code != configs.GitUnreachable {
		return err
	}
	rd.unbuilt, rd.unbuiltWhy = err, rd.out.Result
	rd.out.Result = configs.Finding{}
	rd.target = live
	return rd.build(ctx)
}

// make reads and builds the project at the commit.
func (rd *round) make(ctx context.Context) (made, error) {
	tree, err := rd.Repositories[rd.d.Project.Name].Tree(ctx, rd.target.Commit)
	if err != nil {
		return made{}, rd.fail(configs.NotBuilt, fmt.Errorf("%s: %w", rd.target, err))
	}
	root, err := projectRoot(tree, rd.d.Project.Path)
	if err != nil {
		return made{}, rd.fail(configs.NotBuilt, fmt.Errorf("%s: %w", rd.target, err))
	}
	others := &subscriptions{rd: rd}
	release, findings, err := rd.Builder.Build(ctx, artifacts.Source{Tree: tree, Project: rd.d.Project.Name, Root: root, Commit: rd.target.Commit,
		Subscribed: others.find, Isolation: rd.Config.Isolation})
	if err != nil {
		rd.note(findings...)
		if others.git != nil { // of another repository: the project is not to blame
			return made{}, rd.fail(configs.GitUnreachable, fmt.Errorf("%s: %w", rd.target, err))
		}
		return made{}, rd.fail(configs.NotBuilt, fmt.Errorf("%s: %w", rd.target, err))
	}
	odd := tree.Odd()
	// A name that differs from another one only in case is told, but what it names was read.
	lacking := slices.ContainsFunc(odd, func(f configs.Finding) bool { return f.Level() >= configs.Skip })
	m := made{release: release, findings: append(findings, odd...), partial: lacking, again: others.missing}
	if others.asked {
		m.configuration = rd.Config.Digest
	}
	return m, nil
}

// projectRoot is the configured folder of the project, or the only one there is.
func projectRoot(tree artifacts.Tree, configured string) (string, error) {
	if configured != "" {
		return configured, nil
	}
	roots, err := artifacts.FindProjects(tree)
	switch {
	case err != nil:
		return "", err
	case len(roots) == 0:
		return "", errors.New("there is no pbt_project.yml in it")
	case len(roots) > 1:
		return "", fmt.Errorf("there are %d projects in it (%s, ...): set path: of the project in selvage.yaml", len(roots), roots[0])
	}
	return roots[0], nil
}
