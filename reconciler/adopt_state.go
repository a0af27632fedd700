package reconciler

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"selvage/configs"
	"selvage/fabric"
	"selvage/reconciler/adoption"
	"selvage/reconciler/ledger"
)

// More kinds of ledger entries.
const (
	kindHold   ledger.Kind = "hold" // Holding
	kindUnhold ledger.Kind = "unhold"
	kindAdopt  ledger.Kind = "adopt"  // adopted
	kindDisown ledger.Kind = "disown" // Disownment
	kindLapse  ledger.Kind = "lapse"  // lapsed: fields are no longer kept as they were when they were adopted
)

// adopted is what a person accepted.
type adopted struct {
	Proposal string         `json:"proposal"` // digest
	Baseline Revision       `json:"baseline"`
	Held     bool           `json:"held"` // the deployment is held at the baseline from now on
	Pairs    []adoptedPair  `json:"pairs"`
	GivenUp  []adoptedField `json:"given_up,omitempty"`
	// Made are keys without a live job that were handed back before: they may be made again.
	Made []fabric.Key `json:"made,omitempty"`
	// Document is the digest of the whole proposal.
	Document string `json:"document"`
}

type adoptedPair struct {
	Key      fabric.Key          `json:"key"`
	Kind     fabric.Kind         `json:"kind"`
	ID       string              `json:"id"`
	Name     string              `json:"name"`
	Version  string              `json:"version,omitempty"`
	Read     string              `json:"read"` // digest of the live document
	Kept     []fabric.Kept       `json:"kept,omitempty"`
	Evidence []adoption.Evidence `json:"evidence,omitempty"`
}

type adoptedField struct {
	Key  fabric.Key `json:"key"`
	Path string     `json:"path"`
}

// Disownment is what a person handed back.
type Disownment struct {
	Keys []fabric.Key `json:"keys,omitempty"` // empty where it is the whole deployment
	// Free are those of them on which no mark of ours stands, so that it takes no request.
	Free  []fabric.Key `json:"free,omitempty"`
	Whole bool         `json:"whole,omitempty"`
	By    string       `json:"by"`
	Why   string       `json:"why,omitempty"`
	Since time.Time    `json:"since"`
}

func (d Disownment) String() string {
	s := "by " + d.By
	if d.Why != "" {
		s += ": " + d.Why
	}
	return s
}

type lapsed struct {
	Kept map[fabric.Key][]fabric.Kept `json:"kept"` // what still is
}

// lapse writes down that the release has its own say again about fields that were kept, once it is live.
func (rd *round) lapse(ctx context.Context) error {
	if rd.ask.Dry || len(rd.out.Plan.Lapsed) == 0 {
		return nil
	}
	text := "no longer kept as adopted, since the release says otherwise: " + joinKeys(slices.Sorted(mapKeys(rd.out.Plan.Lapsed)))
	if _, err := rd.record(ctx, ledger.Entry{Kind: kindLapse, Deployment: rd.name, Text: text, Data: encode(lapsed{rd.out.Plan.Lapsed})}); err != nil {
		return rd.fail(configs.LedgerFailed, err)
	}
	return nil
}

// handed is a key of which the job was handed back.
type handed struct {
	Why string `json:"why,omitempty"`
}

// unmarked reports a resource that was adopted and to which nothing was written yet.
func (a Applied) unmarked() bool { return a.Adopted && a.Sent == "" }

// foldAdoption takes in what people decided about holding, taking over and handing back.
func (s *state) foldAdoption(e ledger.Entry) error {
	dep := e.Deployment
	d := s.deployed[dep]
	switch e.Kind {
	case kindHold:
		var h Holding
		if err := json.Unmarshal(e.Data, &h); err != nil {
			return err
		}
		d.Hold = &h
	case kindLapse:
		var l lapsed
		if err := json.Unmarshal(e.Data, &l); err != nil {
			return err
		}
		for k, kept := range l.Kept {
			if a, ok := s.applied[dep][k]; ok {
				a.Kept = kept
				s.apply(dep, k, a)
			}
		}
	case kindUnhold:
		d.Hold = nil
	case kindAdopt:
		var a adopted
		if err := json.Unmarshal(e.Data, &a); err != nil {
			return err
		}
		if a.Held {
			d.Hold = &Holding{Revision: a.Baseline, By: e.By, Why: "the release that the adopted jobs came from", Since: e.Time}
		}
		d.Disowned = nil
		d.Unapproved = d.Unapproved || len(a.Pairs) > 0
		for _, p := range a.Pairs {
			s.apply(dep, p.Key, Applied{Kind: p.Kind, ID: p.ID, Name: p.Name, Version: p.Version, Read: p.Read, Adopted: true, Kept: p.Kept})
			delete(s.formerly[dep], p.Key)
			s.table.drop("formerly", dep, string(p.Key))
			s.unhand(dep, p.Key)
		}
		for _, k := range a.Made {
			s.unhand(dep, k)
		}
	case kindDisown:
		var o Disownment
		if err := json.Unmarshal(e.Data, &o); err != nil {
			return err
		}
		if o.Whole {
			d.Disowned = &o
		}
		for _, k := range o.Keys {
			if !o.Whole {
				set(s.handed, dep, k, handed{o.Why})
				s.table.put("handed", dep, string(k), handed{o.Why})
			}
		}
		for _, k := range o.Free {
			s.forget(dep, k)
		}
	default:
		return fmt.Errorf("%s is no kind of these", e.Kind)
	}
	s.deploy(dep, d)
	return nil
}

func (s *state) unhand(dep string, k fabric.Key) {
	delete(s.handed[dep], k)
	s.table.drop("handed", dep, string(k))
}

// wrote reports that something that we wrote is ours: what was adopted was not written yet.
func (s *state) wrote(dep string) bool {
	for _, a := range s.applied[dep] {
		if !a.unmarked() {
			return true
		}
	}
	return false
}

// unmarkedOn counts the resources on a fabric that are ours and carry no mark yet.
func (rd *round) unmarkedOn(place string) int {
	rd.mu.Lock()
	defer rd.mu.Unlock()
	n := 0
	for _, d := range rd.Config.Deployments {
		if d.Fabric.Name != place {
			continue
		}
		for _, a := range rd.state.applied[d.Name()] {
			if a.unmarked() {
				n++
			}
		}
	}
	return n
}
