package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"selvage/configs"
)

func TestMirrorName(t *testing.T) {
	hello := configs.Project{Git: "https://git.example.com/data/hello.git"}
	if got := mirrorName(&hello); !strings.HasPrefix(got, "data-hello-") || len(got) != len("data-hello-")+12 {
		t.Errorf("the mirror of %s is called %s", hello.Git, got)
	}
	same := configs.Project{Name: "another", Path: "b", Git: hello.Git}
	if mirrorName(&same) != mirrorName(&hello) {
		t.Error("two projects of one repository have two mirrors")
	}
	seen := map[string]string{}
	for _, p := range []configs.Project{
		hello,
		{Git: "https://git.example.com/other/data/hello.git"},
		{Git: hello.Git, Auth: configs.GitAuth{Username: "a"}},
		{Git: hello.Git, Auth: configs.GitAuth{Username: "b"}},
		{Git: "git@git.example.com:data/hello.git"},
		{Git: "file:///" + strings.Repeat("x/", 300) + "../../../../etc"},
		{Git: "file:///%2e%2e%2f"},
	} {
		name := mirrorName(&p)
		if other, twice := seen[name]; twice {
			t.Errorf("%s and %s share %s", p.Git, other, name)
		}
		seen[name] = p.Git
		if len(name) > 100 || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789_-") != "" {
			t.Errorf("the mirror of %s is called %q", p.Git, name)
		}
	}
}

// The id is made once, whoever opens the state first, and survives the loss of its file.
func TestInstallationID(t *testing.T) {
	dir := t.TempDir()
	open := func() string {
		t.Helper()
		i := &installation{dir: dir}
		if err := i.lock(); err != nil {
			t.Fatal(err)
		}
		if err := i.Close(); err != nil {
			t.Fatal(err)
		}
		return i.id
	}
	refused := func(why string) {
		t.Helper()
		i := &installation{dir: dir}
		defer i.Close()
		if err := i.lock(); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("lock: %v, want %q", err, why)
		}
	}
	id := open()
	file := filepath.Join(dir, idFile)
	text, err := os.ReadFile(file)
	if err != nil || string(text) != id+"\n" || !idPattern.MatchString(id) {
		t.Fatalf("the file holds %q, %v; the id is %s", text, err, id)
	}
	if again := open(); again != id {
		t.Errorf("the id was %s and is %s", id, again)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if again := open(); again != id {
		t.Errorf("without its file the id is %s, and was %s", again, id)
	}
	if err := os.WriteFile(file, []byte("../../etc\n"), 0o640); err != nil {
		t.Fatal(err)
	}
	refused("does not hold the id of an installation")
	if err := os.WriteFile(file, []byte(id+"\n"), 0o640); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(dir, ledgerDir)); err != nil {
		t.Fatal(err)
	}
	refused("the reconcile log of installation " + id + " is lost")
	if _, err := os.Stat(filepath.Join(dir, ledgerDir)); !os.IsNotExist(err) {
		t.Errorf("a new log was begun: %v", err)
	}
}
