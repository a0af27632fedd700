package reconciler

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"selvage/configs"
	"selvage/fabric"
	"selvage/gitwatch"
)

// Setup is one configuration with what was opened for it. The fields are not changed once New or Reload has it.
//
// A round works by the setup that it began with, to its end; another round may already work by the next one.
type Setup struct {
	Config *configs.Config
	// Repositories are those of the projects, by project. Projects of one mirror share one.
	Repositories map[string]*gitwatch.Repository
	// Fabrics are those of the configuration, by name. One that is the same as in the setup before goes on; another
	// one is a new client, and what it keeps is rendered, looked at and tried anew.
	Fabrics map[string]fabric.Fabric
	// Logins change how mirrors that stay log in, by the folder of the mirror. Reload calls them.
	Logins map[string]func()
	// Retire, if not nil, is called once: when another setup is in force and nothing works by this one any more.
	Retire func()

	looks     map[string]*looks // by fabric
	followers map[string][]*configs.Deployment
	terms     map[string]terms   // by deployment
	builds    map[string]string  // by project: what besides the commit decides what is built
	tenants   map[string]*tenant // by project
	since     time.Time

	users    int  // rounds and polls that work by it; Reconciler.mu guards it
	replaced bool // as does this
}

// terms are what a deployment is kept by. To a deployment, two setups with the same terms are one.
type terms struct {
	meaning string        // configs.Deployment.Digest
	place   fabric.Fabric // by identity
}

// digestOf is the SHA-256 of values in their JSON form, in hex.
func digestOf(values ...any) string {
	sum := sha256.Sum256(encode(values))
	return hex.EncodeToString(sum[:])
}

// prepare finds out what the loop needs to know of a setup. Looks at fabrics that go on are those of the setup before,
// if there is one.
func (s *Setup) prepare(before *Setup) {
	s.looks, s.followers, s.terms, s.builds = map[string]*looks{}, map[string][]*configs.Deployment{}, map[string]terms{}, map[string]string{}
	s.tenants = tenants(s.Config, s.Repositories)
	s.since = time.Now()
	for name, place := range s.Fabrics {
		if before != nil && before.Fabrics[name] == place {
			s.looks[name] = before.looks[name]
		} else {
			s.looks[name] = &looks{}
		}
	}
	for name, p := range s.Config.Projects {
		s.builds[name] = name + "\x00" + digestOf(p, s.Config.Isolation)
	}
	for _, d := range s.Config.Deployments {
		dir := s.Repositories[d.Project.Name].Dir()
		s.followers[dir] = append(s.followers[dir], d)
		s.terms[d.Name()] = terms{d.Digest, s.Fabrics[d.Fabric.Name]}
	}
}

func (s *Setup) deployment(name string) (*configs.Deployment, error) {
	d, ok := s.Config.Deployment(name)
	if ok {
		return d, nil
	}
	var names []string
	for _, d := range s.Config.Deployments {
		names = append(names, d.Name())
	}
	return nil, fmt.Errorf("%w %q: the configuration has %s", ErrUnknownDeployment, name, strings.Join(names, ", "))
}

// seen reports that the repository of a deployment was read in this process.
func (s *Setup) seen(name string) bool {
	d, ok := s.Config.Deployment(name)
	return ok && s.Repositories[d.Project.Name].Last() != nil
}

// difference is what a setup makes of the one before it, each list sorted.
type difference struct {
	Changed  []string `json:"changed,omitempty"`  // deployments that go on by other terms
	Added    []string `json:"added,omitempty"`    // deployments
	Released []string `json:"released,omitempty"` // deployments that are no longer there
	Fabrics  []string `json:"fabrics,omitempty"`  // that are reached by another client
	Logins   []string `json:"logins,omitempty"`   // addresses of repositories
}

func (s *Setup) after(before *Setup) (d difference) {
	for name, t := range s.terms {
		switch was, ok := before.terms[name]; {
		case !ok:
			d.Added = append(d.Added, name)
		case was != t:
			d.Changed = append(d.Changed, name)
		}
	}
	for name := range before.terms {
		if _, ok := s.terms[name]; !ok {
			d.Released = append(d.Released, name)
		}
	}
	for name, place := range s.Fabrics {
		if was, ok := before.Fabrics[name]; ok && was != place {
			d.Fabrics = append(d.Fabrics, name)
		}
	}
	urls := map[string]bool{}
	for _, repo := range s.Repositories {
		if s.Logins[repo.Dir()] != nil {
			urls[repo.URL()] = true
		}
	}
	for url := range urls {
		d.Logins = append(d.Logins, url)
	}
	for _, list := range [][]string{d.Changed, d.Added, d.Released, d.Fabrics, d.Logins} {
		slices.Sort(list)
	}
	return d
}

// String is the difference for people: hello@qa changed; risk@qa added.
func (d difference) String() string {
	var parts []string
	for _, p := range []struct {
		form  string
		names []string
	}{
		{"%s changed", d.Changed}, {"%s added", d.Added}, {"%s no longer there", d.Released},
		{"another login or address of fabric %s", d.Fabrics}, {"another login to %s", d.Logins},
	} {
		if len(p.names) > 0 {
			parts = append(parts, fmt.Sprintf(p.form, few(p.names)))
		}
	}
	if len(parts) == 0 {
		return "nothing that bears on a deployment changed"
	}
	return strings.Join(parts, "; ")
}

// few is a list for people, of a bearable length.
func few(names []string) string {
	const most = 5
	if more := len(names) - most; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), more)
	}
	return strings.Join(names, ", ")
}

// use is the setup in force, until leave.
func (r *Reconciler) use() *Setup {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.setup.users++
	return r.setup
}

func (r *Reconciler) leave(s *Setup) {
	r.mu.Lock()
	s.users--
	over := s.replaced && s.users == 0
	r.mu.Unlock()
	if over && s.Retire != nil {
		s.Retire()
	}
}

// config is the configuration in force.
func (r *Reconciler) config() *configs.Config {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.setup.Config
}
