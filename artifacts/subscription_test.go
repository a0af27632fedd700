package artifacts

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"selvage/configs"
)

func TestParseIdentifier(t *testing.T) {
	for id, want := range map[string]Subscription{
		"pipelines/x":                            {Pipeline: "pipelines/x"},
		"pipelines/a b/x.1-2_3":                  {Pipeline: "pipelines/a b/x.1-2_3"},
		"7234/pipelines/x":                       {ProjectID: "7234", Pipeline: "pipelines/x"},
		"__PROJECT_ID_PLACEHOLDER__/pipelines/x": {ProjectID: "__PROJECT_ID_PLACEHOLDER__", Pipeline: "pipelines/x"},
		"gitUri=http://gitserver:3000/t/p.git&subPath=&tag=Base/0.1&projectSubscriptionProjectId=1767&path=pipelines/x": {
			ProjectID: "1767", Git: "http://gitserver:3000/t/p.git", Tag: "Base/0.1", Version: "0.1", Pipeline: "pipelines/x"},
		"gitUri=http://gitserver:3000/t/p.git&subPath=a/b&tag=Base/0.1&path=pipelines/x&projectSubscriptionProjectId=1767": {
			ProjectID: "1767", Git: "http://gitserver:3000/t/p.git", SubPath: "a/b", Tag: "Base/0.1", Version: "0.1", Pipeline: "pipelines/x"},
		"gitUri=git@git.example.com:t/p.git&subPath=/&tag=v22&projectSubscriptionProjectId=&path=pipelines/x": {
			Git: "git@git.example.com:t/p.git", Tag: "v22", Version: "v22", Pipeline: "pipelines/x"},
		"gitUri=https://me@dev.azure.com/o/p/_git/r&tag=dev/Base/1&path=pipelines/x": {
			Git: "https://dev.azure.com/o/p/_git/r", Tag: "dev/Base/1", Version: "1", Pipeline: "pipelines/x"},
		"https://github.com/team/base@Base/1.0/42/pipelines/x":         {ProjectID: "42", Git: "https://github.com/team/base", Tag: "Base/1.0", Version: "1.0", Pipeline: "pipelines/x"},
		"https://github.com/team/base.git/a/b@Base/1.0/42/pipelines/x": {ProjectID: "42", Git: "https://github.com/team/base.git", SubPath: "a/b", Tag: "Base/1.0", Version: "1.0", Pipeline: "pipelines/x"},
		"https://me@github.com/team/base/a@B/1/2/42/pipelines/p/3/x":   {ProjectID: "42", Git: "https://github.com/team/base", SubPath: "a", Tag: "B/1/2", Version: "2", Pipeline: "pipelines/p/3/x"},
		"http://g/t/base.git@B/1/2/pipelines/3/pipelines/x":            {ProjectID: "2", Git: "http://g/t/base.git", Tag: "B/1", Version: "1", Pipeline: "pipelines/3/pipelines/x"},
	} {
		got, refused := parseIdentifier(id)
		if refused != nil {
			t.Errorf("%s: %s", id, refused.text)
			continue
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", id, diff)
		}
	}
}

// Findings are read by everybody: no password from an address is in one.
func TestParseIdentifierSecrets(t *testing.T) {
	for _, id := range []string{
		"gitUri=https://me:hunter2@g/x.git&tag=P/1&path=pipelines/x",
		"gitUri=https://hunter2hunter2hunter2hunter2hunter2@g/x.git&tag=P/1&path=pipelines/x",
		"gitUri=https://:hunter2@[::1%/x.git&tag=P/1&path=pipelines/x",
		"https://me:hunter2@g/t/x.git@P/1/2/pipelines/x",
	} {
		_, refused := parseIdentifier(id)
		if refused == nil || refused.code != configs.SecretInGit || strings.Contains(refused.text, "hunter2") {
			t.Errorf("%s: %+v", id, refused)
		}
	}
	if _, refused := parseIdentifier("https://me:hunter2@g/x"); refused == nil || strings.Contains(refused.text, "hunter2") {
		t.Errorf("%+v", refused)
	}
}

func FuzzParseIdentifier(f *testing.F) {
	f.Add("7234/pipelines/x")
	f.Add("gitUri=http://gitserver:3000/t/p.git&subPath=&tag=Base/0.1&projectSubscriptionProjectId=1767&path=pipelines/x")
	f.Add("https://github.com/team/base.git/a/b@Base/1.0/42/pipelines/x")
	f.Fuzz(func(t *testing.T, id string) {
		s, refused := parseIdentifier(id)
		if refused != nil {
			if refused.text == "" || strings.Contains(refused.text, "\n") {
				t.Errorf("not a sentence: %q", refused.text)
			}
			return
		}
		if !validKey(s.Pipeline, "pipelines") || strings.ContainsAny(s.Key(), "\n\r\x00") {
			t.Errorf("%q: %+v", id, s)
		}
		if s.Tag != "" && s.Version == "" || strings.Contains(s.Version, "/") {
			t.Errorf("%q: tag %q, version %q", id, s.Tag, s.Version)
		}
	})
}
