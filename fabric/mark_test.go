package fabric

import (
	"regexp"
	"strings"
	"testing"
)

func TestSlug(t *testing.T) {
	portable := regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
	seen := map[string]string{}
	for _, name := range []string{
		"", "-", "a", "A", "jobs/daily_revenue", "jobs/daily-revenue", "jobs/Daily_revenue", "hello@production", "日本", "İstanbul",
		strings.Repeat("a", 49) + "-b", strings.Repeat("x", 10_000), strings.Repeat("x", 10_001), "\x00", "a\x00", "\xff", "../..", " ", "a b", "jobs/a" + strings.Repeat("/", 60),
	} {
		s := Slug(name)
		if !portable.MatchString(s) {
			t.Errorf("Slug(%.20q) = %q", name, s)
		}
		if other, taken := seen[s]; taken {
			t.Errorf("%.20q and %.20q share %q", name, other, s)
		}
		seen[s] = name
		if Slug(name) != s {
			t.Errorf("Slug(%.20q) is not the same twice", name)
		}
	}
	if got := Slug("jobs/daily_revenue"); !strings.HasPrefix(got, "jobs-daily-revenue-") {
		t.Errorf("a person does not recognise %q", got)
	}
}

func TestMarkOwns(t *testing.T) {
	o := Owner{Deployment: "hello@production", Key: "jobs/daily"}
	m := MarkOf("inst", o, "n1")
	if !m.Owns("inst", o) {
		t.Error("not its own")
	}
	for _, other := range []Owner{{"hello@qa", "jobs/daily"}, {"hello@production", "jobs/other"}, {"HELLO@production", "jobs/daily"}, {}} {
		if m.Owns("inst", other) {
			t.Errorf("owned by %v", other)
		}
	}
	if m.Owns("other", o) || m.Owns("", o) || (Mark{}).Owns("", Owner{}) {
		t.Error("owned by another installation, or without a mark")
	}
	if a, b := NewNonce(), NewNonce(); a == b || len(a) != 32 {
		t.Errorf("nonces %q and %q", a, b)
	}
}
