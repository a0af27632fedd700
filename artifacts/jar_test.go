package artifacts

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const scalaYML = "name: S\nlanguage: scala\npipelines:\n  pipelines/a: {}\njobs:\n  jobs/daily:\n    scheduler: {Databricks: {}}\n"

func scalaTree() memTree {
	return tinyTree(uses("pipelines/a", "a_2.12.jar", "")).with(ProjectFile, scalaYML).
		with("pipelines/a/code/pom.xml", "<project/>\n").with("pipelines/a/code/src/main/resources/config/prod.json", "{}\n")
}

// A Scala pipeline has the jars that were put into the store for its code, whoever built them.
func TestBuildScala(t *testing.T) {
	w := newWorkshop(t)
	tree := scalaTree()
	before, findings := build(t, w.builder(noChild), tree, "c1")
	const want = "jar_missing no jar of a Scala pipeline of the job is known, and building Scala comes later: its live job stays as it is: pipelines/a"
	if got := reasons(before); len(got) != 1 || got[0] != want || len(findings) != 1 || before.Pipelines[0].Jars != nil {
		t.Errorf("without a jar: %q, %v", got, findings)
	}
	code := before.Pipelines[0].Tree
	first, err := w.builder(noChild).AddJar(code, "2.12", "a_2.12.jar", strings.NewReader("PK one"))
	if err != nil {
		t.Fatal(err)
	}
	if again, err := w.builder(noChild).AddJar(code, "2.12", "a_2.12.jar", strings.NewReader("PK two")); err != nil || again != first {
		t.Errorf("a second build of the same code: %+v instead of %+v, %v", again, first, err)
	}
	one, findings := build(t, w.builder(noChild), tree, "c1")
	if diff := cmp.Diff(map[string]*Artifact{"2.12": &first}, one.Pipelines[0].Jars); diff != "" || len(findings) > 0 {
		t.Errorf("jars (-want +got):\n%s%v", diff, findings)
	}
	if diff := cmp.Diff([]Artifact{first}, one.Artifacts); diff != "" || one.Digest == before.Digest {
		t.Errorf("artifacts (-want +got):\n%s", diff)
	}
	if content, err := w.store.Read(first.SHA256); err != nil || string(content) != "PK one" {
		t.Errorf("%q, %v", content, err)
	}
	second, err := w.builder(noChild).AddJar(code, "2.13", "a_2.13.jar", strings.NewReader("PK three"))
	if err != nil {
		t.Fatal(err)
	}
	both, _ := build(t, w.builder(noChild), tree, "c1")
	if diff := cmp.Diff(map[string]*Artifact{"2.12": &first, "2.13": &second}, both.Pipelines[0].Jars); diff != "" || both.Digest == one.Digest {
		t.Errorf("jars (-want +got):\n%s", diff)
	}
	changed, _ := build(t, w.builder(noChild), tree.with("pipelines/a/code/pom.xml", "<other/>\n"), "c1")
	if changed.Pipelines[0].Jars != nil || len(changed.Jobs[0].Blocked) != 1 {
		t.Errorf("the jars of other code: %+v", changed.Pipelines[0])
	}
	corrupt(t, w.store, first.SHA256, "PK")
	mended, err := w.builder(noChild).AddJar(code, "2.12", "a_2.12.jar", strings.NewReader("PK two"))
	if err != nil || mended == first {
		t.Errorf("a corrupt jar is not replaced: %+v, %v", mended, err)
	}
}

// A wheel is never taken for a jar, nor a jar for the wheel of the same folder.
func TestJarsAndWheels(t *testing.T) {
	w := newWorkshop(t)
	tree := tinyTree(uses("pipelines/a", ownWheel, ""))
	r, _ := build(t, w.builder(thisBinary), tree, "c1")
	code := r.Pipelines[0].Tree
	if w.builder(noChild).jars(code) != nil {
		t.Error("a wheel is a jar")
	}
	if _, err := w.builder(noChild).AddJar(code, "2.12", "a.jar", strings.NewReader("PK")); err != nil {
		t.Fatal(err)
	}
	again, _ := build(t, w.builder(noChild), tree, "c1")
	if diff := cmp.Diff(r, again); diff != "" {
		t.Errorf("(-before +after):\n%s", diff)
	}
}

func TestAddJarRefuses(t *testing.T) {
	for _, c := range []struct{ tree, version, name, want string }{
		{"", "2.12", "a.jar", "add the jar a.jar: expected the digest of the code folder that it was built from"},
		{"t", "2.11", "a.jar", `add the jar a.jar: Scala version "2.11"; expected one of 2.12, 2.13`},
		{"t", "2.12", "x/a.jar", `add the jar "x/a.jar": expected the name of a jar file, without a folder`},
		{"t", "2.12", ".jar", `add the jar ".jar": expected the name of a jar file, without a folder`},
		{"t", "2.12", "a.whl", `add the jar "a.whl": expected the name of a jar file, without a folder`},
		{"t", "2.12", "a\n.jar", `add the jar "a\n.jar": expected the name of a jar file, without a folder`},
	} {
		if _, err := newWorkshop(t).builder(noChild).AddJar(c.tree, c.version, c.name, strings.NewReader("PK")); err == nil || err.Error() != c.want {
			t.Errorf("%+v: %v", c, err)
		}
	}
}
