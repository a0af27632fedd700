package reconciler

import (
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"selvage/fabric/databricks/emulator"
)

// Whatever vanishes from the repository, what is live stays live: nothing is deleted and nothing else is written.
func TestNothingVanishes(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		vanish func(*site)
	}{
		{"the live tag", func(s *site) { s.git(s.work, "push", "-q", "origin", ":refs/tags/HelloSelvage/1.1.0") }},
		{"all tags", func(s *site) {
			s.git(s.work, "push", "-q", "origin", ":refs/tags/HelloSelvage/1.1.0", ":refs/tags/HelloSelvage/1.0.0")
		}},
		{"everything", func(s *site) {
			s.git(s.dir, "-C", s.remote, "config", "receive.denyDeleteCurrent", "ignore")
			s.git(s.work, "push", "-q", "origin", ":refs/tags/HelloSelvage/1.1.0", ":refs/tags/HelloSelvage/1.0.0", ":main")
		}},
		{"the project, in a new tag", func(s *site) {
			if err := os.Remove(filepath.Join(s.work, "pbt_project.yml")); err != nil {
				s.t.Fatal(err)
			}
			s.commit("HelloSelvage/1.2.0")
		}},
		{"all files, in a new tag", func(s *site) {
			s.git(s.work, "rm", "-q", "-r", ".")
			s.commit("HelloSelvage/1.2.0")
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newBubbleSite(t, emulator.Options{})
				s.commit("HelloSelvage/1.0.0")
				s.commit("HelloSelvage/1.1.0")
				s.open()
				s.round()
				s.verified(s.approve(""))
				tt.vanish(s)
				s.workspace.ResetJournal()
				for restart := range 2 {
					for range 3 {
						time.Sleep(time.Second)
						s.try() // may be an error: what counts is what is written
					}
					if n := s.workspace.Count("POST *"); n != 0 || len(s.names()) != 3 {
						t.Errorf("%d requests that change something, live %v", n, s.names())
					}
					st, err := s.Status(t.Context(), deployment)
					if err != nil || st[0].Live.Version != "1.1.0" || st[0].Owned != 3 {
						t.Errorf("%+v, %v", st, err)
					}
					s.shut()
					if restart == 0 {
						s.open()
					}
				}
				s.sound()
			})
		})
	}
}
