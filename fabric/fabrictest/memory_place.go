package fabrictest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"selvage/fabric"
)

var (
	errBusy = errors.New("busy: try again later")
	errLost = errors.New("connection reset by peer")
)

// refusal is the answer to a commit that can't be: nothing of it happens.
type refusal struct{ id, why string }

func (r *refusal) Error() string { return fmt.Sprintf("dag %s: %s", r.id, r.why) }

// push is the one request of a commit.
func (m *Memory) push(ctx context.Context, writes []write) error {
	nonce, err := fabric.UsePermit(ctx)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.requests++
	fault := m.faults[m.requests]
	switch fault {
	case Busy:
		return errBusy
	case FailBefore:
		return errLost
	}
	for _, w := range writes {
		old, there := m.head[w.id]
		switch {
		case w.file == nil:
			if there && old.mark == (fabric.Mark{}) {
				return &refusal{w.id, "it is not ours to delete"}
			}
		case w.file.mark.Nonce == nonce && there:
			return &refusal{w.id, "there is one of that id"}
		case w.file.mark.Nonce != nonce && !there:
			return &refusal{w.id, "it is not there any more"}
		case len(w.file.doc.Refs()) > 0:
			return &refusal{w.id, "the definition holds a reference that is not resolved"}
		}
	}
	for _, w := range writes {
		if w.file == nil {
			delete(m.head, w.id)
		} else {
			m.head[w.id] = *w.file
		}
	}
	m.commits = append(m.commits, &commit{nonce: nonce, due: time.Now().Add(m.o.SettleAfter), writes: writes})
	if fault == LoseResponse {
		return errLost
	}
	return nil
}

// unchanged looks whether what a commit writes shows what its plan saw; if not, it returns the index of the first
// change of which that is not so. What was deleted by hand is gone either way.
func (m *Memory) unchanged(changes []fabric.Change) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.parse()
	for n, c := range changes {
		if c.Action != fabric.Update && c.Action != fabric.Move && c.Action != fabric.Delete {
			continue
		}
		f, there := m.parsed[c.ID]
		switch {
		case m.blind:
			return n, errBlind
		case !there && c.Action == fabric.Delete:
		case !there:
			return n, &fabric.Changed{Gone: true}
		default:
			if err := c.Unchanged(dagRules, f.mark, shown(f.doc)); err != nil {
				return n, err
			}
		}
	}
	return 0, nil
}

// taken reports that the commit of an intent is there. It reads what was committed and not what
// shows, which may lag.
func (m *Memory) taken(nonce string) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.blind {
		return false, errBlind
	}
	for _, c := range m.commits {
		if c.nonce == nonce {
			return true, nil
		}
	}
	return false, nil
}

// Edit changes a field of a definition by hand, at once; a nil value removes it.
func (m *Memory) Edit(id, field string, value any) error {
	return m.byHand(id, func(f file) (string, *file) {
		o := f.doc.Object()
		o[field] = value
		return id, &file{fabric.NewDoc(o), f.mark, f.wrote}
	})
}

// Copy clones a definition by hand, with its mark, and returns the copy's id.
func (m *Memory) Copy(id string) (string, error) {
	copied := id + "_copy"
	return copied, m.byHand(id, func(f file) (string, *file) { return copied, &f })
}

// Unmark takes the mark off by hand.
func (m *Memory) Unmark(id string) error {
	return m.byHand(id, func(f file) (string, *file) { return id, &file{doc: f.doc} })
}

// Remove deletes a definition by hand.
func (m *Memory) Remove(id string) error {
	return m.byHand(id, func(file) (string, *file) { return id, nil })
}

func (m *Memory) byHand(id string, edit func(file) (string, *file)) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.parse()
	f, ok := m.parsed[id]
	if !ok {
		return fmt.Errorf("no dag %s shows", id)
	}
	to, changed := edit(f)
	if changed == nil {
		delete(m.head, to)
		delete(m.parsed, to)
		return nil
	}
	m.head[to], m.parsed[to] = *changed, *changed
	return nil
}

// Plant makes a definition by hand, without a mark; its id is the name.
func (m *Memory) Plant(name string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f := file{doc: fabric.NewDoc(map[string]any{"name": name, "by": "hand"})}
	m.head[name], m.parsed[name] = f, f
}

// Fault breaks the k-th push from now, the first being 1; Blind and None take effect at once.
func (m *Memory) Fault(f Fault, k int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch f {
	case None:
		m.blind, m.faults = false, map[int]Fault{}
	case Blind:
		m.blind = true
	default:
		m.faults[m.requests+k] = f
	}
}

// Requests counts the pushes that have arrived, those that a fault broke included.
func (m *Memory) Requests() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.requests
}

// Commits counts the pushes that were carried out.
func (m *Memory) Commits() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.commits)
}
