package databricks

import (
	"strings"
	"testing"
	"time"

	"selvage/fabric"
	"selvage/fabric/databricks/emulator"
)

// TestWhoSeesEveryJob: only an answer that says so proves that the list holds every job.
func TestWhoSeesEveryJob(t *testing.T) {
	const me = "deployer@selvage.example"
	for _, tt := range []struct {
		name   string
		o      emulator.Options
		unseen string
	}{
		{"an admin", emulator.Options{}, ""},
		{"a guest", emulator.Options{Guests: map[string][]string{me: {"admins of nothing"}}}, me + " is not in the group admins of the workspace"},
		{"an answer without groups", emulator.Options{Unverified: emulator.Unverified{GroupsHidden: true}}, "the workspace does not say which groups " + me + " is in"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, root := range []string{"", "/Volumes/main/selvage/artifacts"} {
				r := overTCP(t, tt.o, Options{Root: root})
				for range 3 {
					live := r.look(t)
					if live.Principal != me || live.Unseen != tt.unseen || !live.Complete {
						t.Errorf("principal %q, unseen %q, want %q", live.Principal, live.Unseen, tt.unseen)
					}
					if u := live.Updated(fabric.NewLive(time.Now(), false, "", nil, nil)); u.Unseen != tt.unseen || u.Principal != me {
						t.Errorf("after an update: %q", u.Unseen)
					}
				}
				if n := r.e.Count("GET " + mePath); n != 1 {
					t.Errorf("asked %d times who logs in", n)
				}
				for _, c := range r.w.Check(t.Context()) {
					if c.Name == SeeJobs && (c.OK != (tt.unseen == "") || !strings.Contains(c.Text, tt.unseen)) {
						t.Errorf("check: %+v", c)
					}
				}
			}
		})
	}
}

// TestGuestsSeeTheirOwn: what the list shows to one who is no admin is complete, and proves nothing absent.
func TestGuestsSeeTheirOwn(t *testing.T) {
	r := overTCP(t, emulator.Options{Guests: map[string][]string{"deployer@selvage.example": nil}}, Options{})
	if _, err := r.e.CreateJob([]byte(settings("of others", 1))); err != nil {
		t.Fatal(err)
	}
	mine := r.create(t, "jobs/daily", "daily")
	if live := r.look(t); len(live.Objects()) != 1 || live.Objects()[0].ID != mine.ID {
		t.Errorf("%d jobs", len(live.Objects()))
	}
}

// TestIdentityIsAskedAgain: who is made an admin need not restart the daemon, and an answer that fails changes nothing.
func TestIdentityIsAskedAgain(t *testing.T) {
	guests := map[string][]string{"deployer@selvage.example": nil}
	inBubble(t, emulator.Options{Guests: guests}, Options{}, func(t *testing.T, r *rig) {
		if r.look(t).Unseen == "" {
			t.Fatal("a guest sees all")
		}
		delete(guests, "deployer@selvage.example") // no request is under way
		if r.look(t).Unseen == "" {
			t.Error("asked again at once")
		}
		time.Sleep(identityLife)
		r.e.Fault(emulator.Fault{Pattern: "GET " + mePath, Status: 400, Times: 1})
		if r.look(t).Unseen == "" {
			t.Error("an error proves that it sees all")
		}
		if got := r.look(t).Unseen; got != "" {
			t.Errorf("an admin by now: %s", got)
		}
	})
}
