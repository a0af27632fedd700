package artifacts

import (
	"strings"
	"testing"
)

func TestNormalizeVersion(t *testing.T) {
	for version, want := range map[string]string{
		"1.0":                  "1.0",
		"1":                    "1",
		"01.002.0":             "1.2.0",
		"v3.3":                 "3.3",
		"V3.3":                 "3.3",
		" 1.0\n":               "1.0",
		"1.0.0-rc.1":           "1.0.0rc1",
		"1.0RC":                "1.0rc0",
		"1.0c2":                "1.0rc2",
		"1.0-preview_3":        "1.0rc3",
		"1.0.pre":              "1.0rc0",
		"1.0alpha":             "1.0a0",
		"1.0-b.02":             "1.0b2",
		"1.0-1":                "1.0.post1",
		"1.0-r4":               "1.0.post4",
		"1.0.rev":              "1.0.post0",
		"1.0post":              "1.0.post0",
		"1.0dev":               "1.0.dev0",
		"1.0.dev-456":          "1.0.dev456",
		"1.0a2.post3.dev4":     "1.0a2.post3.dev4",
		"1!2.0":                "1!2.0",
		"0!2.0":                "2.0",
		"3.3.0-dev0+sha.abc":   "3.3.0.dev0+sha.abc",
		"1.0+Ubuntu-01_x":      "1.0+ubuntu.1.x",
		"1.0+000":              "1.0+0",
		"99999999999999999999": "99999999999999999999",
	} {
		if got, err := normalizeVersion(version); err != nil || got != want {
			t.Errorf("%q: got %q, %v; want %q", version, got, err, want)
		}
		if again, err := normalizeVersion(want); err != nil || again != want {
			t.Errorf("%q is not its own normal form: %q, %v", want, again, err)
		}
	}
	for _, version := range []string{
		"", " ", "v", "a", "0.0.1-SNAPSHOT", "1.0-", "1..0", "1.0+", "1.0+a..b", "1.0+ä", "1.0rc1rc2", "1.0 1",
		"1.0\x00", "1.0/../x", "1,0", "-1", "1.0.dev1.post1", "٣", "latest", strings.Repeat("1", 129),
	} {
		if got, err := normalizeVersion(version); err == nil {
			t.Errorf("%q: got %q; want an error", version, got)
		}
	}
}

func FuzzNormalizeVersion(f *testing.F) {
	for _, seed := range []string{"1.0", "v1!2.3-RC.1.post2.dev3+Local-1", "1.0-SNAPSHOT"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, version string) {
		normal, err := normalizeVersion(version)
		if err != nil {
			return
		}
		if again, err := normalizeVersion(normal); err != nil || again != normal {
			t.Errorf("%q: %q is not its own normal form: %q, %v", version, normal, again, err)
		}
		if strings.ContainsAny(normal, "/\\ -\n\x00") {
			t.Errorf("%q: %q does not fit into a file name", version, normal)
		}
	})
}
