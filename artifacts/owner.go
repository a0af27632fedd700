package artifacts

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"sync"
)

// Owned is the project that a tag releases.
type Owned struct {
	Path string // folder of its pbt_project.yml; "." for the root
	Rule Rule
}

// Rule says how it is known which project a tag releases.
type Rule string

const (
	ByTags    Rule = "tags"    // the configuration says so; Owner never answers with it
	ByCommit  Rule = "commit"  // its pbt_project.yml, and no other, was changed by the tagged commit
	ByOnly    Rule = "only"    // the commit holds no other project
	ByVersion Rule = "version" // its version, and no other's, is what follows the last slash of the tag
	ByName    Rule = "name"    // its name, and no other's, is what precedes the last slash
)

// Why is the rule as a sentence about the tag.
func (r Rule) Why() string {
	switch r {
	case ByTags:
		return "tags: of the project in selvage.yaml names it"
	case ByCommit:
		return "its commit changed this project's " + ProjectFile + " alone"
	case ByOnly:
		return "its commit holds no other project"
	case ByVersion:
		return "it ends in the version of this project alone"
	case ByName:
		return "it begins with the name of this project alone"
	}
	return ""
}

// Claim is a project that comes into question for a tag.
type Claim struct {
	Path    string
	Name    string
	Version string
	Problem string // why its pbt_project.yml can't be understood; else empty
}

func (c Claim) String() string {
	if c.Problem != "" {
		return shorten(c.Path) + " (can't be understood: " + shorten(c.Problem) + ")"
	}
	return fmt.Sprintf("%s (%s)", shorten(c.Path), shorten(strings.TrimSpace(c.Name+" "+c.Version)))
}

// Ambiguous is the error of a tag of which no rule says which project it releases.
type Ambiguous struct {
	Tag    string
	Claims []Claim // the first of them
	Count  int     // of all
}

// maxClaims is how many projects an Ambiguous names.
const maxClaims = 10

// Projects lists who comes into question, as a person reads it.
func (e *Ambiguous) Projects() string {
	var names []string
	for _, c := range e.Claims {
		names = append(names, c.String())
	}
	text := fmt.Sprintf("one of %d projects: %s", e.Count, strings.Join(names, ", "))
	if more := e.Count - len(e.Claims); more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

func (e *Ambiguous) Error() string {
	return fmt.Sprintf("%s releases %s: set tags: of the project in selvage.yaml", shorten(e.Tag), e.Projects())
}

// Owners finds out which project of a repository a tag releases. It remembers what project files say, by
// their content. The zero value is ready; it may be used from many goroutines.
type Owners struct {
	mu    sync.Mutex
	known map[[sha256.Size]byte]claimed
}

// claimed is what a pbt_project.yml says of itself.
type claimed struct{ name, version, problem string }

// maxKnown bounds what Owners remembers; a project file takes some 100 bytes.
const maxKnown = 20_000

// Owner says which project a tag releases. t is the tree of the tagged commit, and touched are the
// pbt_project.yml files that this commit added or changed. The first rule that leaves one project decides:
//
//  1. the commit changed its pbt_project.yml and no other: that is how the authoring tool releases
//     (ByCommit); if it changed several, the rules below choose among those;
//  2. it is the only one of the commit (ByOnly);
//  3. its version, as text, is what follows the last slash of the tag (ByVersion); after several, the
//     last rule chooses among those;
//  4. its name is what precedes the last slash (ByName). A tag without a slash has no such prefix.
//
// Versions and names are read only where the first two rules don't decide. A project file that can't be
// understood could match by either, so then none of them decides.
//
// It returns an *Ambiguous error where no rule decides, and ErrNotProject where the commit holds no project at
// all. Any other error means that the tree could not be read.
func (o *Owners) Owner(t Tree, tag string, touched []string) (Owned, error) {
	if len(touched) == 1 {
		return Owned{path.Dir(touched[0]), ByCommit}, nil
	}
	roots := make([]string, len(touched))
	for i, file := range touched {
		roots[i] = path.Dir(file)
	}
	if len(roots) == 0 {
		var err error
		if roots, err = FindProjects(t); err != nil {
			return Owned{}, err
		}
	}
	switch len(roots) {
	case 0:
		return Owned{}, fmt.Errorf("%w: the commit of %s holds no %s", ErrNotProject, shorten(tag), ProjectFile)
	case 1:
		return Owned{roots[0], ByOnly}, nil
	}
	claims, err := o.claims(t, roots)
	if err != nil {
		return Owned{}, err
	}
	return decide(tag, claims)
}

// decide chooses by version, then by name.
func decide(tag string, claims []Claim) (Owned, error) {
	prefix, suffix := "", tag
	if i := strings.LastIndexByte(tag, '/'); i >= 0 {
		prefix, suffix = tag[:i], tag[i+1:]
	}
	ambiguous := func(claims []Claim) (Owned, error) {
		return Owned{}, &Ambiguous{Tag: tag, Claims: claims[:min(len(claims), maxClaims)], Count: len(claims)}
	}
	matches := func(match func(Claim) bool) (found []Claim) {
		for _, c := range claims {
			if match(c) {
				found = append(found, c)
			}
		}
		return found
	}
	if broken := matches(func(c Claim) bool { return c.Problem != "" }); len(broken) > 0 {
		// Those that make it impossible to tell stand first: somebody has to mend them.
		return ambiguous(slices.Concat(broken, matches(func(c Claim) bool { return c.Problem == "" })))
	}
	if found := matches(func(c Claim) bool { return c.Version == suffix }); len(found) == 1 {
		return Owned{found[0].Path, ByVersion}, nil
	} else if len(found) > 1 {
		claims = found
	}
	if found := matches(func(c Claim) bool { return prefix != "" && c.Name == prefix }); len(found) == 1 {
		return Owned{found[0].Path, ByName}, nil
	} else if len(found) > 1 {
		claims = found
	}
	return ambiguous(claims)
}

// claims reads what each project says of itself.
func (o *Owners) claims(t Tree, roots []string) ([]Claim, error) {
	claims := make([]Claim, len(roots))
	for i, root := range roots {
		file := path.Join(root, ProjectFile)
		src, err := readFile(t, file, maxYML)
		var c claimed
		switch {
		case errors.Is(err, errTooLarge), errors.Is(err, errNotFollowed):
			c.problem = err.Error()
		case err != nil:
			return nil, fmt.Errorf("read %s: %w", file, err)
		default:
			c = o.claimed(src)
		}
		claims[i] = Claim{root, c.name, c.version, c.problem}
	}
	return claims, nil
}

func (o *Owners) claimed(src []byte) claimed {
	sum := sha256.Sum256(src)
	o.mu.Lock()
	c, known := o.known[sum]
	o.mu.Unlock()
	if known {
		return c
	}
	c = readClaimed(src)
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.known == nil || len(o.known) >= maxKnown {
		o.known = map[[sha256.Size]byte]claimed{}
	}
	o.known[sum] = c
	return c
}

// readClaimed doesn't know where the file lies: files of one content are one to Owners.
func readClaimed(src []byte) (c claimed) {
	top, err := parseYML(ProjectFile, src)
	if err != nil {
		return claimed{problem: err.Error()}
	}
	for _, f := range []struct {
		key  string
		into *string
	}{{"name", &c.name}, {"version", &c.version}} {
		text, _, ok := scalar(lookup(top, f.key))
		if !ok {
			return claimed{problem: f.key + ": expected a text"}
		}
		*f.into = strings.TrimSpace(text)
	}
	return c
}
