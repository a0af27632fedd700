package gitwatch

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestParseAddress(t *testing.T) {
	for text, want := range map[string]string{
		"https://git.example.com/data/hello.git":    "https://git.example.com/data/hello.git",
		"https://org@dev.azure.com/org/p/_git/shop": "https://org@dev.azure.com/org/p/_git/shop",
		"https://git.example.com:8443/a%20b.git":    "https://git.example.com:8443/a%20b.git",
		"http://127.0.0.1:3000/shop.git":            "http://127.0.0.1:3000/shop.git",
		"http://[::1]:3000/shop.git":                "http://[::1]:3000/shop.git",
		"ssh://git@git.example.com:2222/shop.git":   "ssh://git@git.example.com:2222/shop.git",
		"git@git.example.com:data/hello.git":        "git@git.example.com:data/hello.git",
		"git.example.com:data/hello.git":            "git.example.com:data/hello.git",
		"file:///srv/git/shop.git":                  "file:///srv/git/shop.git",
		"file://localhost/srv/git/../git/shop.git":  "file:///srv/git/shop.git",
	} {
		a, err := parseAddress(text)
		if err != nil || a.String() != want {
			t.Errorf("%s: %s, %v", text, a, err)
			continue
		}
		if again, err := parseAddress(a.String()); err != nil || again != a { // the child parses it again
			t.Errorf("%s: %+v becomes %+v, %v", text, a, again, err)
		}
	}
	for text, says := range map[string]string{
		"":                                "empty",
		"/srv/git/shop.git":               "needs a scheme",
		"shop":                            "needs a scheme",
		"http://git.example.com/shop.git": "not encrypted",
		"git://git.example.com/shop.git":  "not supported",
		"ext::sh -c whoami":               "space",
		"ext::whoami":                     "needs a scheme",
		"-oProxyCommand=x:y":              "needs a scheme",
		"ssh://-oProxyCommand=x/shop.git": "names no host",
		"https://ci:" + canary + "@git.example/x":   "holds a password",
		"https://git.example.com/x?token=" + canary: "query",
		"https://git.example.com/":                  "no repository",
		"https:///shop.git":                         "names no host",
		"https://git.example.com/a\x00b":            "control character",
		"https://git.example.com/a%00b":             "control character",
		"file://server/share/shop.git":              "absolute path",
		"https://[" + canary + "/x":                 "not a URL",
	} {
		_, err := parseAddress(text)
		if err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), canary) {
			t.Errorf("%q: %v, want %q", text, err, says)
		}
	}
}

func TestSSHNeedsKnownHosts(t *testing.T) {
	for _, auth := range []Auth{{SSHKey: canary}, {KnownHosts: "/etc/known_hosts"}} {
		if _, err := Open(Options{Dir: t.TempDir(), URL: "git@git.example.com:shop.git", Auth: auth}); err == nil || !strings.Contains(err.Error(), "needs") {
			t.Errorf("%v", err)
		}
	}
}

func TestAuthDoesNotPrint(t *testing.T) {
	auth := Auth{canary, canary, canary, canary}
	var out bytes.Buffer
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		fmt.Fprintf(&out, format, auth)
		fmt.Fprintf(&out, format, &auth)
		fmt.Fprintf(&out, format, Options{Auth: auth})
	}
	fmt.Fprint(&out, auth.String(), auth.GoString())
	if err := json.NewEncoder(&out).Encode(map[string]any{"a": auth, "b": &auth}); err != nil {
		t.Error(err)
	}
	if strings.Contains(out.String(), canary) || strings.Contains(out.String(), fmt.Sprintf("%x", canary)) || !strings.Contains(out.String(), redactedAuth) {
		t.Errorf("output %s", out.String())
	}
}

// FuzzRefName checks our rules against git's: a name that we take, git takes.
func FuzzRefName(f *testing.F) {
	for _, seed := range []string{
		"refs/heads/main", "refs/tags/Shop/1.0.0", "refs/tags/flo.osinski/v1.2.4", "refs/tags/a..b", "refs/heads/a.lock/b",
		"refs/heads/-x", "refs/tags/../../config", "refs/heads/a\\b", "refs/heads/\x1b[31m", "refs/heads/@{u}", "refs/heads//a", "HEAD", "refs/heads/ä",
	} {
		f.Add(seed)
	}
	git, err := exec.LookPath("git")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if oddRefName(name) != "" {
			return
		}
		if strings.Contains(name, "..") || strings.ContainsFunc(name, deceptive) || !strings.HasPrefix(name, "refs/") {
			t.Errorf("%q is taken", name)
		}
		if err := exec.Command(git, "check-ref-format", name).Run(); err != nil {
			t.Errorf("git does not take %q: %v", name, err)
		}
	})
}

func FuzzAdvertisement(f *testing.F) {
	id := strings.Repeat("a", 40)
	f.Add([]byte("001e# service=git-upload-pack\n0000003f" + id + " refs/heads/main\x00ofs\n0000"))
	f.Add([]byte("0000"))
	f.Add([]byte("0008ERR x"))
	f.Add([]byte("fff0"))
	f.Fuzz(func(t *testing.T, input []byte) {
		adv, err := readAdvertisement(bytes.NewReader(input), "fuzz", 10)
		if err != nil {
			if adv != nil {
				t.Error("an error with a list")
			}
			if !utf8.ValidString(err.Error()) || strings.ContainsFunc(err.Error(), deceptive) {
				t.Errorf("%q is not fit to print", err)
			}
			return
		}
		if !bytes.Contains(input, []byte("0000")) {
			t.Error("a list without an end is taken")
		}
		for _, ref := range adv.refs {
			if oddRefName(ref.Name) != "" || !isObjectID(ref.Object) {
				t.Errorf("ref %+v", ref)
			}
		}
	})
}

func FuzzPrintable(f *testing.F) {
	f.Add("a\x1b[31mb", 3)
	f.Add("ä\xff\u202e", 1)
	f.Fuzz(func(t *testing.T, text string, max int) {
		max &= 0xff
		got := printable(text, max)
		if strings.ContainsFunc(got, deceptive) || !utf8.ValidString(got) || len(got) > max+3 {
			t.Errorf("%q becomes %q", text, got)
		}
	})
}
