package artifacts

import (
	"strings"
	"testing"

	"selvage/configs"
)

// The digest is what people and ledgers know a release by. Here are the bytes behind it, in both forms.
func TestReleaseDigest(t *testing.T) {
	wheel, jar := &Artifact{SHA256: "w1", Name: "a-1.whl", Size: 3, Kind: "wheel"}, &Artifact{SHA256: "j1", Name: "b.jar", Size: 4, Kind: "jar"}
	first := Release{
		Project: "hello", Path: "p", Commit: "c", Version: "1",
		Jobs:      []Job{{Key: "jobs/y", Digest: "d2"}, {Key: "jobs/x", Digest: "d1"}},
		Pipelines: []Pipeline{{Key: "pipelines/a", Tree: "t", Artifact: wheel}, {Key: "pipelines/b", Tree: "u", Language: "scala"}},
	}
	const head = `"Project":"hello","Path":"p","Commit":"c","Jobs":[{"Key":"jobs/x","Digest":"d1"},{"Key":"jobs/y","Digest":"d2"}],"Artifacts":[{"Pipeline":"pipelines/a","Name":"a-1.whl","SHA256":"w1"}]`
	subscribed, jars, configured, sources := first, first, first, first
	sources.Files = []File{{Path: "n/a.py", SHA256: "f1", Notebook: "PYTHON"}}
	sources.Folders = []Folder{{Path: "models", Digest: "t1", Files: []File{{Path: "x.sql", SHA256: "f2"}}}}
	subscribed.Subscribed = []Pipeline{{Key: "7/pipelines/z@1", Artifact: wheel}, {Key: "7/pipelines/b@1", Jars: map[string]*Artifact{"2.13": jar}}}
	jars.Pipelines = []Pipeline{first.Pipelines[0], {Key: "pipelines/b", Jars: map[string]*Artifact{"2.13": jar, "2.12": wheel}}}
	configured.Configurations = []Configuration{{Owner: "o", Name: "qa", File: "f.json", Content: []byte("{}")}, {Owner: "o", Name: "x", File: "g.json", Blocked: &configs.Finding{}}}
	for want, r := range map[string]Release{
		`{"Form":"selvage release 1",` + head + `}`: first,
		`{"Form":"selvage release 2",` + head + `,"Subscribed":[{"Pipeline":"7/pipelines/z@1","Name":"a-1.whl","SHA256":"w1"}],"Jars":[{"Pipeline":"7/pipelines/b@1","Scala":"2.13","Name":"b.jar","SHA256":"j1"}]}`: subscribed,
		`{"Form":"selvage release 2",` + head + `,"Jars":[{"Pipeline":"pipelines/b","Scala":"2.12","Name":"a-1.whl","SHA256":"w1"},{"Pipeline":"pipelines/b","Scala":"2.13","Name":"b.jar","SHA256":"j1"}]}`:         jars,
		`{"Form":"selvage release 2",` + head + `,"Configurations":[{"Owner":"o","Name":"qa","File":"f.json","SHA256":"` + hexDigest([]byte("{}")) + `"},{"Owner":"o","Name":"x","File":"g.json","SHA256":""}]}`:     configured,
		`{"Form":"selvage release 3",` + head + `,"Files":[{"Path":"n/a.py","SHA256":"f1"}],"Folders":[{"Path":"models","SHA256":"t1"}]}`:                                                                            sources,
	} {
		if got := r.digest(); got != hexDigest([]byte(want)) {
			t.Errorf("%s is not the digest of %s", got, want)
		}
	}
	// What the release of an earlier version of this program had for the same content.
	if got := first.digest(); got != "1faf1e1c2c355b1e47650846377a07748964b567ac267ee8d3af18bae5d7d211" {
		t.Errorf("the first form has another digest now: %s", got)
	}
}

func TestRequest(t *testing.T) {
	for file, want := range map[string]string{
		`{"request": {"name": "x"}}`:                                            "request x",
		`{"request": {"CreateNewJobRequest": {"name": "x"}}}`:                   "request.CreateNewJobRequest x",
		`{"request": {"CreateNewJobRequest": {"name": "x"}, "version": "2.1"}}`: "request.CreateNewJobRequest x",
		`{}`:              "request: expected an object, found null",
		`{"request": []}`: "request: expected an object, found a list",
		`{"request": {"CreateNewJobRequest": null}}`:            "request.CreateNewJobRequest: expected an object, found null",
		`{"request": {"CreateNewJobRequest": {}, "tasks": []}}`: "request.CreateNewJobRequest: expected the settings of the job here or in request itself, found both",
	} {
		doc, err := decodeJSON([]byte(file))
		if err != nil {
			t.Fatal(err)
		}
		settings, field, err := Request(doc)
		got := field
		if err != nil {
			got += ": " + err.Error()
		} else {
			got += " " + settings["name"].(string)
		}
		if got != want {
			t.Errorf("%s\ngot  %s\nwant %s", file, got, want)
		}
	}
}

// Configurations are read up to a limit; what is beyond it is not known, and the rest of the project is.
func TestConfigurationLimits(t *testing.T) {
	const folder = ownConfigurations + "/"
	tree := tinyTree()
	state := func(tree memTree) (known, unknown int, err error) {
		p, findings, err := ReadProject(tree, ".")
		if err != nil {
			return 0, 0, err
		}
		for _, c := range p.Configurations {
			if c.Blocked != nil {
				unknown++
				if c.Content != nil {
					t.Errorf("%s is not known and has a content", c.File)
				}
				continue
			}
			known++
		}
		if len(findings) != unknown {
			t.Errorf("%d unknown, findings %v", unknown, findings)
		}
		return known, unknown, nil
	}
	large := tree.with(folder+"small.json", "{}").with(folder+"large.json", strings.Repeat(" ", maxConfiguration+1)).with(folder+"latin.json", "\xff")
	if known, unknown, err := state(large); known != 1 || unknown != 2 || err != nil {
		t.Errorf("one too large, one not UTF-8: %d known, %d not, %v", known, unknown, err)
	}
	many := tree
	for _, name := range strings.Split("a b c d e f g h i j", " ") {
		many = many.with(folder+name+".json", strings.Repeat(" ", maxConfiguration))
	}
	if known, unknown, err := state(many); known != 8 || unknown != 2 || err != nil {
		t.Errorf("too much in all: %d known, %d not, %v", known, unknown, err)
	}
	var yml strings.Builder
	yml.WriteString(string(tree.files[ProjectFile].Data) + "projectConfigurations:\n")
	for _, half := range []string{"p", "q"} {
		yml.WriteString("  projectConfigurations/" + half + ":\n    configurations:\n")
		for i := range maxConfigurations/2 + 1 {
			yml.WriteString("      projectConfigurations/" + half + "/" + strings.Repeat("x", i%7) + string(rune('a'+i%26)) + "-" + hexDigest([]byte{byte(i), byte(i >> 8)})[:12] + ": {}\n")
		}
	}
	if _, _, err := state(tree.with(ProjectFile, yml.String())); err == nil || !strings.Contains(err.Error(), "more than 2000 configurations") {
		t.Errorf("too many: %v", err)
	}
}
