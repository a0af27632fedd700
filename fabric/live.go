package fabric

import (
	"fmt"
	"time"

	"selvage/configs"
)

// Object is one live resource, ours or not.
type Object struct {
	ID      string // the fabric's own, as text: job ids have 64 bits
	Kind    Kind
	Name    string
	Mark    Mark // zero where the resource carries none
	Doc     Doc  // what the fabric says, without the mark; zero for objects that carry none, but as Scope says
	URL     string
	Managed bool // a mark of some installation stands on it
	Unread  bool // it is there with that mark, and what it holds could not be read: Doc is zero
	// Wrote is the nonce of the intent that wrote it last, as the resource itself says; empty where it says nothing. It
	// stands beside the mark, and is how an open intent proves to have been carried out. What is attached says nothing.
	Wrote string
	// Notes are what was odd about reading it.
	Notes []configs.Finding
	// Read is when an attached object was read: those are read in turns. Of others it is zero.
	Read time.Time
}

// Live is one look at a fabric. It is immutable once Observe returned it, and shared by all
// deployments of the fabric.
type Live struct {
	At time.Time // when the look began
	// Complete: every page of the listing was read, so what it lacks is not listed there.
	Complete bool
	// Doubt is why a look that should have been Complete is not; zero where nobody doubts it.
	Doubt configs.Finding
	// Root is the folder that artifacts of this fabric are uploaded to.
	Root string
	// Principal is who looked, by the name that the fabric knows it by; empty where there are no principals.
	Principal string
	// Unseen says why there may be resources that no listing shows to this principal, in a few words; empty where
	// it sees everything. Complete says nothing about those: what is not listed may be there.
	Unseen string
	// Sources is the folder for what can't lie in Root, such as notebooks; empty where all can.
	Sources string
	// Pending are intents that the fabric has taken in and that the objects do not show yet, by nonce,
	// each with the Receipt of its step. A fabric that shows at once what it was sent has none. An
	// open intent that stands here was carried out: looking for its nonce among the objects of a
	// fabric that lags would say the opposite.
	Pending map[string]string
	// Accords are what is known of those of Scope.Owned that were compared lately, by id, where it is not what Owned says.
	Accords map[string]Accord

	objects []Object
	byID    map[string]int
	byName  map[string][]int // kind + NUL + name
	byMark  map[marked][]int
	byNonce map[string][]int
	gone    map[string]bool // ids that the fabric itself said do not exist
	marks   map[string]int  // objects by the installation of their mark; "" counts those without one
}

// Census is whose the resources of a fabric are, by the marks that they carry.
type Census struct {
	Ours   int `json:"ours"`   // of this installation, of all its deployments
	Others int `json:"others"` // of other installations
	Free   int `json:"free"`   // without a mark: made by hand, or by another tool
	// Unseen says why there may be more, as Live.Unseen.
	Unseen string `json:"unseen,omitempty"`
}

// Total is how many resources there are.
func (c Census) Total() int { return c.Ours + c.Others + c.Free }

// Census counts what was seen.
func (l *Live) Census(installation string) Census {
	c := Census{Ours: l.marks[installation], Free: l.marks[""], Unseen: l.Unseen}
	for _, n := range l.marks {
		c.Others += n
	}
	c.Others -= c.Ours + c.Free
	return c
}

// marked is what a mark says of its owner.
type marked struct {
	kind                          Kind
	installation, deployment, key string
}

// NewLive returns a Live over objects. gone are ids that the fabric said do not exist. An object
// that is listed twice, as happens when a page shifts under the reader, counts once: as seen last.
func NewLive(at time.Time, complete bool, root string, objects []Object, gone []string) *Live {
	l := &Live{At: at, Complete: complete, Root: root, objects: make([]Object, 0, len(objects)),
		byID: make(map[string]int, len(objects)), byName: make(map[string][]int, len(objects)),
		byMark: map[marked][]int{}, byNonce: map[string][]int{}, gone: make(map[string]bool, len(gone)), marks: map[string]int{}}
	for _, o := range objects {
		id := string(o.Kind) + "\x00" + o.ID
		if i, again := l.byID[id]; again {
			l.objects[i] = o
			continue
		}
		l.byID[id] = len(l.objects)
		l.objects = append(l.objects, o)
	}
	for i, o := range l.objects {
		if !o.Kind.Attached() { // it goes with what it is attached to
			l.marks[o.Mark.Installation]++
		}
		name := string(o.Kind) + "\x00" + o.Name
		l.byName[name] = append(l.byName[name], i)
		if o.Managed {
			m := marked{o.Kind, o.Mark.Installation, o.Mark.Deployment, o.Mark.Key}
			l.byMark[m] = append(l.byMark[m], i)
		}
		if o.Mark.Nonce != "" {
			l.byNonce[o.Mark.Nonce] = append(l.byNonce[o.Mark.Nonce], i)
		}
	}
	for _, id := range gone {
		l.gone[id] = true
	}
	return l
}

// Updated is this look with what a newer look at a few resources says of them.
func (l *Live) Updated(newer *Live) *Live {
	replaced := make(map[string]bool, len(newer.objects))
	objects := append([]Object(nil), newer.objects...)
	for _, o := range newer.objects {
		replaced[string(o.Kind)+"\x00"+o.ID] = true
	}
	for _, o := range l.objects {
		if !replaced[string(o.Kind)+"\x00"+o.ID] && !newer.gone[o.ID] {
			objects = append(objects, o)
		}
	}
	var gone []string
	for _, ids := range []map[string]bool{l.gone, newer.gone} {
		for id := range ids {
			gone = append(gone, id)
		}
	}
	updated := NewLive(l.At, l.Complete, l.Root, objects, gone)
	updated.Doubt = l.Doubt
	updated.Principal, updated.Unseen = l.Principal, l.Unseen
	updated.Sources, updated.Pending, updated.Accords = l.Sources, l.Pending, l.Accords
	return updated
}

// Objects are all objects that were seen, in the fabric's order.
func (l *Live) Objects() []Object { return l.objects }

// Lookup finds the resource of an owner. id is what the ledger knows, or empty. The answer is
//
//   - Present: the object carries the owner's mark and has the known id, or no id is known and a
//     complete listing holds that one mark;
//   - Absent: the fabric said so of that id, or no id is known and a complete listing holds no such mark;
//   - Unknown: anything else, an object that could not be read too, with the finding that says why.
//
// A copy made by hand carries the mark of its original; the id tells them apart, and the copy is nobody's. What is
// attached to another resource carries no mark: whose it is the mark of the other one says.
func (l *Live) Lookup(installation string, kind Kind, o Owner, id string) (Object, Presence, configs.Finding) {
	if id != "" {
		if i, ok := l.byID[string(kind)+"\x00"+id]; ok {
			obj := l.objects[i]
			if !obj.Kind.Attached() && !obj.Mark.Owns(installation, o) {
				return obj, Unknown, configs.Found(configs.MarkMissing, string(o.Key), fmt.Sprintf("%s %s", kind, id))
			}
			return present(obj, o)
		}
		if l.gone[id] {
			return Object{}, Absent, configs.Finding{}
		}
		return Object{}, Unknown, configs.Found(configs.NotSeen, string(o.Key), fmt.Sprintf("%s %s", kind, id))
	}
	m := MarkOf(installation, o, "")
	found := l.byMark[marked{kind, m.Installation, m.Deployment, m.Key}]
	switch {
	case len(found) > 1:
		return Object{}, Unknown, configs.Found(configs.MarkCopied, string(o.Key),
			fmt.Sprintf("%s %s and %s", kind, l.objects[found[0]].ID, l.objects[found[1]].ID))
	case !l.Complete: // a single one may be the copy of one that was not seen
		return Object{}, Unknown, configs.Found(configs.NotSeen, string(o.Key), "the listing is not complete")
	case len(found) == 1:
		return present(l.objects[found[0]], o)
	}
	return Object{}, Absent, configs.Finding{}
}

// present is the answer about an object that is the owner's.
func present(obj Object, o Owner) (Object, Presence, configs.Finding) {
	if obj.Unread {
		return obj, Unknown, configs.Found(configs.NotSeen, string(o.Key), fmt.Sprintf("%s %s is there and can't be read in full", obj.Kind, obj.ID))
	}
	return obj, Present, configs.Finding{}
}

// Named are the objects of that kind and name.
func (l *Live) Named(kind Kind, name string) []Object {
	return l.at(l.byName[string(kind)+"\x00"+name])
}

// ByNonce are the objects whose mark holds the nonce: none, the one that the intent made, and perhaps copies of it.
func (l *Live) ByNonce(nonce string) []Object { return l.at(l.byNonce[nonce]) }

func (l *Live) at(indexes []int) []Object {
	var found []Object
	for _, i := range indexes {
		found = append(found, l.objects[i])
	}
	return found
}
