package artifacts

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"selvage/configs"
)

// maxSubscriptions bounds the pipelines of other projects that one release asks for.
const maxSubscriptions = 200

// subscription is what became of one subscription.
type subscription struct {
	pipeline *Pipeline // nil where no watched repository holds it, or it is refused
	refused  *reason
}

// subscribed builds the pipelines of other projects that the jobs name, each once, and puts them into
// the release. It returns the reasons of the jobs that it blocked. What a subscribed project subscribes
// to itself is not followed.
//
// Its error means that nobody knows what the other repository holds.
func (b *Builder) subscribed(ctx context.Context, s Source, r *Release) ([]configs.Finding, error) {
	var findings []configs.Finding
	asked := map[Subscription]subscription{}
	for i := range r.Jobs {
		j := &r.Jobs[i]
		if len(j.Blocked) > 0 {
			continue // its subscriptions change nothing
		}
		for k, c := range j.Components {
			if c.Subscribed == nil {
				continue
			}
			got, ok := asked[*c.Subscribed]
			switch {
			case ok:
			case len(asked) == maxSubscriptions:
				got.refused = &reason{configs.JobNotSupported, fmt.Sprintf("expected at most %d pipelines of other projects in one release", maxSubscriptions)}
			default:
				var err error
				if got, err = b.subscription(ctx, s, *c.Subscribed); err != nil {
					return nil, err
				}
				asked[*c.Subscribed] = got
			}
			refused := got.refused
			if refused == nil && got.pipeline != nil {
				refused = fits(got.pipeline, c.Path)
			}
			if refused == nil && got.pipeline != nil {
				refused = r.subscribe(*got.pipeline)
			}
			switch {
			case refused != nil:
				findings = append(findings, j.block(refused.code, fmt.Sprintf("components[%d].%s", k, c.Kind), c.Subscribed.Key()+": "+refused.text))
			case got.pipeline != nil:
				findings = append(findings, renamed(j, k, got.pipeline)...)
			}
		}
	}
	slices.SortFunc(r.Subscribed, func(a, b Pipeline) int { return strings.Compare(a.Key, b.Key) })
	return findings, nil
}

// subscribe adds a pipeline of another project, once. Two names for one release must lead to one code.
func (r *Release) subscribe(p Pipeline) *reason {
	for _, known := range r.Subscribed {
		if known.Key != p.Key {
			continue
		}
		if known.Tree != p.Tree {
			return &reason{configs.SubscriptionMissing, "another component names it otherwise, and that leads to other code; expected one release of one project"}
		}
		return nil
	}
	r.Subscribed = append(r.Subscribed, p)
	return nil
}

// fits says why the path of a component is not that of the pipeline's artifact.
func fits(p *Pipeline, committed string) *reason {
	suffix := map[string]string{python: ".whl", scala: ".jar"}[p.Language]
	if strings.HasSuffix(committed, suffix) {
		return nil
	}
	return &reason{configs.JobBroken, fmt.Sprintf("it is a %s pipeline, and path is %q; expected a path that ends in %s", p.Language, shorten(path.Base(committed)), suffix)}
}

// subscription finds the release that want names, and builds the one pipeline of it.
func (b *Builder) subscription(ctx context.Context, s Source, want Subscription) (subscription, error) {
	refuse := func(code configs.Code, text string) (subscription, error) {
		return subscription{refused: &reason{code, text}}, nil
	}
	if s.Subscribed == nil {
		return subscription{}, nil
	}
	at, err := s.Subscribed(ctx, want)
	switch {
	case errors.Is(err, ErrNotWatched):
		return subscription{}, nil
	case errors.Is(err, ErrNotReleased):
		return refuse(configs.SubscriptionMissing, err.Error())
	case err != nil:
		return subscription{}, fmt.Errorf("find %s: %w", want.Key(), err)
	}
	p, findings, err := readPipeline(at.Tree, at.Root, want.Pipeline)
	switch {
	case err != nil && ofContent(err):
		return refuse(configs.SubscriptionMissing, err.Error())
	case err != nil:
		return subscription{}, fmt.Errorf("read %s: %w", want.Key(), err)
	case p == nil:
		return refuse(configs.SubscriptionMissing, fmt.Sprintf("expected it under pipelines in %s at %s", path.Join(at.Root, ProjectFile), shorten(at.Commit)))
	case p.Tree == "":
		why := "its code can't be built"
		if len(findings) > 0 {
			why = strings.TrimPrefix(findings[0].Text, findings[0].Code.Sentence()+": ")
		}
		return refuse(configs.SubscriptionMissing, why)
	}
	one := []Pipeline{*p}
	problems, err := b.pipelines(ctx, at.Tree, path.Clean(at.Root), one)
	if err != nil {
		return subscription{}, fmt.Errorf("build %s: %w", want.Key(), err)
	}
	if problem, failed := problems[p.Key]; failed {
		return refuse(configs.JobPipelineNotBuilt, strings.TrimPrefix(problem.Text, problem.Code.Sentence()+": "))
	}
	if one[0].Language == scala && len(one[0].Jars) == 0 {
		return refuse(configs.JarMissing, "it is a Scala pipeline")
	}
	one[0].Key = want.Key()
	return subscription{pipeline: &one[0]}, nil
}

// readPipeline reads one pipeline of the project in root, and nothing else of it; nil where the project
// does not list it.
func readPipeline(t Tree, root, key string) (*Pipeline, []configs.Finding, error) {
	r, top, err := openProject(t, root)
	if err != nil {
		return nil, nil, err
	}
	entries, err := r.section(top, "pipelines")
	if err != nil {
		return nil, nil, err
	}
	r.findings = nil // those of other entries
	for _, e := range entries {
		if e.key == key {
			p, err := r.onePipeline(e)
			return &p, r.findings, err
		}
	}
	return nil, nil, nil
}
