package databricks

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"selvage/fabric"
	"selvage/fabric/databricks/emulator"
)

// TestCollector: what is listed is ours to be removed or not, and nothing beside it can be removed.
func TestCollector(t *testing.T) {
	one, two := strings.Repeat("1", 64), strings.Repeat("2", 64)
	for _, root := range []string{"/Workspace/Users/deployer@selvage.example/.selvage/artifacts", "/Volumes/main/selvage/artifacts"} {
		t.Run(root, func(t *testing.T) {
			r := overTCP(t, emulator.Options{}, Options{Root: root})
			if names, err := r.w.Folders(t.Context(), root); err != nil || len(names) > 0 {
				t.Errorf("before anything was uploaded: %v, %v", names, err)
			}
			for _, p := range []string{one + "/a.whl", one + "/deep/er/b.py", two + "/c.jar", "mine/x.whl", "loose.whl", strings.ToUpper(strings.Repeat("a", 64)) + "/d.whl"} {
				if err := r.e.SetFile(root+"/"+p, []byte("text of "+p)); err != nil {
					t.Fatal(err)
				}
			}
			names, err := r.w.Folders(t.Context(), root)
			if diff := cmp.Diff([]string{one, two}, names); diff != "" || err != nil {
				t.Errorf("folders: %v\n%s", err, diff)
			}
			roots, err := r.w.Roots(t.Context())
			if err != nil || roots[0] != root || len(roots) > 1 != strings.HasPrefix(root, "/Volumes/") {
				t.Errorf("roots: %v, %v", roots, err)
			}
			files, err := r.w.Files(t.Context(), root, one)
			if err != nil || len(files) != 2 || files[0].Path != root+"/"+one+"/a.whl" || files[1].Path != root+"/"+one+"/deep/er/b.py" ||
				files[0].Size != int64(len("text of "+one+"/a.whl")) || files[0].Modified.IsZero() || files[0].Odd != "" {
				t.Errorf("files: %v, %+v", err, files)
			}
			if content, err := r.w.Content(t.Context(), files[1]); err != nil || string(content) != "text of "+one+"/deep/er/b.py" {
				t.Errorf("content: %v, %q", err, content)
			}
			if content, err := r.w.Content(t.Context(), fabric.File{Path: root + "/" + one + "/none"}); err != nil || content != nil {
				t.Errorf("content of a file that is not there: %v, %q", err, content)
			}
			for _, p := range []string{root, root + "/loose.whl", root + "/mine/x.whl", root + "/" + one, root + "/" + one + "/../loose.whl", "/Workspace/Shared/" + one + "/x"} {
				if res := r.w.Remove(t.Context(), []fabric.File{{Path: p}}, r.journal); res.Status != fabric.Refused {
					t.Errorf("remove %s: %s", p, res.Status)
				}
			}
			if res := r.w.Remove(t.Context(), []fabric.File{{Path: files[0].Path, Odd: "repo"}}, r.journal); res.Status != fabric.Refused {
				t.Errorf("remove something odd: %s", res.Status)
			}
			if len(r.journal.intents) > 0 {
				t.Errorf("%d intents", len(r.journal.intents))
			}
			b := fabric.Blob{Path: files[0].Path, Size: files[0].Size}
			r.w.remember(b)
			res := r.w.Remove(t.Context(), append(files[:1:1], fabric.File{Path: root + "/" + two + "/gone.whl"}), r.journal)
			if res.Status != fabric.Done || r.w.known(b) {
				t.Errorf("remove: %+v, still believed %v", res, r.w.known(b))
			}
			if i := r.journal.intents[0]; len(r.journal.intents) != 1 || i.Op != fabric.OpCollect || len(i.Paths) != 2 || len(r.journal.open) > 0 {
				t.Errorf("intents: %+v", r.journal.intents)
			}
			if res := r.w.Remove(t.Context(), append(files[1:2:2], fabric.File{Path: roots[len(roots)-1] + "/" + two + "/notebook/n"}), r.journal); len(roots) > 1 && res.Status != fabric.Refused {
				t.Errorf("of two roots at once: %s", res.Status)
			}
			if res := r.w.Remove(t.Context(), files[1:], r.journal); res.Status != fabric.Done {
				t.Errorf("remove: %+v", res)
			}
			names, err = r.w.Folders(t.Context(), root)
			if diff := cmp.Diff([]string{two}, names); diff != "" || err != nil { // a folder goes with its last file
				t.Errorf("folders after it: %v\n%s", err, diff)
			}
			if got := r.e.Files(); got[root+"/loose.whl"] == 0 || got[root+"/mine/x.whl"] == 0 || got[root+"/"+two+"/c.jar"] == 0 {
				t.Errorf("left: %v", got)
			}
		})
	}
}

// TestMentionsOfArtifacts: the jobs of all are looked at, wherever a digest stands in them, all pages of each.
func TestMentionsOfArtifacts(t *testing.T) {
	r := overTCP(t, emulator.Options{}, Options{})
	digest := func(s string) string { return strings.Repeat(s, 64) }
	big := doc(t, settings("big", 150)).Object()
	big["tasks"].([]any)[149].(map[string]any)["libraries"] = []any{map[string]any{"whl": "/Volumes/a/b/c/" + digest("1") + "/x.whl"}}
	for _, s := range []string{
		string(fabric.NewDoc(big).Canonical()),
		`{"name":"text","tasks":[{"task_key":"a","spark_python_task":{"python_file":"/x.py","parameters":["{\"whl\":\"\\/Volumes\\/` + digest("2") + `\\/x\"}"]}}]}`,
		`{"name":"no digest","description":"` + strings.Repeat("3", 63) + `"}`,
	} {
		if _, err := r.e.CreateJob([]byte(s)); err != nil {
			t.Fatal(err)
		}
	}
	jobs, unseen, err := r.w.Mentions(t.Context(), fabric.Scope{})
	if err != nil || unseen != "" || len(jobs) != 2 || jobs[digest("1")] == "" || jobs[digest("2")] == "" {
		t.Errorf("%v, %q, %v", jobs, unseen, err)
	}
}
