package fabric

import (
	"fmt"
	"testing"
	"time"

	"selvage/configs"
)

func TestLookup(t *testing.T) {
	o := Owner{Deployment: "hello@production", Key: "jobs/daily"}
	ours := func(id, nonce string) Object {
		return Object{ID: id, Kind: "job", Name: "daily", Mark: MarkOf("inst", o, nonce), Managed: true}
	}
	other := func(id string, m Mark) Object {
		return Object{ID: id, Kind: "job", Name: "daily", Mark: m, Managed: m != Mark{}}
	}
	unread := func(o Object) Object {
		o.Unread = true
		return o
	}
	for _, tt := range []struct {
		name     string
		objects  []Object
		gone     []string
		partial  bool
		id       string
		want     Presence
		wantID   string
		wantCode configs.Code
	}{
		{name: "by id", objects: []Object{other("6", Mark{}), ours("7", "n")}, id: "7", want: Present, wantID: "7"},
		{name: "by id in a look that is not complete", objects: []Object{ours("7", "n")}, partial: true, id: "7", want: Present, wantID: "7"},
		{name: "by id, a copy beside it", objects: []Object{ours("8", "n"), ours("7", "n")}, id: "7", want: Present, wantID: "7"},
		{name: "only the copy is left and nobody said that the original is gone", objects: []Object{ours("8", "n")}, id: "7", want: Unknown, wantCode: configs.NotSeen},
		{name: "only the copy is left and the original is gone", objects: []Object{ours("8", "n")}, gone: []string{"7"}, id: "7", want: Absent},
		{name: "not in a complete listing is not gone", id: "7", want: Unknown, wantCode: configs.NotSeen},
		{name: "gone", gone: []string{"7"}, id: "7", want: Absent},
		{name: "gone, says a look that is not complete", gone: []string{"7"}, partial: true, id: "7", want: Absent},
		{name: "the mark was taken off", objects: []Object{other("7", Mark{})}, id: "7", want: Unknown, wantID: "7", wantCode: configs.MarkMissing},
		{name: "the mark is of another key", objects: []Object{other("7", MarkOf("inst", Owner{o.Deployment, "jobs/x"}, "n"))}, id: "7", want: Unknown, wantID: "7", wantCode: configs.MarkMissing},
		{name: "the mark is of another installation", objects: []Object{other("7", MarkOf("other", o, "n"))}, id: "7", want: Unknown, wantID: "7", wantCode: configs.MarkMissing},
		{name: "the id is of another kind", objects: []Object{{ID: "7", Kind: "dag", Mark: MarkOf("inst", o, "n"), Managed: true}}, id: "7", want: Unknown, wantCode: configs.NotSeen},
		{name: "by mark", objects: []Object{other("6", Mark{}), ours("7", "n")}, want: Present, wantID: "7"},
		{name: "by mark, in a look that may lack its original", objects: []Object{ours("7", "n")}, partial: true, want: Unknown, wantCode: configs.NotSeen},
		{name: "by mark, copied", objects: []Object{ours("7", "n"), ours("8", "n")}, want: Unknown, wantCode: configs.MarkCopied},
		{name: "by mark, listed twice", objects: []Object{ours("7", "n"), ours("7", "n")}, want: Present, wantID: "7"},
		{name: "by id, and it could not be read", objects: []Object{unread(ours("7", "n"))}, id: "7", want: Unknown, wantID: "7", wantCode: configs.NotSeen},
		{name: "by mark, and it could not be read", objects: []Object{unread(ours("7", "n"))}, want: Unknown, wantID: "7", wantCode: configs.NotSeen},
		{name: "by mark, and its copy could not be read", objects: []Object{ours("7", "n"), unread(ours("8", "n"))}, want: Unknown, wantCode: configs.MarkCopied},
		{name: "no mark anywhere", objects: []Object{other("6", Mark{})}, want: Absent},
		{name: "no mark in what was seen", partial: true, want: Unknown, wantCode: configs.NotSeen},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := NewLive(time.Time{}, !tt.partial, "", tt.objects, tt.gone)
			obj, p, why := l.Lookup("inst", "job", o, tt.id)
			if p != tt.want || obj.ID != tt.wantID || why.Code != tt.wantCode {
				t.Errorf("got %v, object %q, code %q; want %v, %q, %q", p, obj.ID, why.Code, tt.want, tt.wantID, tt.wantCode)
			}
			if p == Unknown && why.Text == "" {
				t.Error("unknown without a reason")
			}
		})
	}
}

func TestLiveIndexes(t *testing.T) {
	a := Object{ID: "1", Kind: "job", Name: "x", Mark: Mark{Nonce: "n"}}
	b := Object{ID: "2", Kind: "job", Name: "x"}
	l := NewLive(time.Time{}, true, "/root", []Object{a, b, {ID: "1", Kind: "job", Name: "renamed", Mark: Mark{Nonce: "n"}}}, nil)
	if got := l.Objects(); len(got) != 2 || got[0].Name != "renamed" {
		t.Errorf("objects: %v", got)
	}
	if got := l.Named("job", "x"); len(got) != 1 || got[0].ID != "2" {
		t.Errorf("named x: %v", got)
	}
	if len(l.Named("dag", "x")) != 0 || len(l.Named("job", "")) != 0 {
		t.Error("named by another kind")
	}
	if got := l.ByNonce("n"); len(got) != 1 || got[0].ID != "1" {
		t.Errorf("by nonce: %v", got)
	}
	if len(l.ByNonce("")) != 0 {
		t.Error("an empty nonce finds what has none")
	}
}

func BenchmarkLookup(b *testing.B) {
	objects := make([]Object, 1000)
	for i := range objects {
		o := Owner{"hello@production", Key(fmt.Sprintf("jobs/%d", i))}
		objects[i] = Object{ID: fmt.Sprint(i), Kind: "job", Mark: MarkOf("inst", o, "n"), Managed: true}
	}
	l := NewLive(time.Time{}, true, "", objects, nil)
	for b.Loop() {
		if _, p, _ := l.Lookup("inst", "job", Owner{"hello@production", "jobs/500"}, ""); p != Present {
			b.Fatal(p)
		}
	}
}
