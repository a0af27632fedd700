package artifacts

import (
	"fmt"
	"io"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// scalaVersions are those that the clusters of the authoring tool's jobs run.
var scalaVersions = []string{"2.12", "2.13"}

// AddJar puts a jar that was built from the code folder with the digest tree into the store, for one
// Scala version ("2.12", "2.13"); the next Build of that folder finds it. name is its file name.
//
// Two builds of one folder seldom give the same bytes. The first jar stays, and is what a second AddJar
// returns: what was tested is what runs.
func (b *Builder) AddJar(tree, scalaVersion, name string, content io.Reader) (Artifact, error) {
	switch {
	case tree == "":
		return Artifact{}, fmt.Errorf("add the jar %s: expected the digest of the code folder that it was built from", name)
	case !slices.Contains(scalaVersions, scalaVersion):
		return Artifact{}, fmt.Errorf("add the jar %s: Scala version %q; expected one of %s", name, scalaVersion, strings.Join(scalaVersions, ", "))
	case name != path.Base(name) || !strings.HasSuffix(name, ".jar") || name == ".jar" || strings.Contains(name, `\`) || !printable(name):
		return Artifact{}, fmt.Errorf("add the jar %q: expected the name of a jar file, without a folder", name)
	}
	note := b.jarNote(tree, scalaVersion)
	if known := b.recall(note, "jar"); known != nil {
		return *known, nil
	}
	sum, size, err := b.store.Put(content)
	if err != nil {
		return Artifact{}, fmt.Errorf("add the jar %s: %w", name, err)
	}
	a := Artifact{SHA256: sum, Name: name, Size: size, Kind: "jar"}
	return a, b.remember(note, a)
}

// jars returns the jars that are known of the code folder with this digest, by Scala version.
func (b *Builder) jars(tree string) map[string]*Artifact {
	var found map[string]*Artifact
	for _, version := range scalaVersions {
		if a := b.recall(b.jarNote(tree, version), "jar"); a != nil {
			if found == nil {
				found = map[string]*Artifact{}
			}
			found[version] = a
		}
	}
	return found
}

// jarNote is the file that says which jar was built from a code folder. Unlike that of a wheel it does
// not depend on BuilderVersion: jars are built elsewhere.
func (b *Builder) jarNote(tree, scalaVersion string) string {
	return filepath.Join(b.built, hexDigest([]byte("selvage jar 1\n"+scalaVersion+"\n"+tree))+".json")
}
