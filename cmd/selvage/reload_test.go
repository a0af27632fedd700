package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"

	"selvage/configs"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// kubernetes lays a file out as a mounted ConfigMap has it, and returns a function that swaps it for another.
func kubernetes(t *testing.T, dir string) (swap func(content string)) {
	n := 0
	swap = func(content string) {
		n++
		version := fmt.Sprintf("..2026_11_%02d", n)
		must(t, os.Mkdir(filepath.Join(dir, version), 0o755))
		must(t, os.WriteFile(filepath.Join(dir, version, "selvage.yaml"), []byte(content), 0o644))
		must(t, os.Symlink(version, filepath.Join(dir, "..data_tmp")))
		must(t, os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")))
	}
	swap("first")
	must(t, os.Symlink("..data/selvage.yaml", filepath.Join(dir, "selvage.yaml")))
	return swap
}

func TestFoldersOf(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	must(t, err)
	in := func(names ...string) []string {
		for i, n := range names {
			names[i] = filepath.Join(dir, n)
		}
		return names
	}
	must(t, os.MkdirAll(filepath.Join(dir, "k8s"), 0o755))
	kubernetes(t, filepath.Join(dir, "k8s"))
	must(t, os.MkdirAll(filepath.Join(dir, "v1/conf"), 0o755))
	must(t, os.WriteFile(filepath.Join(dir, "v1/conf/selvage.yaml"), nil, 0o644))
	must(t, os.Symlink("v1", filepath.Join(dir, "current")))
	must(t, os.Symlink("loop", filepath.Join(dir, "loop")))
	must(t, os.Symlink(filepath.Join(dir, "current/conf/selvage.yaml"), filepath.Join(dir, "k8s/link.yaml")))
	for _, c := range []struct {
		path string
		want []string
	}{
		{"v1/conf/selvage.yaml", in("v1/conf")},
		{"v1/conf", in("v1/conf")},
		{"v1/../v1/./conf/selvage.yaml", in("v1/conf")},
		{"current/conf/selvage.yaml", in(".", "v1/conf")},
		{"k8s/selvage.yaml", in("k8s", "k8s/..2026_11_01")},
		{"k8s/link.yaml", in(".", "k8s", "v1/conf")},
		{"v1/conf/absent/there.yaml", in("v1/conf")},
		{"loop/x", in(".")},
	} {
		if diff := cmp.Diff(c.want, foldersOf([]string{dir + "/" + c.path})); diff != "" {
			t.Errorf("%s: -want +got\n%s", c.path, diff)
		}
	}
}

// However a file is replaced, it is noticed; what happens beside it is not taken for a change.
func TestWatchPaths(t *testing.T) {
	write := func(t *testing.T, path, content string) {
		t.Helper()
		must(t, os.WriteFile(path, []byte(content), 0o600))
	}
	for _, c := range []struct {
		name   string
		noise  bool // nothing that is read has changed
		before func(t *testing.T, dir string) (change func())
	}{
		{"written in place", false, func(t *testing.T, dir string) func() {
			write(t, dir+"/selvage.yaml", "first")
			return func() { write(t, dir+"/selvage.yaml", "second") }
		}},
		{"another file renamed over it", false, func(t *testing.T, dir string) func() {
			write(t, dir+"/selvage.yaml", "first")
			return func() {
				write(t, dir+"/.selvage.yaml.swp", "second")
				must(t, os.Rename(dir+"/.selvage.yaml.swp", dir+"/selvage.yaml"))
			}
		}},
		{"removed and made anew", false, func(t *testing.T, dir string) func() {
			write(t, dir+"/selvage.yaml", "first")
			return func() { must(t, os.Remove(dir+"/selvage.yaml")); write(t, dir+"/selvage.yaml", "second") }
		}},
		{"swapped by Kubernetes", false, func(t *testing.T, dir string) func() {
			swap := kubernetes(t, dir)
			return func() { swap("second") }
		}},
		{"its folder replaced", false, func(t *testing.T, dir string) func() {
			must(t, os.Mkdir(dir+"/v1", 0o755))
			must(t, os.Mkdir(dir+"/v2", 0o755))
			write(t, dir+"/v1/selvage.yaml", "first")
			write(t, dir+"/v2/selvage.yaml", "second")
			must(t, os.Symlink("v1/selvage.yaml", dir+"/selvage.yaml"))
			return func() {
				must(t, os.Rename(dir+"/v1", dir+"/v0"))
				must(t, os.Rename(dir+"/v2", dir+"/v1"))
			}
		}},
		{"made where none was", false, func(t *testing.T, dir string) func() {
			return func() { write(t, dir+"/selvage.yaml", "second") }
		}},
		{"a credential", false, func(t *testing.T, dir string) func() {
			return func() { write(t, dir+"/credentials/token", "new") }
		}},
		{"another YAML file beside it", false, func(t *testing.T, dir string) func() {
			return func() { write(t, dir+"/more.yaml", "") }
		}},
		{"a log beside it", true, func(t *testing.T, dir string) func() {
			return func() { write(t, dir+"/daemon.log", "line") }
		}},
		{"the same written again", true, func(t *testing.T, dir string) func() {
			write(t, dir+"/selvage.yaml", "first")
			return func() { write(t, dir+"/selvage.yaml", "first") }
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			must(t, os.Mkdir(dir+"/credentials", 0o755))
			change := c.before(t, dir)
			paths := []string{dir + "/credentials", dir + "/selvage.yaml"}
			w, err := watchPaths(paths)
			must(t, err)
			defer w.close()
			was := contentsOf(paths)
			change()
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			if trigger := w.wait(ctx, nil); trigger != onChange || ctx.Err() != nil {
				t.Errorf("nothing was noticed: %s, %v", trigger, ctx.Err())
			}
			if same := contentsOf(paths) == was; same != c.noise {
				t.Errorf("the contents are the same: %v", same)
			}
		})
	}
}

const reloadYAML = `
state: %[1]s/state
fabrics:
  qa: {databricks: {host: "http://127.0.0.1:1", token: "${credential:qa}"}, prophecy_ids: [4004]}
  production: {databricks: {host: "http://127.0.0.1:2", token: "${credential:production}"}, prophecy_ids: [4004]}
projects:
  hello: {git: "https://git.example/hello.git", auth: {username: u, password: "${credential:git}"}}
  same: {git: "https://git.example/hello.git", auth: {username: u, password: "${credential:git}"}, path: same}
  other: {git: "file://%[1]s/other.git"}
deployments:
  - {project: hello, fabric: qa, follow: {branch: main}, overlay: {tags: {n: "0"}}}
  - {project: other, fabric: production, follow: {branch: main}}
`

// open makes an installation of reloadYAML in a folder with credentials.
func openReloaded(t *testing.T) (i *installation, dir string, load func() (*configs.Config, error)) {
	t.Helper()
	dir = t.TempDir()
	must(t, os.Mkdir(dir+"/credentials", 0o755))
	for _, name := range []string{"qa", "production", "git"} {
		must(t, os.WriteFile(dir+"/credentials/"+name, []byte("canary-"+name), 0o600))
	}
	must(t, os.WriteFile(dir+"/selvage.yaml", fmt.Appendf(nil, reloadYAML, dir), 0o644))
	load = func() (*configs.Config, error) {
		return configs.Load(dir+"/selvage.yaml", configs.Options{Credentials: dir + "/credentials"})
	}
	c, err := load()
	must(t, err)
	i, err = openInstallation(t.Context(), c, zap.NewNop())
	must(t, err)
	t.Cleanup(func() { must(t, i.Close()) })
	return i, dir, load
}

// What stays the same stays open, and what does not is closed.
func TestEquipment(t *testing.T) {
	i, dir, load := openReloaded(t)
	edit := func(old, new string) *configs.Config {
		t.Helper()
		text, err := os.ReadFile(dir + "/selvage.yaml")
		must(t, err)
		if !strings.Contains(string(text), old) {
			t.Fatalf("the file does not hold %q", old)
		}
		must(t, os.WriteFile(dir+"/selvage.yaml", []byte(strings.ReplaceAll(string(text), old, new)), 0o644))
		c, err := load()
		must(t, err)
		return c
	}
	open := func() (n int) {
		i.mu.Lock()
		defer i.mu.Unlock()
		return len(i.parts)
	}
	if open() != 4 { // two mirrors and two fabrics
		t.Fatalf("%d parts are open", open())
	}
	was := i.now
	must(t, i.reload(t.Context(), edit(`{n: "0"}`, `{n: "1"}`), "test"))
	for name := range was.fabrics {
		if i.now.fabrics[name] != was.fabrics[name] {
			t.Errorf("fabric %s was opened anew", name)
		}
	}
	if i.now == was || len(i.now.logins) > 0 || open() != 4 {
		t.Errorf("%d parts are open, %d logins changed", open(), len(i.now.logins))
	}

	must(t, i.reload(t.Context(), edit(`prophecy_ids: [4004]`, `prophecy_ids: [4004, 4005]`), "test"))
	if i.now.fabrics["qa"] != was.fabrics["qa"] {
		t.Error("other ids of a fabric opened it anew")
	}

	// Other values of the same credentials.
	must(t, os.WriteFile(dir+"/credentials/qa", []byte("canary-new"), 0o600))
	must(t, os.WriteFile(dir+"/credentials/git", []byte("canary-new"), 0o600))
	c, err := load()
	must(t, err)
	was = i.now
	must(t, i.reload(t.Context(), c, "test"))
	if i.now.fabrics["qa"] == was.fabrics["qa"] || i.now.fabrics["production"] != was.fabrics["production"] {
		t.Error("the fabric with another token is reached by the same client, or the other by another")
	}
	hello := mirrorName(c.Projects["hello"])
	if i.now.mirrors[hello].repo != was.mirrors[hello].repo || len(i.now.logins) != 1 || open() != 4 {
		t.Errorf("another password: %d logins changed, %d parts are open", len(i.now.logins), open())
	}

	// What is taken out is closed; a reload that fails leaves nothing open.
	text, err := os.ReadFile(dir + "/selvage.yaml")
	must(t, err)
	lines := slices.DeleteFunc(strings.SplitAfter(string(text), "\n"), func(l string) bool {
		return strings.Contains(l, "project: other") || strings.Contains(l, "  other:") || strings.Contains(l, "  production:")
	})
	must(t, os.WriteFile(dir+"/selvage.yaml", []byte(strings.Join(lines, "")), 0o644))
	c, err = load()
	must(t, err)
	must(t, i.reload(t.Context(), c, "test"))
	if open() != 2 {
		t.Errorf("%d parts are open", open())
	}
	c = edit("  hello: {", `  more: {git: "file:///nowhere.git"}`+"\n  hello: {")
	c.State = "/elsewhere"
	if err := i.reload(t.Context(), c, "test"); err == nil || open() != 2 {
		t.Errorf("another state: %v, %d parts are open", err, open())
	}
}

// Twenty writes in a second, most of them broken, lead to a load or two, and the last is in force.
func TestReloadStormOfWrites(t *testing.T) {
	i, dir, load := openReloaded(t)
	var loads, told atomic.Int32
	r := reloader{installation: i, credentials: dir + "/credentials", tell: func(string) { told.Add(1) }, load: func() (*configs.Config, error) {
		loads.Add(1)
		return load()
	}}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	hup := make(chan os.Signal, 1)
	go func() { defer close(ended); r.run(ctx, hup) }()
	defer func() { stop(); <-ended }()
	until := func(what string, ok func() bool) {
		t.Helper()
		for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(20 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%s: not within 20 s", what)
			}
		}
	}
	until("the first look", func() bool { return loads.Load() == 1 })
	time.Sleep(50 * time.Millisecond)
	before, err := i.Configuration(ctx)
	must(t, err)
	head, _ := i.ledger.Head()
	whole := fmt.Sprintf(reloadYAML, dir)
	for n := range 20 {
		text := strings.Replace(whole, `{n: "0"}`, fmt.Sprintf(`{n: "%d"}`, n+1), 1)
		must(t, os.WriteFile(dir+"/selvage.yaml", []byte(text[:len(text)/2]), 0o644)) // as cp does
		time.Sleep(25 * time.Millisecond)
		must(t, os.WriteFile(dir+"/selvage.yaml", []byte(text), 0o644))
		time.Sleep(25 * time.Millisecond)
	}
	until("the reload", func() bool { c, _ := i.Configuration(ctx); return c.Digest != before.Digest })
	time.Sleep(2 * quiet)
	c, err := load()
	must(t, err)
	running, err := i.Configuration(ctx)
	must(t, err)
	if running.Digest != c.Digest || running.Refused.Code != "" {
		t.Errorf("in force is %+v, on disk %s", running, c.Digest)
	}
	if n := loads.Load() - 1; n > 2 {
		t.Errorf("%d loads", n)
	}
	if now, _ := i.ledger.Head(); now != head+1 || told.Load() != 2 {
		t.Errorf("%d entries were written; systemd was told %d times", now-head, told.Load())
	}

	// A signal loads whatever was seen, and systemd hears of it.
	hup <- os.Interrupt
	until("the signal", func() bool { return told.Load() == 4 })
}
