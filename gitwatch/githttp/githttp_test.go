package githttp

import (
	"math/rand"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func git(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_TERMINAL_PROMPT=0",
		"GIT_AUTHOR_NAME=dev", "GIT_AUTHOR_EMAIL=dev@shop.example", "GIT_COMMITTER_NAME=dev", "GIT_COMMITTER_EMAIL=dev@shop.example")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

func TestPushAndClone(t *testing.T) {
	root := t.TempDir()
	git(t, root, "init", "-q", "--bare", "-b", "main", "shop.git")
	counter := Count(RequireBasic(Handler(root), "ci", "secret"))
	s := httptest.NewServer(counter)
	defer s.Close()
	url := strings.Replace(s.URL, "http://", "http://ci:secret@", 1) + "/shop.git"

	work := t.TempDir()
	git(t, work, "init", "-q", "-b", "main")
	content := make([]byte, 3<<20) // more than git sends in one piece: the body comes in chunks
	rand.New(rand.NewSource(1)).Read(content)
	if err := os.WriteFile(filepath.Join(work, "big"), content, 0o600); err != nil {
		t.Fatal(err)
	}
	git(t, work, "add", ".")
	git(t, work, "commit", "-q", "-m", "first")
	git(t, work, "tag", "-a", "-m", "release", "Shop/1.0.0")
	git(t, work, "push", "-q", url, "main", "Shop/1.0.0")
	if got, want := git(t, filepath.Join(root, "shop.git"), "rev-parse", "main"), git(t, work, "rev-parse", "main"); got != want {
		t.Errorf("main is at %s, want %s", got, want)
	}
	clone := filepath.Join(t.TempDir(), "clone")
	git(t, root, "-c", "protocol.version=2", "clone", "-q", url, clone)
	if got, err := os.ReadFile(filepath.Join(clone, "big")); err != nil || string(got) != string(content) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if counter.Lists() == 0 || counter.Fetches() == 0 || counter.Pushes() == 0 {
		t.Errorf("%d lists, %d fetches, %d pushes counted", counter.Lists(), counter.Fetches(), counter.Pushes())
	}

	for name, address := range map[string]string{"no credentials": s.URL, "wrong password": strings.Replace(s.URL, "http://", "http://ci:wrong@", 1)} {
		res, err := http.Get(address + "/shop.git/info/refs?service=git-upload-pack")
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s: status %d", name, res.StatusCode)
		}
	}
}

func TestNothingOutsideTheRoot(t *testing.T) {
	base := t.TempDir()
	root := filepath.Join(base, "root")
	if err := os.Mkdir(root, 0o700); err != nil {
		t.Fatal(err)
	}
	git(t, base, "init", "-q", "--bare", "outside.git")
	s := httptest.NewServer(Handler(root))
	defer s.Close()
	for _, path := range []string{"/../outside.git/HEAD", "/%2e%2e/outside.git/HEAD", "/none.git/HEAD"} {
		req, err := http.NewRequest(http.MethodGet, s.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.URL.Opaque = path
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode == http.StatusOK {
			t.Errorf("%s was served", path)
		}
	}
}
