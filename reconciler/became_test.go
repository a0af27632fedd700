package reconciler

import (
	"testing"
	"time"

	"selvage/configs"
	"selvage/fabric"
)

// What a look proves of a request whose answer never came. Where it proves nothing the intent stays open: an open
// intent costs a minute, a wrong word about it a second job, or a job that is never deleted.
func TestBecame(t *testing.T) {
	t.Parallel()
	const nonce = "n0000007"
	owner := fabric.Owner{Deployment: dep, Key: "a"}
	job := func(id string, m fabric.Mark) fabric.Object {
		return fabric.Object{Kind: "job", ID: id, Name: "a", Managed: m != fabric.Mark{}, Mark: m, Doc: fabric.NewDoc(map[string]any{"x": 1})}
	}
	made := job("1", fabric.MarkOf(inst, owner, nonce))
	before := job("1", fabric.MarkOf(inst, owner, "n0000001"))
	copied := job("2", fabric.MarkOf(inst, owner, nonce))
	wrote := func(o fabric.Object, by string) fabric.Object {
		o.Wrote = by
		return o
	}
	written, others := wrote(before, nonce), wrote(before, "n0000001")
	moved := others
	moved.Mark = fabric.MarkOf(inst, fabric.Owner{Deployment: dep, Key: "b"}, "n0000001")
	const soon, later = intentGrace - time.Second, intentGrace
	for _, tt := range []struct {
		name    string
		action  fabric.Action
		look    time.Duration // after the intent
		partial bool
		seen    []fabric.Object
		gone    []string
		pending bool
		want    fabric.Status
		open    bool
		finding configs.Code
	}{
		{name: "made", action: fabric.Create, look: soon, seen: []fabric.Object{made}, want: fabric.Done},
		{name: "made, or a copy of what is on another page", action: fabric.Create, look: later, partial: true, seen: []fabric.Object{copied}, open: true},
		{name: "made, and copied by hand", action: fabric.Create, look: later, seen: []fabric.Object{made, copied}, open: true, finding: configs.MarkCopied},
		{name: "not to be seen so soon", action: fabric.Create, look: soon, open: true},
		{name: "not to be seen", action: fabric.Create, look: later, want: fabric.Later},
		{name: "not to be seen on these pages", action: fabric.Create, look: later, partial: true, open: true},
		{name: "another intent's", action: fabric.Create, look: later, seen: []fabric.Object{before}, want: fabric.Later},
		{name: "another key's, with the same nonce", action: fabric.Create, look: later, want: fabric.Later,
			seen: []fabric.Object{job("1", fabric.MarkOf(inst, fabric.Owner{Deployment: dep, Key: "b"}, nonce))}},
		{name: "another installation's", action: fabric.Create, look: later, seen: []fabric.Object{job("1", fabric.MarkOf("inst0002", owner, nonce))}, want: fabric.Later},
		{name: "taken in, and shown later", action: fabric.Create, look: later, pending: true, open: true},

		{name: "deleted", action: fabric.Delete, look: soon, gone: []string{"1"}, want: fabric.Done},
		{name: "not listed is not deleted", action: fabric.Delete, look: later, open: true},
		{name: "there still, so soon", action: fabric.Delete, look: soon, seen: []fabric.Object{before}, open: true},
		{name: "there still", action: fabric.Delete, look: later, seen: []fabric.Object{before}, want: fabric.Later},

		{name: "written", action: fabric.Update, look: soon, seen: []fabric.Object{written}, want: fabric.Done},
		{name: "written, seen on one of the pages", action: fabric.Update, look: soon, partial: true, seen: []fabric.Object{written}, want: fabric.Done},
		{name: "not written so soon", action: fabric.Update, look: soon, seen: []fabric.Object{others}, open: true},
		{name: "not written", action: fabric.Update, look: later, seen: []fabric.Object{others}, want: fabric.Later},
		{name: "nobody says who wrote it", action: fabric.Update, look: later, seen: []fabric.Object{before}, want: fabric.Later},
		{name: "written, and not ours any more", action: fabric.Update, look: later, seen: []fabric.Object{wrote(job("1", fabric.MarkOf("inst0002", owner, nonce)), nonce)}, open: true},
		{name: "a copy of it was not written", action: fabric.Update, look: later, seen: []fabric.Object{others, wrote(copied, nonce)}, want: fabric.Later},
		{name: "not to be seen whether written", action: fabric.Update, look: later, open: true},
		{name: "gone, so that nothing was written", action: fabric.Update, look: later, gone: []string{"1"}, want: fabric.Later},
		{name: "put into quarantine", action: fabric.Quarantine, look: soon, seen: []fabric.Object{written}, want: fabric.Done},
		{name: "not put into quarantine", action: fabric.Quarantine, look: later, seen: []fabric.Object{others}, want: fabric.Later},
		{name: "paused to leave", action: fabric.Leave, look: soon, seen: []fabric.Object{written}, want: fabric.Done},
		{name: "moved to another key since", action: fabric.Update, look: later, seen: []fabric.Object{moved}, open: true},

		{name: "handed back", action: fabric.Disown, look: soon, seen: []fabric.Object{job("1", fabric.Mark{})}, want: fabric.Done},
		{name: "handed back, or not listed", action: fabric.Disown, look: later, open: true},
		{name: "ours still", action: fabric.Disown, look: later, seen: []fabric.Object{before}, want: fabric.Later},
		{name: "ours still, so soon", action: fabric.Disown, look: soon, seen: []fabric.Object{before}, open: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newState(&table{})
			if tt.action != fabric.Create {
				s.applied[dep] = map[fabric.Key]Applied{"a": {Kind: "job", ID: "1", Name: "a"}}
			}
			live := fabric.NewLive(noon.Add(tt.look), !tt.partial, "", tt.seen, tt.gone)
			if tt.pending {
				live.Pending = map[string]string{nonce: "r"}
			}
			rd := &round{Reconciler: &Reconciler{Options: Options{Installation: inst}, state: s}, name: dep, live: live}
			i := openIntent{Nonce: nonce, At: noon, intentMade: intentMade{Op: fabric.OpCreate, Kind: "job", Keys: []fabric.Key{"a"}, Actions: []fabric.Action{tt.action}}}
			results, resolved := rd.became(i)
			if resolved == tt.open {
				t.Fatalf("resolved: %v, %+v", resolved, results)
			}
			if resolved && (len(results) != 1 || results[0].Status != tt.want) {
				t.Errorf("%+v, want %s", results, tt.want)
			}
			if resolved && tt.want == fabric.Done && results[0].ID != "1" {
				t.Errorf("id %q", results[0].ID)
			}
			var code configs.Code
			for _, f := range rd.out.Findings {
				code = f.Code
			}
			if code != tt.finding {
				t.Errorf("it says %s, want %s: %v", code, tt.finding, rd.out.Findings)
			}
		})
	}
}
