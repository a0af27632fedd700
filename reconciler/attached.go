package reconciler

import (
	"context"
	"fmt"
	"time"

	"selvage/configs"
	"selvage/fabric"
)

// readForPerson is the number of things read in turns up to which they are read at once when a person waits for a plan.
const readForPerson = 25

// readAttached has the fabric read what it reads in turns, as far as the plan can't do without it, or a person looks at
// the plan. It reports whether that taught us anything. What was read once in a round is not read again.
func (rd *round) readAttached(ctx context.Context, p Plan) (bool, error) {
	want := map[fabric.Key]fabric.Owned{}
	for _, o := range p.Reads {
		want[o.Key] = o
	}
	if rd.ask.By != "" || rd.ask.Dry {
		rd.forPerson(p, want)
	}
	var only []fabric.Owned
	for k, o := range want {
		if !rd.read[k] {
			only = append(only, o)
		}
	}
	if len(only) == 0 {
		return false, nil
	}
	_, err := rd.readNow(ctx, only)
	return true, err
}

// forPerson adds what the plan shows, or says how old what it shows is.
func (rd *round) forPerson(p Plan, want map[fabric.Key]fabric.Owned) {
	var old []fabric.Owned
	var oldest time.Time
	all, unread := 0, 0
	for _, c := range p.Changes {
		at, attached := readAt(rd.live, rd.Installation, c)
		if !attached {
			continue
		}
		all++
		switch {
		case at.IsZero():
			unread++
		case oldest.IsZero() || at.Before(oldest):
			oldest = at
		}
		if at.Before(rd.at) {
			old = append(old, fabric.Owned{Owner: c.Owner, Kind: c.Kind, ID: c.ID})
		}
	}
	if all <= readForPerson {
		for _, o := range old {
			want[o.Key] = o
		}
		return
	}
	text := fmt.Sprintf("of %d, %d were not read since the start", all, unread)
	if unread < all {
		text += ", the others at " + oldest.Format(time.TimeOnly) + " or later"
	}
	if f := configs.Found(configs.AccessInTurn, rd.name, text); !rd.agedTold {
		rd.agedTold = true
		f.Next = "" // this was the command
		rd.note(f)
	}
}

// readOpen reads what open intents were to change and a look may lack.
func (rd *round) readOpen(ctx context.Context, open []openIntent) error {
	var only []fabric.Owned
	for _, i := range open {
		if i.Kind.Attached() && i.ID != "" && len(i.Keys) == 1 {
			only = append(only, fabric.Owned{Owner: fabric.Owner{Deployment: rd.name, Key: i.Keys[0]}, Kind: i.Kind, ID: i.ID})
		}
	}
	if len(only) == 0 {
		return nil
	}
	_, err := rd.readNow(ctx, only)
	return err
}

// becameAttached says what became of the n-th key of an open intent, which is attached to the resource of the intent's id.
func (rd *round) becameAttached(i openIntent, n int) (fabric.Result, bool) {
	k := i.Keys[n]
	r := fabric.Result{Key: k, Nonce: i.Nonce, ID: i.ID}
	obj, seen, _ := rd.live.Lookup(rd.Installation, i.Kind, fabric.Owner{Deployment: rd.name, Key: k}, i.ID)
	to, _ := k.AttachedTo(i.Kind)
	rd.mu.Lock()
	left := rd.state.applied[rd.name][to].ID != i.ID // what it is attached to is no longer ours, or was made anew
	rd.mu.Unlock()
	switch {
	case seen == fabric.Present && rd.matches(i, n, obj): // it has no place for who wrote it
		r.Status = fabric.Done
	case seen == fabric.Unknown && !left || rd.live.At.Sub(i.At) < intentGrace:
		return fabric.Result{}, false
	default:
		r.Status, r.Err = fabric.Later, errNotSeen
	}
	return r, true
}

// matches reports that the live object is what the intent sent.
func (rd *round) matches(i openIntent, n int, obj fabric.Object) bool {
	sent := rd.documents.get(at(i.Sent, n))
	if sent.IsZero() {
		return false
	}
	fields, labels := fabric.Compare(fabric.Comparison{Rules: rd.Fabrics[rd.d.Fabric.Name].Rules(i.Kind), Desired: sent, Live: obj.Doc})
	return len(fields)+labels == 0
}
