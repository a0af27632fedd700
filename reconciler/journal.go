package reconciler

import (
	"context"
	"errors"
	"fmt"
	"time"

	"selvage/configs"
	"selvage/fabric"
	"selvage/reconciler/ledger"
)

// errSuperseded is what Begin returns once a newer release arrived.
var errSuperseded = errors.New("a newer release arrived")

// errStopping is what Begin returns once the daemon stops.
var errStopping = errors.New("the daemon is stopping")

// errSuspended is what Begin returns once a person suspended the deployment or its fabric.
var errSuspended = errors.New("a person suspended it")

// errReconfigured is what Begin returns once the configuration says something else of the deployment.
var errReconfigured = errors.New("the configuration of the deployment changed")

// journal writes what a fabric is about to do, and what became of it, into the ledger.
type journal struct {
	rd      *round
	stop    context.Context // once done, nothing more may begin
	changes map[fabric.Key]fabric.Change
	digests map[fabric.Key]string // of the changes, as planned
}

// Begin makes the intent durable. It refuses when the daemon stops, a person suspends the deployment, its
// configuration changes, or a newer release makes the rest of this one pointless (law 9).
func (j *journal) Begin(ctx context.Context, i fabric.Intent) (context.Context, error) {
	if err := j.still(); err != nil {
		return nil, err
	}
	if i.Op == fabric.OpCancel {
		i.Keys = nil // what is owned stays as it is
	}
	m := intentMade{Op: i.Op, Keys: i.Keys, ID: i.ID, Release: j.rd.target.Release, Version: j.rd.target.Version, Paths: i.Paths, Runs: i.Runs}
	for n, k := range i.Keys {
		c := j.changes[k]
		m.Kind = c.Kind
		m.Names = append(m.Names, c.Name)
		m.Actions = append(m.Actions, c.Action)
		if c.Action == fabric.Move {
			m.From = append(append(m.From, make([]fabric.Key, n-len(m.From))...), c.From)
		}
		m.Changes = append(m.Changes, j.digests[k])
		m.note(c)
		if c.Committed != "" {
			m.Committed = append(append(m.Committed, make([]string, n-len(m.Committed))...), c.Committed)
		}
		if c.Action.Rests() {
			digest, err := j.rd.documents.put(c.Desired)
			if err != nil {
				return nil, err
			}
			m.Read = append(append(m.Read, make([]string, n-len(m.Read))...), digest)
		}
		if len(c.Kept) > 0 {
			if m.Kept == nil {
				m.Kept = map[fabric.Key][]fabric.Kept{}
			}
			m.Kept[k] = c.Kept
		}
		if n < len(i.Sent) && !i.Sent[n].IsZero() {
			digest, err := j.rd.documents.put(i.Sent[n])
			if err != nil {
				return nil, err
			}
			m.Sent = append(m.Sent, digest)
		} else {
			m.Sent = append(m.Sent, "")
		}
	}
	text := i.Text
	if text == "" {
		text = fmt.Sprintf("%s %s", i.Op, joinKeys(i.Keys))
	}
	e := ledger.Entry{Kind: kindIntent, Deployment: j.rd.name, Fabric: j.rd.d.Fabric.Name, Intent: i.Nonce, Text: text, Data: encode(m)}
	if _, err := j.rd.record(ctx, e); err != nil {
		return nil, err
	}
	return fabric.WithPermit(ctx, i, j.still), nil
}

// still is the reason why nothing more may be sent, or nil.
func (j *journal) still() error {
	switch {
	case j.stop.Err() != nil:
		return errStopping
	case j.rd.suspended():
		return errSuspended
	case j.rd.reconfigured():
		return errReconfigured
	case j.rd.superseded():
		return errSuperseded
	}
	return nil
}

// End writes the outcome down. While any of it is doubtful the intent stays open.
func (j *journal) End(ctx context.Context, nonce string, rs ...fabric.Result) error {
	for _, r := range rs {
		if r.Status == fabric.Doubtful {
			return nil
		}
	}
	return j.rd.close(ctx, nonce, rs...)
}

// close writes the outcome of an intent.
func (rd *round) close(ctx context.Context, nonce string, rs ...fabric.Result) error {
	var o outcomeSeen
	text := ""
	for _, r := range rs {
		s := resultSeen{Key: r.Key, Status: r.Status.String(), ID: r.ID}
		if r.Err != nil {
			s.Error = r.Err.Error()
		}
		o.Results = append(o.Results, s)
		if text == "" || r.Status != fabric.Done {
			text = r.Status.String()
			if r.Key != "" {
				text += " " + string(r.Key)
			}
			if r.ID != "" {
				text += " " + r.ID
			}
			if s.Error != "" {
				text += ": " + s.Error
			}
		}
	}
	code := ""
	if len(rs) > 0 && rs[0].Status == fabric.Refused {
		code = string(configs.FabricRefused)
	}
	// The outcome of what was sent is written even while the daemon stops.
	_, err := rd.record(context.WithoutCancel(ctx), ledger.Entry{Kind: kindOutcome, Deployment: rd.name, Fabric: rd.d.Fabric.Name, Intent: nonce, Code: code, Text: text, Data: encode(o)})
	return err
}

// suspended reports that a person suspended the deployment or its fabric.
func (rd *round) suspended() bool {
	rd.mu.Lock()
	defer rd.mu.Unlock()
	_, yes := rd.state.suspended(rd.name, time.Now())
	return yes
}

// reconfigured reports that a setup is in force by which the deployment is kept by other terms, or not at all.
func (rd *round) reconfigured() bool {
	rd.mu.Lock()
	defer rd.mu.Unlock()
	return rd.setup.terms[rd.name] != rd.terms[rd.name]
}

// superseded reports that a newer candidate than the one that this round saw has arrived.
func (rd *round) superseded() bool {
	if rd.ask.By != "" || rd.known.Hold != nil {
		return false // a person asked for just this
	}
	rd.mu.Lock()
	defer rd.mu.Unlock()
	// A person's command reads the refs too, so that what the last poll saw may be older than what this
	// round began with.
	n := rd.Reconciler.newest[rd.name]
	return n.sighting.After(rd.sighting) && rd.newest != "" && n.commit != rd.newest
}
