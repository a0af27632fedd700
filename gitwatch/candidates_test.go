package gitwatch

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"selvage/configs"
)

func names(revisions []Revision) []string {
	names := make([]string, len(revisions))
	for i, r := range revisions {
		names[i] = r.Name
	}
	return names
}

func codesOf(findings []configs.Finding) []string {
	var codes []string
	for _, f := range findings {
		codes = append(codes, string(f.Code)+" "+f.Subject)
	}
	return codes
}

func TestCandidates(t *testing.T) {
	o := newOrigin(t)
	id := o.commit("main", map[string]string{"a": "1"})
	blob := git(t, o.dir, "text", "hash-object", "-w", "--stdin")
	for _, tag := range []string{
		"Order/1.9.0", "Order/1.10.0", "Order/1.10.0-rc.1", "Order/v1.2", "Order/22.0.0",
		"Lenient/v1", "Lenient/1.00", "Lenient/v3345e456", "Lenient/hghj", "Lenient/2", "Lenient/01.2", "Lenient/1.2.3.4", "Lenient/v1-release",
		"Tie/1.0", "Tie/1.0.0", "Tie/v1.0.0",
		"flo.osinski/v1.2.4", "Deep/er/1.0.0",
	} {
		o.tag(tag, id)
	}
	o.git("update-ref", "refs/tags/v0.19.0", id)
	o.git("update-ref", "refs/tags/Odd/1.0.0", blob)
	o.git("update-ref", "refs/tags/Odd/2.0.0", o.git("rev-parse", id+"^{tree}"))
	o.git("update-ref", "refs/tags/Odd/3.0.0", o.git("rev-parse", "refs/tags/Order/22.0.0")) // parked under another name
	o.git("update-ref", "refs/tags/Odd/-4.0.0", id)
	url, _ := o.serve()
	r := openAt(t, url)
	poll(t, r, Follow{Tag: "**"}, followMain)

	tests := []struct {
		follow   Follow
		want     []string
		findings []string // beside those of odd refs, which every tag pattern shows
	}{
		{Follow{Tag: "Order/*"}, []string{"Order/22.0.0", "Order/1.10.0", "Order/1.10.0-rc.1", "Order/1.9.0", "Order/v1.2"},
			[]string{"tag_skipped Order/1.10.0", "tag_skipped Order/1.10.0-rc.1", "tag_skipped Order/1.9.0", "tag_skipped Order/v1.2"}},
		{Follow{Tag: "Order/*", Order: Tagged}, []string{"Order/22.0.0", "Order/v1.2", "Order/1.10.0-rc.1", "Order/1.10.0", "Order/1.9.0"},
			[]string{"tag_skipped Order/v1.2", "tag_skipped Order/1.10.0-rc.1", "tag_skipped Order/1.10.0", "tag_skipped Order/1.9.0"}},
		{Follow{Tag: "Lenient/*"}, []string{"Lenient/2", "Lenient/1.2.3.4", "Lenient/01.2", "Lenient/1.00", "Lenient/v1", "Lenient/v1-release", "Lenient/hghj", "Lenient/v3345e456"},
			[]string{"tag_skipped Lenient/1.2.3.4", "tag_skipped Lenient/01.2", "tag_skipped Lenient/1.00", "tag_skipped Lenient/v1", "tag_skipped Lenient/v1-release",
				"tag_unparsable Lenient/hghj", "tag_unparsable Lenient/v3345e456"}},
		{Follow{Tag: "Lenient/[hv]*[!1-9]"}, []string{"Lenient/v1-release", "Lenient/hghj"}, []string{"tag_unparsable Lenient/hghj"}},
		{Follow{Tag: "Lenient/hghj"}, []string{"Lenient/hghj"}, []string{"tag_unparsable Lenient/hghj"}},
		{Follow{Tag: "Lenient/{hghj,v3345e456}", Order: Tagged}, []string{"Lenient/hghj", "Lenient/v3345e456"}, []string{"tag_skipped Lenient/v3345e456"}},
		{Follow{Tag: "Tie/*"}, []string{"Tie/v1.0.0", "Tie/1.0.0", "Tie/1.0"},
			[]string{"tag_skipped Tie/1.0.0", "tag_skipped Tie/1.0"}},
		{Follow{Tag: "Odd/*"}, []string{"Odd/3.0.0"},
			[]string{"tag_not_commit Odd/1.0.0", "tag_not_commit Odd/2.0.0", "tag_renamed Odd/3.0.0"}},
		{Follow{Tag: "v*"}, []string{"v0.19.0"}, nil},
		{Follow{Tag: "flo.osinski/*"}, []string{"flo.osinski/v1.2.4"}, nil},
		{Follow{Tag: "Deep/*"}, []string{}, []string{"ref_missing Deep/*"}},
		{Follow{Tag: "Deep/**"}, []string{"Deep/er/1.0.0"}, nil},
		{Follow{Branch: "main"}, []string{"main"}, nil},
		{Follow{Branch: "gone"}, []string{}, []string{"ref_missing gone"}},
	}
	for _, test := range tests {
		t.Run(test.follow.String()+" "+string(test.follow.Order), func(t *testing.T) {
			revisions, findings, err := r.Candidates(t.Context(), test.follow)
			if err != nil {
				t.Fatal(err)
			}
			findings = append(findings, PassedOver(test.follow, revisions)...)
			if d := cmp.Diff(test.want, names(revisions)); d != "" {
				t.Errorf("candidates (-want +got):\n%s", d)
			}
			if test.follow.Tag != "" {
				test.findings = append([]string{`ref_odd "refs/tags/Odd/-4.0.0"`}, test.findings...)
			}
			if d := cmp.Diff(test.findings, codesOf(findings)); d != "" {
				t.Errorf("findings (-want +got):\n%s", d)
			}
		})
	}
}

func TestPassedOverSaysWhere(t *testing.T) {
	var revisions []Revision
	for i := range 30 {
		revisions = append(revisions, Revision{Name: fmt.Sprintf("P/x%d", i), Version: fmt.Sprintf("x%d", i)})
	}
	findings := PassedOver(Follow{Tag: "P/*"}, revisions)
	if n := len(findings); n != maxPassedOver+2 {
		t.Fatalf("%d findings", n)
	}
	for i, want := range map[int]string{
		0:                 `what ends the tag is no version, so that it counts as older than every tag with one: "x0", number 1 of 30 from the newest on`,
		7:                 `what ends the tag is no version, so that it counts as older than every tag with one: "x7", number 8 of 30 from the newest on`,
		maxPassedOver + 1: "the tag was passed over: and 9 more, older than P/x0",
	} {
		if findings[i].Text != want {
			t.Error(findings[i].Text)
		}
	}
	if findings := PassedOver(followMain, revisions[:1]); findings != nil {
		t.Errorf("a branch: %v", findings)
	}
}

func TestRevisionTellsTheTruth(t *testing.T) {
	o := newOrigin(t)
	id := o.commit("main", map[string]string{"a": "1"})
	body := fmt.Sprintf("object %s\ntype commit\ntag Shop/1.0.0\ntagger Lead\x1b[31m \u202eer <lead@shop.example> 1763000000 +0200\n\n\nfirst \x07line\nsecond\n", id)
	tag := git(t, o.dir, body, "hash-object", "-t", "tag", "-w", "--stdin", "--literally")
	o.git("update-ref", "refs/tags/Shop/1.0.0", tag)
	o.git("update-ref", "refs/tags/Shop/light", id)
	nested := git(t, o.dir, fmt.Sprintf("object %s\ntype tag\ntag Shop/nested\ntagger a <b@c> 1763000000 +0000\n\nn\n", tag), "mktag")
	o.git("update-ref", "refs/tags/Shop/nested", nested)
	url, _ := o.serve()
	r := openAt(t, url)
	poll(t, r, followTags, followMain)
	committed := time.Unix(int64(o.clock), 0).UTC()
	tests := map[string]Revision{
		"Shop/1.0.0": {Ref: "refs/tags/Shop/1.0.0", Name: "Shop/1.0.0", Version: "1.0.0", Object: tag, Commit: id, Annotated: true,
			Tagger: "Lead [31m  er <lead@shop.example>", Tagged: time.Unix(1763000000, 0).UTC(), Message: "first  line"},
		"refs/tags/Shop/light": {Ref: "refs/tags/Shop/light", Name: "Shop/light", Version: "light", Object: id, Commit: id,
			Tagged: committed, Message: "change"},
		"Shop/nested": {Ref: "refs/tags/Shop/nested", Name: "Shop/nested", Version: "nested", Object: nested, Commit: id, Annotated: true,
			Tagger: "a <b@c>", Tagged: time.Unix(1763000000, 0).UTC(), Message: "n"},
		"main": {Ref: "refs/heads/main", Name: "main", Object: id, Commit: id, Tagged: committed, Message: "change"},
		id:     {Name: id, Object: id, Commit: id, Tagged: committed, Message: "change"},
	}
	for rev, want := range tests {
		got, err := r.Resolve(t.Context(), rev)
		if err != nil {
			t.Error(err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s (-want +got):\n%s", rev, d)
		}
	}
}

func TestResolveErrors(t *testing.T) {
	o := newOrigin(t)
	id := o.commit("main", map[string]string{"a": "1"})
	blob := o.git("rev-parse", id+":a")
	o.tag("Shop/1.0.0", id)
	o.commit("Shop/1.0.0", map[string]string{"a": "1"})
	o.tag("Shop/2.0.0", id)
	o.git("update-ref", "refs/tags/Shop/blob", blob)
	o.commit("unfollowed", map[string]string{"a": "1"})
	url, _ := o.serve()
	r := openAt(t, url)
	follows := []Follow{followTags, followMain, {Branch: "Shop/1.0.0"}}
	poll(t, r, follows...)
	o.git("update-ref", "-d", "refs/tags/Shop/2.0.0")
	poll(t, r, follows...)

	tests := []struct {
		rev  string
		is   error
		says string
	}{
		{"Shop/1.0.0", nil, "refs/heads/Shop/1.0.0 or refs/tags/Shop/1.0.0"},
		{"Shop/2.0.0", ErrUnknownRevision, "Shop/2.0.0"}, // deleted
		{"Shop/blob", nil, "leads to a blob"},
		{blob, nil, "leads to a blob"},
		{"unfollowed", ErrUnknownRevision, "unfollowed"},
		{"", ErrUnknownRevision, ""},
		{"../../etc/passwd", ErrUnknownRevision, ""},
		{"--upload-pack=x", ErrUnknownRevision, ""},
		{id[:12], ErrUnknownRevision, "full commit id"},
		{strings.Repeat("b", 40), ErrUnknownRevision, "no commit"},
		{"main\x1b[31m", ErrUnknownRevision, `main [31m`},
		{keptPrefix + id, ErrUnknownRevision, ""},
	}
	for _, test := range tests {
		rev, err := r.Resolve(t.Context(), test.rev)
		if err == nil || !strings.Contains(err.Error(), test.says) || (test.is != nil && !errors.Is(err, test.is)) {
			t.Errorf("%q: %v, %v", test.rev, rev, err)
		}
	}
}

// A tag that was seen, but that no Follow of the poll matched, must not look as if it weren't there.
func TestCandidatesNeedWhatTheyFollow(t *testing.T) {
	o := newOrigin(t)
	o.tag("Shop/1.0.0", o.commit("main", map[string]string{"a": "1"}))
	url, _ := o.serve()
	r := openAt(t, url)
	poll(t, r, followMain)
	if revisions, _, err := r.Candidates(t.Context(), followTags); !errors.Is(err, ErrMissingObject) || !strings.Contains(err.Error(), "was not fetched") {
		t.Errorf("%v, %v", revisions, err)
	}
}

func TestFollowCheck(t *testing.T) {
	for f, says := range map[Follow]string{
		{}:                                 "either a branch or a tag",
		{Branch: "main", Tag: "v*"}:        "either a branch or a tag",
		{Branch: "a..b"}:                   "does not allow",
		{Branch: "main", Order: Semver}:    "only tags have an order",
		{Tag: "Shop/["}:                    "malformed",
		{Tag: "Shop/*", Order: "by taste"}: "neither semver nor tagged",
		{Branch: "release/1.x"}:            "",
		{Tag: "Shop/{1,2}.*"}:              "",
	} {
		err := f.Check()
		if (err == nil) != (says == "") || (err != nil && !strings.Contains(err.Error(), says)) {
			t.Errorf("%+v: %v, want %q", f, err, says)
		}
		if says != "" {
			r := openAt(t, "file://"+t.TempDir())
			if _, err := r.Poll(t.Context(), []Follow{f}); err == nil {
				t.Errorf("%+v was polled", f)
			}
		}
	}
}

func TestDamagedMirrorIsAnError(t *testing.T) {
	o := newOrigin(t)
	id := o.commit("main", map[string]string{"dir/a": "1", "dir/b": "2"})
	o.commit("main", map[string]string{"dir/a": "3"})
	url, _ := o.serve()
	damage := map[string]func(t *testing.T, dir string){
		"a lost blob":   func(t *testing.T, dir string) { loseObject(t, dir, o.git("rev-parse", id+":dir/a")) },
		"a lost folder": func(t *testing.T, dir string) { loseObject(t, dir, o.git("rev-parse", id+":dir")) },
		"lost packs": func(t *testing.T, dir string) {
			if err := os.RemoveAll(filepath.Join(dir, "objects")); err != nil {
				t.Fatal(err)
			}
		},
	}
	for name, hurt := range damage {
		t.Run(name, func(t *testing.T) {
			r := openAt(t, url)
			poll(t, r, followMain)
			r.Close()
			hurt(t, r.Dir())
			tree, err := r.Tree(t.Context(), id)
			if err == nil {
				_, err = tree.ReadFile("dir/a")
			}
			if !errors.Is(err, ErrMissingObject) || errors.Is(err, os.ErrNotExist) {
				t.Errorf("error %v", err)
			}
			if _, err := r.Ancestor(t.Context(), strings.Repeat("b", 40), id); !errors.Is(err, ErrMissingObject) {
				t.Errorf("ancestor: %v", err)
			}
		})
	}
	t.Run("garbage in packed-refs", func(t *testing.T) {
		r := openAt(t, url)
		poll(t, r, followMain)
		if err := os.WriteFile(filepath.Join(r.Dir(), "packed-refs"), []byte("what?\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Poll(t.Context(), []Follow{followMain}); err == nil || !strings.Contains(err.Error(), "damaged") {
			t.Errorf("error %v", err)
		}
	})
	t.Run("changed content", func(t *testing.T) {
		r := openAt(t, url)
		poll(t, r, followMain)
		r.Close()
		blob := o.git("rev-parse", id+":dir/a")
		loseObject(t, r.Dir(), blob)
		other := git(t, r.Dir(), "other", "hash-object", "-w", "--stdin")
		if err := os.Rename(loosePath(r.Dir(), other), loosePath(r.Dir(), blob)); err != nil {
			t.Fatal(err)
		}
		tree, err := r.Tree(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tree.ReadFile("dir/a"); err == nil || !strings.Contains(err.Error(), "the mirror is damaged") {
			t.Errorf("error %v", err)
		}
	})
}

func loosePath(dir, id string) string { return filepath.Join(dir, "objects", id[:2], id[2:]) }

// loseObject unpacks a mirror and deletes one object of it.
func loseObject(t *testing.T, dir, id string) {
	t.Helper()
	moved := filepath.Join(t.TempDir(), "pack")
	if err := os.Rename(packDir(dir), moved); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(packDir(dir), 0o750); err != nil {
		t.Fatal(err)
	}
	packs, err := filepath.Glob(filepath.Join(moved, "*.pack"))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range packs {
		content, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		git(t, dir, string(content), "unpack-objects", "-q")
	}
	if err := os.Remove(loosePath(dir, id)); err != nil {
		t.Fatal(err)
	}
}
