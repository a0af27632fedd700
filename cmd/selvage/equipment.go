package main

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"

	"go.uber.org/zap"

	"selvage/configs"
	"selvage/fabric"
	"selvage/fabric/databricks"
	"selvage/gitwatch"
	"selvage/reconciler"
)

// equipment is what is open for one configuration. The next one takes over what stays the same, and a part is closed when
// nothing works by any equipment that holds it.
type equipment struct {
	config  *configs.Config
	mirrors map[string]mirror // by the name of their folder
	fabrics map[string]place  // by name
	logins  map[string]func() // as in reconciler.Setup
}

type mirror struct {
	*part
	repo *gitwatch.Repository
	auth configs.GitAuth
}

type place struct {
	*part
	fabric fabric.Fabric
}

// part is something that is open.
type part struct {
	holders int // equipments; installation.mu guards it
	close   func() error
}

// equip opens what the configuration names and the present equipment, if there is one, does not have. It talks to none of
// it.
func (i *installation) equip(c *configs.Config) (_ *equipment, err error) {
	e := &equipment{config: c, mirrors: map[string]mirror{}, fabrics: map[string]place{}, logins: map[string]func(){}}
	defer func() {
		if err != nil {
			i.release(e)
		}
	}()
	for _, name := range slices.Sorted(maps.Keys(c.Projects)) {
		if err := i.equipProject(e, c.Projects[name]); err != nil {
			return nil, fmt.Errorf("project %s: %w", name, err)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Fabrics)) {
		if err := i.equipFabric(e, c.Fabrics[name]); err != nil {
			return nil, fmt.Errorf("fabric %s: %w", name, err)
		}
	}
	return e, nil
}

// equipProject opens one repository for each remote and login; projects of one remote share it. Another login to a mirror
// that is open is taken over when the equipment comes into force.
func (i *installation) equipProject(e *equipment, p *configs.Project) error {
	name := mirrorName(p)
	if _, ok := e.mirrors[name]; ok {
		return nil
	}
	if i.now != nil {
		if m, ok := i.now.mirrors[name]; ok {
			if !configs.Alike(m.auth, p.Auth) {
				login, err := m.repo.Login(authOf(p))
				if err != nil {
					return err
				}
				e.logins[m.repo.Dir()] = login
				m.auth = p.Auth
			}
			i.hold(m.part)
			e.mirrors[name] = m
			return nil
		}
	}
	r, err := openRepository(filepath.Join(i.path(mirrorsDir), name), p)
	if err != nil {
		return err
	}
	e.mirrors[name] = mirror{i.opened(r.Close), r, p.Auth}
	return nil
}

func (i *installation) equipFabric(e *equipment, f *configs.Fabric) error {
	if i.now != nil {
		if p, ok := i.now.fabrics[f.Name]; ok && configs.Alike(reached(i.now.config.Fabrics[f.Name]), reached(f)) {
			i.hold(p.part)
			e.fabrics[f.Name] = p
			return nil
		}
	}
	w, err := databricks.New(databricks.Options{Name: f.Name, Config: *f.Databricks, Root: f.Artifacts, Installation: i.id, Blobs: i.blobs, Logger: i.log})
	if err != nil {
		return err
	}
	e.fabrics[f.Name] = place{i.opened(func() error { w.Close(); return nil }), w}
	return nil
}

// reached is what of a fabric makes another client of it.
func reached(f *configs.Fabric) configs.Fabric {
	r := *f
	r.ProphecyIDs, r.Guardrails, r.Visibility = nil, nil, ""
	return r
}

// setup is what the reconciler works by.
func (i *installation) setup(e *equipment) *reconciler.Setup {
	s := &reconciler.Setup{Config: e.config, Repositories: map[string]*gitwatch.Repository{}, Fabrics: map[string]fabric.Fabric{},
		Logins: e.logins, Retire: func() { i.release(e) }}
	for name, p := range e.config.Projects {
		s.Repositories[name] = e.mirrors[mirrorName(p)].repo
	}
	for name, p := range e.fabrics {
		s.Fabrics[name] = p.fabric
	}
	return s
}

// reload brings another configuration into force. After an error the one before still is.
func (i *installation) reload(ctx context.Context, c *configs.Config, trigger string) error {
	e, err := i.equip(c)
	if err != nil {
		return err
	}
	if err := i.Reload(ctx, i.setup(e), trigger); err != nil {
		i.release(e)
		return err
	}
	i.now = e
	return nil
}

// opened is a part that one equipment holds.
func (i *installation) opened(closing func() error) *part {
	p := &part{close: closing}
	i.hold(p)
	return p
}

func (i *installation) hold(p *part) {
	i.mu.Lock()
	defer i.mu.Unlock()
	p.holders++
	i.parts[p] = true
}

// release closes what no other equipment holds.
func (i *installation) release(e *equipment) {
	i.mu.Lock()
	var over []*part
	drop := func(p *part) {
		if p.holders--; p.holders == 0 && i.parts[p] {
			over = append(over, p)
			delete(i.parts, p)
		}
	}
	for _, m := range e.mirrors {
		drop(m.part)
	}
	for _, p := range e.fabrics {
		drop(p.part)
	}
	i.mu.Unlock()
	for _, p := range over {
		if err := p.close(); err != nil {
			i.log.Warn("close what the configuration no longer names", zap.Error(err))
		}
	}
}
