package configs

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strings"
	"unicode"
)

// StarterData is what was found in a repository. All of it may be hostile.
type StarterData struct {
	Git      string
	Projects []StarterProject
}

// StarterProject is one pbt_project.yml.
type StarterProject struct {
	Name      string   // as the project calls itself
	Path      string   // its folder in the repository; empty or "." at the root
	FabricIDs []string // that its jobs are committed for
	TagPrefix string   // of its release tags, with or without the slash at its end; empty: every tag
	// OwnTags: its tags have to be named, because the repository doesn't say of all of them whose they are.
	OwnTags bool
	Unclear int          // tags that may be its own or another project's
	Left    []StarterJob // that can't be deployed
}

// StarterJob is a job that can't be deployed because of its scheduler.
type StarterJob struct {
	Key       string // "jobs/x"
	Scheduler string // "Composer"
}

// Starter writes a commented selvage.yaml for a repository, or, without projects, one to fill in. It
// loads as it is, given a credential for each reference in it, and deploys nothing: every deployment
// is in mode observe.
func Starter(s StarterData) []byte {
	var b bytes.Buffer
	b.WriteString(starterTop)
	git, placeholder := s.Git, false
	if how, _, _ := checkGit(git); how == "" || !usable(git) {
		git, placeholder = "https://git.example.com/data/hello.git", true
	}
	projects, left := presentable(s.Projects)
	if len(projects) == 0 {
		projects, _ = presentable([]StarterProject{{Name: "hello", TagPrefix: "Hello"}})
	}

	fabrics := fabricsOf(projects)
	b.WriteString(starterFabrics)
	for _, f := range fabrics {
		fmt.Fprintf(&b, "  %s:\n    databricks:\n      host: https://%s.cloud.databricks.example   # the address of the workspace\n      token: ${credential:%s_token}\n", f.name, hyphens(f.name), f.name)
		if f.id != "" {
			fmt.Fprintf(&b, "    prophecy_ids: [%s]   # the fabric id that committed jobs carry\n", scalar(f.id))
		}
	}

	b.WriteString("\nprojects:\n")
	if placeholder {
		b.WriteString("  # Put the address of your repository here: https, ssh or file.\n")
	}
	for _, p := range projects {
		fmt.Fprintf(&b, "  %s:\n    git: %s\n", p.name, scalar(git))
		if p.path != "." {
			fmt.Fprintf(&b, "    path: %s   # the folder of pbt_project.yml\n", scalar(p.path))
		}
		b.WriteString(starterTags(p))
		b.WriteString("    # prophecy_id: 3224   # the project's id in the authoring tool, where its jobs hold a placeholder for it\n")
		b.WriteString(starterAuth(git))
		b.WriteString(starterLeft(p.left))
	}
	for _, why := range left {
		fmt.Fprintf(&b, "  # Left out: %s.\n", why)
	}

	b.WriteString(starterDeployments)
	if !slices.ContainsFunc(projects, func(p presented) bool { return len(p.fabrics) > 0 }) {
		b.WriteString("  []   # none of the jobs can be deployed yet\n")
	}
	for _, p := range projects {
		for _, f := range fabrics {
			if !slices.Contains(p.fabrics, f.id) {
				continue
			}
			fmt.Fprintf(&b, "  - project: %s\n    fabric: %s\n    mode: observe\n    follow: {tag: %s}\n", p.name, f.name, scalar(p.tag))
			if f.id == "" {
				b.WriteString("    jobs: [\"jobs/*\"]\n")
			}
		}
	}
	return b.Bytes()
}

const (
	starterTop = `# The configuration of Selvage. Check it with: selvage validate
# Secrets stand in credentials, never here: ${credential:NAME} reads the file NAME in the folder that
# systemd gives the service (LoadCredential=), or in --credentials DIR. ${env:NAME} reads a variable.

state: /var/lib/selvage   # reconcile log, database, git mirrors, artifacts

`
	starterFabrics = `# Where jobs run. A login other than a token: client_id and client_secret, or any other that
# databricks-sdk-go takes explicitly.
fabrics:
`
	starterDeployments = `
# One project on one fabric each. In mode observe nothing is written: selvage plan PROJECT@FABRIC shows
# what would be. With mode: apply the first apply still waits for a person.
deployments:
`
)

// starterAuth is a project's auth where its remote does not work without.
func starterAuth(git string) string {
	if scpLike.MatchString(git) || strings.HasPrefix(git, "ssh://") {
		return "    auth: {ssh_key: \"${credential:git_key}\", known_hosts: /etc/selvage/known_hosts}\n"
	}
	if strings.HasPrefix(git, "http") {
		return "    # auth: {username: USER, password: \"${credential:git_password}\"}\n"
	}
	return ""
}

// starterTags is a project's tags where the repository doesn't say whose they are.
func starterTags(p presented) string {
	switch {
	case p.own:
		return fmt.Sprintf("    tags: [%s]   # that release this project: the repository does not say so of all of them\n", scalar(p.tag))
	case p.unclear > 0:
		return fmt.Sprintf("    # tags: [%s]   # say which release this project: of %d it is not clear\n", scalar(p.tag), p.unclear)
	}
	return ""
}

// starterLeft names the jobs that are left out.
func starterLeft(left []StarterJob) string {
	const most = 10
	var b strings.Builder
	for i, j := range left {
		if i == most {
			fmt.Fprintf(&b, "    # and %d more.\n", len(left)-most)
			break
		}
		fmt.Fprintf(&b, "    # Not deployed: %s, whose scheduler is %s.\n", comment(j.Key), comment(j.Scheduler))
	}
	return b.String()
}

// presented is a project with everything in a form that loads.
type presented struct {
	name, path, tag string
	own             bool // tag has to stand under tags
	unclear         int
	fabrics         []string
	left            []StarterJob
}

// presentable gives each project a name that the file allows and nobody else has, and says which can't
// be written down.
func presentable(projects []StarterProject) (fit []presented, left []string) {
	taken, namesakes, given := map[string]bool{}, map[string]int{}, map[string]bool{}
	for _, p := range projects {
		namesakes[nameOf(p.Name, map[string]bool{})]++
	}
	for _, p := range projects {
		folder := cmp.Or(p.Path, ".")
		if !usable(folder) || notFolder(folder) {
			left = append(left, fmt.Sprintf("a project in the folder %s, whose name can't stand in this file", comment(p.Path)))
			continue
		}
		q := presented{path: path.Clean(folder), tag: "*", unclear: p.Unclear, left: p.Left}
		name := p.Name
		if namesakes[nameOf(name, map[string]bool{})] > 1 && q.path != "." {
			name = q.path // the folders of projects of one name differ
		}
		q.name = nameOf(name, taken)
		if prefix := strings.TrimSuffix(p.TagPrefix, "/"); usable(prefix) && notTag(literal(prefix)+"/*") == "" {
			q.tag = literal(prefix) + "/*"
			q.own = p.OwnTags && !given[q.tag] // a tag is one project's
			given[q.tag] = given[q.tag] || q.own
		}
		for _, id := range p.FabricIDs {
			if prophecyID.MatchString(id) && !slices.Contains(q.fabrics, id) {
				q.fabrics = append(q.fabrics, id)
			}
		}
		if len(q.fabrics) == 0 && len(q.left) == 0 {
			q.fabrics = []string{""}
		}
		fit = append(fit, q)
	}
	return fit, left
}

type starterFabric struct{ name, id string }

// fabricsOf names a fabric after each id, in the order of their first mention; without an id, production.
func fabricsOf(projects []presented) []starterFabric {
	var out []starterFabric
	taken := map[string]bool{"production": true}
	for _, p := range projects {
		for _, id := range p.fabrics {
			if slices.ContainsFunc(out, func(f starterFabric) bool { return f.id == id }) {
				continue
			}
			name := "production"
			if id != "" {
				name = nameOf("fabric_"+id, taken)
			}
			out = append(out, starterFabric{name, id})
		}
	}
	if len(out) == 0 {
		out = []starterFabric{{"production", ""}}
	}
	return out
}

// nameOf turns any text into a name that the file allows and that is not taken yet.
func nameOf(s string, taken map[string]bool) string {
	var b strings.Builder
	for _, r := range strings.ToLower(s) {
		switch {
		case r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '_' || r == '-':
			b.WriteRune(r)
		default:
			b.WriteByte('-')
		}
	}
	base := strings.Trim(b.String(), "-_")
	switch {
	case base == "":
		base = "project"
	case base[0] <= '9' || base == "true" || base == "false" || base == "null":
		base = "project-" + base // not text without quotes
	}
	base = base[:min(len(base), 56)] // room for a number
	name := base
	for i := 2; taken[name]; i++ {
		name = fmt.Sprintf("%s-%d", base, i)
	}
	taken[name] = true
	return name
}

// usable reports text that the file may hold without meaning something else there.
func usable(s string) bool {
	return strings.TrimSpace(s) != "" && !strings.Contains(s, "${") && strings.ToValidUTF8(s, "") == s &&
		!strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}

// literal escapes what a pattern would read as one.
func literal(s string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`, `]`, `\]`, `{`, `\{`, `}`, `\}`).Replace(s)
}

// scalar is text in double quotes. What JSON makes of printable text, YAML reads as the same text.
func scalar(s string) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil {
		return `""`
	}
	return strings.TrimSpace(b.String())
}

func comment(s string) string { return fmt.Sprintf("%+q", s) }

func hyphens(name string) string { return strings.Trim(strings.ReplaceAll(name, "_", "-"), "-") }
