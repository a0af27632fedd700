package reconciler

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"selvage/fabric"
	"selvage/fabric/databricks/emulator"
	"selvage/reconciler/ledger"
)

const week = 7 * 24 * time.Hour

// collected asks for the artifacts that nothing names, and returns their paths below the root.
func (s *site) collected(a CollectRequest) []string {
	s.t.Helper()
	a.Fabric, a.By = "production", "lead@shop.example"
	c, err := s.Collect(s.t.Context(), a)
	if err != nil {
		s.t.Fatal(err)
	}
	if c.Removed == a.Dry {
		s.t.Errorf("removed %v", c.Removed)
	}
	var paths []string
	for _, f := range c.Files {
		paths = append(paths, strings.TrimPrefix(f.Path, c.Root+"/"))
	}
	return paths
}

// files are the paths of artifacts in the workspace, below the root.
func (s *site) files(root string) []string {
	var paths []string
	for p := range s.workspace.Files() {
		if rest, ok := strings.CutPrefix(p, root+"/"); ok {
			paths = append(paths, rest)
		}
	}
	slices.Sort(paths)
	return paths
}

// edited changes a pipeline and releases it; it returns what is new among the files.
func (s *site) edited(root, tag string) string {
	s.t.Helper()
	before := s.files(root)
	s.replace("pipelines/clean_orders/code/clean_orders/pipeline.py", "import", "# for "+tag+"\nimport")
	s.commit(tag)
	s.converges()
	var added []string
	for _, p := range s.files(root) {
		if !slices.Contains(before, p) {
			added = append(added, p)
		}
	}
	if len(added) != 1 {
		s.t.Fatalf("%s uploaded %v", tag, added)
	}
	return added[0]
}

// TestCollect: artifacts go that nothing names, and nothing else.
func TestCollect(t *testing.T) {
	t.Parallel()
	for _, root := range []string{"/Workspace/Users/deployer@selvage.example/.selvage/artifacts", "/Volumes/main/selvage/artifacts"} {
		t.Run(strings.Split(root, "/")[1], func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newBubbleSite(t, emulator.Options{})
				if strings.HasPrefix(root, "/Volumes") {
					s.yaml = strings.Replace(s.yaml, "    prophecy_ids", "    artifacts: "+root+"\n    prophecy_ids", 1)
				}
				s.commit("HelloSelvage/1.0.0")
				s.open()
				defer s.sound()
				defer s.shut()
				s.round()
				s.approve("")
				s.converges()
				var first string
				for _, p := range s.files(root) {
					if strings.Contains(p, "clean_orders") {
						first = p
					}
				}
				second := s.edited(root, "HelloSelvage/1.1.0")
				third := s.edited(root, "HelloSelvage/1.2.0")
				all := s.files(root)

				want := func(when string, keep int, want ...string) {
					t.Helper()
					slices.Sort(want)
					if got := s.collected(CollectRequest{Keep: keep, Dry: true}); !slices.Equal(got, want) {
						t.Errorf("%s: keeping %d releases, %v would go; want %v", when, keep, got, want)
					}
				}
				want("at once", 1)
				time.Sleep(week + time.Hour)
				want("a week later", 3)
				want("a week later", 2, first)
				want("a week later", 1, first, second)

				// A job of somebody else names one, with its digest in the midst of a text.
				id, err := s.workspace.CreateJob(fmt.Appendf(nil, `{"name":"foreign","tasks":[{"task_key":"a","spark_python_task":{"python_file":"/x.py","parameters":["--whl=%s/%s"]}}]}`, root, second))
				if err != nil {
					t.Fatal(err)
				}
				want("named by a foreign job", 1, first)
				if err := s.workspace.DeleteJob(id); err != nil {
					t.Fatal(err)
				}

				// Somebody put something beside one, and something of his own below the root.
				note := root + "/" + path.Dir(first) + "/note.txt"
				for _, p := range []string{note, root + "/mine/x.whl", root + "/" + strings.Repeat("ab", 32) + "/x.whl"} {
					if err := s.workspace.SetFile(p, []byte("x")); err != nil {
						t.Fatal(err)
					}
				}
				time.Sleep(week + time.Hour)
				want("beside something foreign", 1, second)

				s.workspace.ResetJournal()
				if got := s.collected(CollectRequest{Keep: 1}); !slices.Equal(got, []string{second}) {
					t.Errorf("removed %v", got)
				}
				left := slices.DeleteFunc(slices.Clone(all), func(p string) bool { return p == second })
				left = append(left, strings.TrimPrefix(note, root+"/"), "mine/x.whl", strings.Repeat("ab", 32)+"/x.whl")
				slices.Sort(left)
				if diff := cmp.Diff(left, s.files(root)); diff != "" {
					t.Errorf("files (-want +got):\n%s", diff)
				}
				if !slices.Contains(s.files(root), third) {
					t.Error("the live wheel is gone")
				}
				s.converges()

				// Back to the release that had it: it is put there again, and the job runs it.
				s.approve("HelloSelvage/1.1.0")
				s.converges()
				if !slices.Contains(s.files(root), second) {
					t.Error("after a rollback the wheel is not there")
				}
				if open := s.log.OpenIntents(); len(open) > 0 {
					t.Errorf("open: %v", open)
				}
			})
		})
	}
}

// TestCollectRefuses: what is not known as a whole removes nothing.
func TestCollectRefuses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const root = "/Workspace/Users/deployer@selvage.example/.selvage/artifacts"
		guests := map[string][]string{}
		s := newBubbleSite(t, emulator.Options{Guests: guests})
		s.commit("HelloSelvage/1.0.0")
		s.open()
		defer s.sound()
		defer s.shut()
		s.round()
		s.approve("")
		s.converges()
		s.edited(root, "HelloSelvage/1.1.0")
		time.Sleep(week + time.Hour)
		before := s.files(root)
		ask := CollectRequest{Fabric: "production", Keep: 1, By: "lead@shop.example"}
		refused := func(why string, a CollectRequest) {
			t.Helper()
			c, err := s.Collect(t.Context(), a)
			if err == nil || !strings.Contains(err.Error(), why) || c.Removed {
				t.Errorf("%v; want %q", err, why)
			}
			if diff := cmp.Diff(before, s.files(root)); diff != "" {
				t.Fatalf("%s: files (-want +got):\n%s", why, diff)
			}
		}
		refused(`unknown fabric "qa"`, CollectRequest{Fabric: "qa", Keep: 1, By: "x"})
		refused("at least the last one", CollectRequest{Fabric: "production", By: "x"})
		refused("nobody asked", CollectRequest{Fabric: "production", Keep: 1})

		s.workspace.Fault(emulator.Fault{Pattern: "GET /api/2.2/jobs/list", Status: 400, Times: -1})
		refused("list jobs", ask)
		s.workspace.ClearFaults()
		s.workspace.Fault(emulator.Fault{Pattern: "GET /api/2.0/workspace/list", Offset: 1, Status: 403, Times: -1})
		refused("list "+root, ask)
		s.workspace.ClearFaults()

		// The list ends early and says that this is all of it.
		s.workspace.Fault(emulator.Fault{Pattern: "GET /api/2.2/jobs/list", Status: 200, Body: `{"has_more":false}`, Times: -1})
		refused("is there and not in the list of 0", ask)
		s.workspace.ClearFaults()

		guests["deployer@selvage.example"] = nil
		time.Sleep(2 * time.Hour) // who logs in is asked again
		refused("a job that does not show may name an artifact", ask)
		delete(guests, "deployer@selvage.example")
		time.Sleep(2 * time.Hour)

		if err := s.Suspend(t.Context(), Suspension{Target: "production", By: "lead", Why: "quarter close"}); err != nil {
			t.Fatal(err)
		}
		refused("quarter close", ask)
		if err := s.Resume(t.Context(), "production", "lead"); err != nil {
			t.Fatal(err)
		}

		// A document that was sent is lost: it may have named anything.
		s.mu.Lock()
		var sent string
		for _, a := range s.state.applied[deployment] {
			sent = a.Sent
		}
		s.mu.Unlock()
		blob := filepath.Join(s.dir, "state", "documents", sent[:2], sent)
		if err := os.Rename(blob, blob+".away"); err != nil {
			t.Fatal(err)
		}
		refused("read what was sent", ask)
		if err := os.Rename(blob+".away", blob); err != nil {
			t.Fatal(err)
		}

		// The answer is lost: it is done again, and nothing stays open.
		s.workspace.Fault(emulator.Fault{Pattern: "POST /api/2.0/workspace/delete", Status: 500, Times: -1})
		refused("later", ask)
		s.workspace.ClearFaults()
		if open := s.log.OpenIntents(); len(open) > 0 {
			t.Errorf("open: %v", open)
		}
		c, err := s.Collect(t.Context(), ask)
		if err != nil || len(c.Files) != 1 || len(s.files(root)) != len(before)-1 {
			t.Errorf("%v: %+v", err, c)
		}
	})
}

// TestCollectKeepsWhatFilesName: a script names the profile that it reads, and no job does.
func TestCollectKeepsWhatFilesName(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const root = "/Workspace/Users/deployer@selvage.example/.selvage/artifacts"
		s := newBubbleSite(t, emulator.Options{})
		s.commit("HelloSelvage/1.0.0")
		s.open()
		defer s.sound()
		defer s.shut()
		s.round()
		profile, script, other := strings.Repeat("1", 64)+"/profiles.yml", strings.Repeat("2", 64)+"/run.sh", strings.Repeat("3", 64)+"/old.sh"
		for p, content := range map[string]string{profile: "x", script: "dbt --profiles-dir " + root + "/" + path.Dir(profile), other: root + "/" + path.Dir(profile)} {
			if err := s.workspace.SetFile(root+"/"+p, []byte(content)); err != nil {
				t.Fatal(err)
			}
			e := ledger.Entry{Kind: kindIntent, Deployment: deployment, Fabric: "production", Intent: p[:32],
				Text: fmt.Sprintf("upload x (1 bytes) to %s/%s", root, p), Data: encode(intentMade{Op: fabric.OpUpload})} // as earlier versions wrote it
			done := ledger.Entry{Kind: kindOutcome, Deployment: deployment, Fabric: "production", Intent: p[:32], Data: encode(outcomeSeen{Results: []resultSeen{{Status: "done"}}})}
			if _, err := s.record(t.Context(), e, done); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := s.workspace.CreateJob(fmt.Appendf(nil, `{"name":"dbt","tasks":[{"task_key":"a","spark_python_task":{"python_file":"%s/%s"}}]}`, root, script)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(week - time.Hour)
		if got := s.collected(CollectRequest{Keep: 1, Dry: true}); len(got) > 0 {
			t.Errorf("too young: %v", got)
		}
		time.Sleep(2 * time.Hour)
		if got := s.collected(CollectRequest{Keep: 1, Dry: true}); !slices.Equal(got, []string{other}) {
			t.Errorf("would go: %v", got)
		}
		// A daemon that was killed while it removed: the next one looks at everything anew.
		e := ledger.Entry{Kind: kindIntent, Fabric: "production", Intent: "killed", Text: "remove 1 artifacts", Data: encode(intentMade{Op: fabric.OpCollect, Paths: []string{root + "/" + other}})}
		if _, err := s.record(t.Context(), e); err != nil {
			t.Fatal(err)
		}
		s.shut()
		s.open()
		if got := s.collected(CollectRequest{Keep: 1}); !slices.Equal(got, []string{other}) {
			t.Errorf("removed: %v", got)
		}
		if open := s.log.OpenIntents(); len(open) > 0 {
			t.Errorf("open: %v", open)
		}
		if diff := cmp.Diff([]string{profile, script}, s.files(root)); diff != "" {
			t.Error(diff)
		}
	})
}
