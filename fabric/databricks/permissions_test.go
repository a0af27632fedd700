package databricks

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"selvage/fabric"
	"selvage/fabric/databricks/emulator"
)

// accessDoc is a list of "user a@x CAN_VIEW"; live ones say who deploys, and what admins inherit.
func accessDoc(id, deployer string, entries ...string) fabric.Doc {
	gs := grants{}
	for _, e := range entries {
		i := strings.LastIndexByte(e, ' ')
		gs.add(named(e[:i], e[i+1:]))
	}
	d := map[string]any{"job_id": json.Number(id), accessField: gs.list()}
	if deployer != "" {
		d["deployer"] = map[string]any{named(deployer, "").kind: named(deployer, "").name}
		d["inherited"] = []any{map[string]any{"group_name": "admins", "permission_level": "CAN_MANAGE"}}
	}
	return fabric.NewDoc(d)
}

func named(principal, level string) grant {
	for _, k := range principalKinds {
		if name, ok := strings.CutPrefix(principal, k.word+" "); ok {
			return grant{k.field, name, level}
		}
	}
	panic(principal)
}

// What differs between a declared and a live list, and what is sent then.
func TestAccessCompared(t *testing.T) {
	const us, robot = "user us@shop.example", "service principal 0c6f8a70-0000-4000-8000-000000000001"
	for _, tt := range []struct {
		name          string
		deployer      string
		desired, live []string
		want          []string // fields
		sent          []string
	}{
		{"as declared", us, []string{"user us@shop.example IS_OWNER", "group g CAN_VIEW"}, []string{"user us@shop.example IS_OWNER", "group g CAN_VIEW"}, nil,
			[]string{"group g CAN_VIEW", "user us@shop.example IS_OWNER"}},
		{"another level", us, []string{"user a@x CAN_MANAGE"}, []string{"user us@shop.example IS_OWNER", "user a@x CAN_VIEW"}, []string{`access_control_list[user a@x].permission_level "CAN_VIEW" "CAN_MANAGE"`},
			[]string{"user a@x CAN_MANAGE", "user us@shop.example IS_OWNER"}},
		{"one more and one less", us, []string{"user a@x CAN_VIEW"}, []string{"user us@shop.example IS_OWNER", "user b@x CAN_VIEW"},
			[]string{`access_control_list[user a@x]  {"permission_level":"CAN_VIEW","user_name":"a@x"}`, `access_control_list[user b@x] {"permission_level":"CAN_VIEW","user_name":"b@x"} `},
			[]string{"user a@x CAN_VIEW", "user us@shop.example IS_OWNER"}},
		{"no owner declared: the live one stays", us, []string{"group g CAN_VIEW"}, []string{"user a@x IS_OWNER", "group g CAN_VIEW"}, nil,
			[]string{"group g CAN_VIEW", "user a@x IS_OWNER", "user us@shop.example CAN_MANAGE"}},
		{"the live owner is declared with less", us, []string{"user A@x CAN_VIEW"}, []string{"user a@x IS_OWNER"}, nil,
			[]string{"user A@x IS_OWNER", "user us@shop.example CAN_MANAGE"}},
		{"there is no live owner", us, []string{"group g CAN_VIEW"}, []string{"group g CAN_VIEW"}, nil, []string{"group g CAN_VIEW", "user us@shop.example IS_OWNER"}},
		{"another owner", us, []string{"user a@x IS_OWNER"}, []string{"user us@shop.example IS_OWNER"},
			[]string{`access_control_list[user a@x]  {"permission_level":"IS_OWNER","user_name":"a@x"}`, `access_control_list[user us@shop.example] {"permission_level":"IS_OWNER","user_name":"us@shop.example"} `},
			[]string{"user a@x IS_OWNER", "user us@shop.example CAN_MANAGE"}},
		{"another owner, and we keep what we need", us, []string{"user a@x IS_OWNER"}, []string{"user a@x IS_OWNER", "user us@shop.example CAN_MANAGE"}, nil,
			[]string{"user a@x IS_OWNER", "user us@shop.example CAN_MANAGE"}},
		{"we are declared with less than we need", us, []string{"user a@x IS_OWNER", "user Us@shop.example CAN_VIEW"}, []string{"user a@x IS_OWNER", "user us@shop.example CAN_MANAGE"}, nil,
			[]string{"user a@x IS_OWNER", "user Us@shop.example CAN_MANAGE"}},
		{"we are to own it", us, []string{"user us@shop.example IS_OWNER"}, []string{"user a@x IS_OWNER", "user us@shop.example CAN_MANAGE"},
			[]string{`access_control_list[user a@x] {"permission_level":"IS_OWNER","user_name":"a@x"} `, `access_control_list[user us@shop.example].permission_level "CAN_MANAGE" "IS_OWNER"`},
			[]string{"user us@shop.example IS_OWNER"}},
		{"a service principal deploys", robot, []string{"user a@x IS_OWNER"}, []string{"user a@x IS_OWNER", "service principal 0C6F8A70-0000-4000-8000-000000000001 CAN_MANAGE"}, nil,
			[]string{"service principal 0c6f8a70-0000-4000-8000-000000000001 CAN_MANAGE", "user a@x IS_OWNER"}},
		{"a group's case counts", us, []string{"group G CAN_VIEW"}, []string{"user us@shop.example IS_OWNER", "group g CAN_VIEW"},
			[]string{`access_control_list[group G]  {"group_name":"G","permission_level":"CAN_VIEW"}`, `access_control_list[group g] {"group_name":"g","permission_level":"CAN_VIEW"} `},
			[]string{"group G CAN_VIEW", "user us@shop.example IS_OWNER"}},
		{"what is inherited need not be given", us, []string{"group admins CAN_MANAGE"}, []string{"user us@shop.example IS_OWNER"}, nil,
			[]string{"group admins CAN_MANAGE", "user us@shop.example IS_OWNER"}},
		{"somebody else's CAN_MANAGE is a difference", us, []string{"group g CAN_VIEW"}, []string{"user us@shop.example IS_OWNER", "group g CAN_VIEW", "user b@x CAN_MANAGE"},
			[]string{`access_control_list[user b@x] {"permission_level":"CAN_MANAGE","user_name":"b@x"} `}, []string{"group g CAN_VIEW", "user us@shop.example IS_OWNER"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			desired, live := accessDoc("7", "", tt.desired...), accessDoc("7", tt.deployer, tt.live...)
			fields, _ := fabric.Compare(fabric.Comparison{Rules: accessRules, Desired: desired, Live: live})
			var got []string
			for _, f := range fields {
				got = append(got, fmt.Sprintf("%s %s %s", f.Path, f.Old, f.New))
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("fields (-want +got):\n%s", diff)
			}
			var sent []string
			for _, e := range toSend(desired, live) {
				sent = append(sent, principalOf(e)+" "+grantOf(e).level)
			}
			for i, s := range tt.sent {
				at := strings.LastIndexByte(s, ' ')
				tt.sent[i] = named(s[:at], "").principal() + s[at:]
			}
			slices.Sort(tt.sent)
			if diff := cmp.Diff(tt.sent, sent); diff != "" {
				t.Errorf("sent (-want +got):\n%s", diff)
			}
			written := accessDoc("7", tt.deployer)
			m := written.Object()
			m[accessField] = toSend(desired, live)
			if !asDeclared(desired, fabric.NewDoc(m)) {
				t.Error("what is sent is not what is declared")
			}
		})
	}
}

func permission(job fabric.Object, entries ...string) fabric.Change {
	key := fabric.Attach("jobs/daily", Permissions)
	return fabric.Change{Key: key, Kind: Permissions, Action: fabric.Update, ID: job.ID, Owner: fabric.Owner{Deployment: "shop@test", Key: key}, Desired: accessDoc(job.ID, "", entries...)}
}

func numberOf(t *testing.T, id string) int64 {
	t.Helper()
	n, err := strconv.ParseInt(id, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// An access list is read, and written only where it differs. Whoever deploys can do so again afterwards.
func TestPermit(t *testing.T) {
	r := overTCP(t, emulator.Options{Guests: map[string][]string{"deployer@selvage.example": nil}, Principals: []string{"deployer@selvage.example", "a@shop.example", "analysts"}}, Options{})
	job := r.create(t, "jobs/daily", "daily")
	id := numberOf(t, job.ID)
	for _, tt := range []struct {
		name    string
		entries []string
		status  fabric.Status
		puts    int
		access  string
	}{
		{"none before", []string{"user a@shop.example CAN_VIEW", "group analysts CAN_VIEW"}, fabric.Done, 1, "group_name analysts CAN_VIEW, user_name a@shop.example CAN_VIEW, user_name deployer@selvage.example IS_OWNER"},
		{"the same again", []string{"user A@shop.example CAN_VIEW", "group analysts CAN_VIEW"}, fabric.Done, 0, "group_name analysts CAN_VIEW, user_name a@shop.example CAN_VIEW, user_name deployer@selvage.example IS_OWNER"},
		{"one less", []string{"user a@shop.example CAN_MANAGE"}, fabric.Done, 1, "user_name a@shop.example CAN_MANAGE, user_name deployer@selvage.example IS_OWNER"},
		{"nobody of that name", []string{"user ghost@shop.example CAN_VIEW"}, fabric.Refused, 1, "user_name a@shop.example CAN_MANAGE, user_name deployer@selvage.example IS_OWNER"},
		{"an owner that we may not set", []string{"user a@shop.example IS_OWNER"}, fabric.Refused, 1, "user_name a@shop.example CAN_MANAGE, user_name deployer@selvage.example IS_OWNER"},
	} {
		r.e.ResetJournal()
		r.journal.results = nil
		o := r.w.Do(t.Context(), step(permission(job, tt.entries...)), r.journal)
		if o.Status != tt.status || o.Results[0].ID != job.ID || o.Results[0].Nonce == "" || len(r.journal.results) != 1 || len(r.journal.open) != 0 {
			t.Errorf("%s: %+v; %d outcomes written, %d open", tt.name, o, len(r.journal.results), len(r.journal.open))
		}
		if puts := r.e.Count("PUT *"); puts != tt.puts || r.e.Count("GET "+permissionsPath+"*") != 1 {
			t.Errorf("%s: %d writes, %d reads, want %d and 1", tt.name, puts, r.e.Count("GET "+permissionsPath+"*"), tt.puts)
		}
		if got := strings.Join(r.e.Access(id), ", "); got != tt.access {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.access)
		}
	}
	// Another owner than us, and a list that does not say that we need anything.
	if err := r.e.SetAccess(id, []byte(`{"access_control_list":[{"user_name":"a@shop.example","permission_level":"IS_OWNER"},{"user_name":"deployer@selvage.example","permission_level":"CAN_MANAGE"}]}`)); err != nil {
		t.Fatal(err)
	}
	for _, list := range [][]string{{"user a@shop.example IS_OWNER", "group analysts CAN_VIEW"}, {"group analysts CAN_MANAGE"}} {
		if o := r.w.Do(t.Context(), step(permission(job, list...)), r.journal); o.Status != fabric.Done {
			t.Errorf("%v", o.Err)
		}
		if got := r.e.Access(id); !slices.Contains(got, "user_name deployer@selvage.example CAN_MANAGE") || !slices.Contains(got, "user_name a@shop.example IS_OWNER") {
			t.Errorf("after %s: %s", list, got)
		}
	}
	// What somebody did since the plan's look is not written over, unless it is what is declared.
	seen := permission(job, "group analysts CAN_VIEW")
	seen.Live = accessDoc(job.ID, "user deployer@selvage.example", "user a@shop.example IS_OWNER", "user deployer@selvage.example CAN_MANAGE")
	for _, tt := range []struct {
		live    string
		changed bool
	}{{`{"user_name":"deployer@selvage.example","permission_level":"CAN_VIEW"}`, true}, {`{"group_name":"analysts","permission_level":"CAN_VIEW"}`, false}} {
		if err := r.e.SetAccess(id, []byte(`{"access_control_list":[{"user_name":"a@shop.example","permission_level":"IS_OWNER"},`+tt.live+`]}`)); err != nil {
			t.Fatal(err)
		}
		r.journal.intents = nil
		before := r.e.Access(id)
		var changed *fabric.Changed
		o := r.w.Do(t.Context(), step(seen), r.journal)
		if errors.As(o.Err, &changed) != tt.changed || (len(r.journal.intents) == 0) != tt.changed || cmp.Diff(before, r.e.Access(id)) != "" {
			t.Errorf("%s: %s %v, %d intents, %s", tt.live, o.Status, o.Err, len(r.journal.intents), r.e.Access(id))
		}
	}
	if o := r.w.Do(t.Context(), step(fabric.Change{Key: "jobs/daily:permissions", Kind: Permissions, Action: fabric.Delete, ID: job.ID}), r.journal); o.Status != fabric.Refused || len(r.e.Jobs()) != 1 {
		t.Errorf("delete: %+v, %d jobs", o, len(r.e.Jobs()))
	}
}

// Whatever becomes of the write or of the look before it, the list is written at most once, and what is reported is true.
func TestPermitFaults(t *testing.T) {
	for _, tt := range []struct {
		name   string
		method string
		fault  emulator.Fault
		status fabric.Status
		effect bool
	}{
		{"answer lost", "PUT", emulator.Fault{After: true, Close: true}, fabric.Done, true},
		{"500 after the handler", "PUT", emulator.Fault{After: true, Status: 500}, fabric.Done, true},
		{"closed before", "PUT", emulator.Fault{Close: true}, fabric.Doubtful, false},
		{"503 before", "PUT", emulator.Fault{Status: 503}, fabric.Doubtful, false},
		{"429", "PUT", emulator.Fault{Status: 429}, fabric.Later, false},
		{"403", "PUT", emulator.Fault{Status: 403}, fabric.Refused, false},
		{"the list can't be read", "GET", emulator.Fault{Status: 503, Times: -1}, fabric.Later, false},
		{"the list may not be read", "GET", emulator.Fault{Status: 403, Times: -1}, fabric.Refused, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, emulator.Options{}, Options{}, func(t *testing.T, r *rig) {
				job := r.create(t, "jobs/daily", "daily")
				tt.fault.Pattern = tt.method + " " + permissionsPath + "*"
				r.e.Fault(tt.fault)
				o := r.w.Do(t.Context(), step(permission(job, "group g CAN_VIEW")), r.journal)
				if o.Status != tt.status || (len(r.journal.open) == 1) != (tt.status == fabric.Doubtful) {
					t.Errorf("%+v, %d intents open", o, len(r.journal.open))
				}
				if n := r.e.Count("PUT *"); n > 1 {
					t.Errorf("%d writes", n)
				}
				if effect := slices.Contains(r.e.Access(numberOf(t, job.ID)), "group_name g CAN_VIEW"); effect != tt.effect {
					t.Errorf("in effect: %v", effect)
				}
			})
		})
	}
}

// Each look reads two lists, those whose last read is the longest ago, and gives of the others what was read last.
func TestListsInTurn(t *testing.T) {
	inBubble(t, emulator.Options{}, Options{}, func(t *testing.T, r *rig) {
		var owned []fabric.Owned
		ids := map[string]string{}
		for i := range 5 {
			key := fabric.Key(fmt.Sprint("jobs/", i))
			id := r.create(t, string(key), string(key)).ID
			ids[id] = string(key)
			owned = append(owned, fabric.Owned{Owner: fabric.Owner{Deployment: "shop@test", Key: fabric.Attach(key, Permissions)}, Kind: Permissions, ID: id})
		}
		foreign, err := r.e.CreateJob([]byte(`{"name":"theirs"}`))
		if err != nil {
			t.Fatal(err)
		}
		owned = append(owned, fabric.Owned{Kind: Permissions, ID: strconv.FormatInt(foreign, 10)})
		look := func(s fabric.Scope) (read map[string]time.Time, unread int) {
			t.Helper()
			time.Sleep(time.Minute)
			live, err := r.w.Observe(t.Context(), s)
			if err != nil {
				t.Fatal(err)
			}
			read = map[string]time.Time{}
			for _, o := range live.Objects() {
				switch {
				case o.Kind == Job:
				case o.Unread:
					unread++
				default:
					read[o.ID] = o.Read
				}
			}
			return read, unread
		}
		last := map[string]time.Time{}
		for n, want := range []int{2, 4, 5, 5, 5} { // known after so many looks
			r.e.ResetJournal()
			read, _ := look(fabric.Scope{Owned: owned})
			if len(read) != want || r.e.Count("GET "+permissionsPath+"*") != leastInTurn {
				t.Errorf("look %d: %d lists are known after %d reads", n, len(read), r.e.Count("GET "+permissionsPath+"*"))
			}
			last = read
		}
		oldest := slices.MinFunc(slices.Collect(maps.Values(last)), time.Time.Compare)
		if age := time.Since(oldest); age > 2*time.Minute {
			t.Errorf("the oldest was read %s ago", age)
		}

		// One that is written is read next, and so is one that somebody asks for.
		victim := owned[3]
		written := permission(fabric.Object{ID: victim.ID}, "group g CAN_VIEW")
		if o := r.w.Do(t.Context(), step(written), r.journal); o.Status != fabric.Done {
			t.Fatal(o.Err)
		}
		if read, _ := look(fabric.Scope{Owned: owned}); time.Since(read[victim.ID]) != 0 {
			t.Errorf("the one that was written was read at %s", read[victim.ID])
		}
		r.e.ResetJournal()
		if read, _ := look(fabric.Scope{Only: owned[:1]}); len(read) != 1 || time.Since(read[owned[0].ID]) != 0 || r.e.Count("*") != 1 {
			t.Errorf("asked for one: %v, %d requests", read, r.e.Count("*"))
		}

		// A refusal is not emptiness. The first may be a passing one; of one that stays nothing is known any more.
		r.e.Fault(emulator.Fault{Pattern: "GET " + permissionsPath + victim.ID, Status: 403, Times: -1})
		for _, want := range []int{0, 1} {
			read, unread := look(fabric.Scope{Only: []fabric.Owned{victim}})
			if unread != want || len(read) != 1-want {
				t.Errorf("%d known and %d unread, want %d unread", len(read), unread, want)
			}
		}
		r.e.ClearFaults()
		if read, unread := look(fabric.Scope{Only: []fabric.Owned{victim}}); len(read) != 1 || unread != 0 {
			t.Errorf("it can be read again: %v, %d unread", read, unread)
		}
		r.e.Fault(emulator.Fault{Pattern: "GET " + permissionsPath + "*", Status: 503, Times: -1})
		if _, err := r.w.Observe(t.Context(), fabric.Scope{Only: owned[:1]}); err == nil {
			t.Error("a list that was asked for and can't be read is no error")
		}
		if read, unread := look(fabric.Scope{Owned: owned}); len(read) != 5 || unread != 0 {
			t.Errorf("in turn it is none: %d known, %d unread", len(read), unread)
		}
	})
}
