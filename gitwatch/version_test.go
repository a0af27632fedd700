package gitwatch

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/Masterminds/semver/v3"
	"github.com/google/go-cmp/cmp"
)

// Each line is one version; every line is older than the next one.
var ascending = [][]string{
	{"0", "v0", "0.0.0", "00", "v0.0.0.0+x"},
	{"0.0.1-SNAPSHOT", "0.0.1-SNAPSHOT+sha.0a1b2c3d"},
	{"0.0.1"},
	{"v1-release", "1.0-release"},
	{"v1", "1.0", "1.00", "V1", "01", "1.0.0.0"},
	{"1.0.1-0"},
	{"1.0.1-9", "1.0.1-09"},
	{"1.0.1-10"},
	{"1.0.1-99999999999999999999999999"},
	{"1.0.1-rc"},
	{"1.0.1-rc.1"},
	{"1.0.1-rc.1.0"},
	{"1.0.1-rc.2"},
	{"1.0.1-rc.10"},
	{"1.0.1-rc.x"},
	{"1.0.1-rc1", "1.0.1rc1"},
	{"v1.0.1", "1.0.1+build.7"},
	{"1.2.3dev0", "1.2.3-dev0", "1.2.3dev0+sha.0a1b2c3d"},
	{"1.2.3", "01.02.03"},
	{"1.2.3.4-beta"},
	{"1.2.3.4"},
	{"1.2.3.10"},
	{"1.10"},
	{"3.3a1"},
	{"3.3"},
	{"v6"},
	{"v10"},
	{"22.0.0"},
	{"112"},
	{"3245345634"},
	{"18446744073709551615"},
	{"18446744073709551616"},
	{"99999999999999999999999999999999"},
	{"100000000000000000000000000000000.1"},
}

func TestVersionsAscend(t *testing.T) {
	type one struct {
		text string
		line int
		v    version
	}
	var all []one
	for i, line := range ascending {
		for _, text := range line {
			v, ok := parseVersion(text)
			if !ok {
				t.Fatalf("%s is no version", text)
			}
			all = append(all, one{text, i, v})
		}
	}
	for _, a := range all {
		for _, b := range all {
			want := min(1, max(-1, a.line-b.line))
			if got := min(1, max(-1, a.v.compare(b.v))); got != want {
				t.Errorf("%s compared with %s: %d, want %d", a.text, b.text, got, want)
			}
		}
	}
}

func TestNoVersion(t *testing.T) {
	for _, text := range []string{
		"", "v", "hghj", "ff", "scala-release", "v3345e456", "3345b456", "1a", "1..2", ".1", "1.", "1.0.", "1.0-", "1.0+", "1.0-rc..1",
		"1.0_1", "1.0 ", " 1.0", "vv1", "v-1", "-1", "1,0", "1.x", "latest", "1.0post1", "1.0rc1x", "١.٠", "1.0\n", "pbt-reference-do-not-delete",
	} {
		if v, ok := parseVersion(text); ok {
			t.Errorf("%q is read as %v", text, v)
		}
	}
}

// What the library for semantic versions reads is ordered as it says.
func TestVersionsAgreeWithSemver(t *testing.T) {
	words := []string{"0", "1", "2", "9", "10", "11", "rc", "rc1", "alpha", "beta", "SNAPSHOT", "x-y", "-"}
	some := func(r *rand.Rand) string {
		text := []string{"", "v"}[r.IntN(2)] + fmt.Sprint(r.IntN(3))
		for range r.IntN(3) {
			text += fmt.Sprintf(".%d", r.IntN(12))
		}
		for i := range r.IntN(4) {
			text += []string{"-", "."}[min(i, 1)] + words[r.IntN(len(words))]
		}
		if r.IntN(4) == 0 {
			text += "+build"
		}
		return text
	}
	r := rand.New(rand.NewPCG(1, 2))
	compared := 0
	for range 50_000 {
		a, b := some(r), some(r)
		va, err := semver.NewVersion(a)
		vb, err2 := semver.NewVersion(b)
		if err != nil || err2 != nil {
			continue
		}
		compared++
		oa, ok := parseVersion(a)
		ob, ok2 := parseVersion(b)
		if !ok || !ok2 {
			t.Fatalf("semver reads %s and %s: we %v and %v", a, b, ok, ok2)
		}
		if got, want := min(1, max(-1, oa.compare(ob))), va.Compare(vb); got != want {
			t.Fatalf("%s compared with %s: %d, semver says %d", a, b, got, want)
		}
	}
	if compared < 30_000 {
		t.Errorf("only %d pairs were compared", compared)
	}
}

// someCandidates are tags of suffixes of every form, some with the same date.
func someCandidates(r *rand.Rand) []candidate {
	forms := slices.Concat(ascending...)
	forms = append(forms, "hghj", "ff", "v3345e456", "scala-release", "", "1.0.")
	candidates := make([]candidate, 12)
	for i := range candidates {
		suffix := forms[r.IntN(len(forms))]
		c := candidate{Revision: Revision{Name: fmt.Sprintf("P%d/%s", r.IntN(3), suffix), Version: suffix, Tagged: time.Unix(int64(r.IntN(3)), 0)}}
		c.version, c.versioned = parseVersion(suffix)
		candidates[i] = c
	}
	return candidates
}

// The order of tags is an order: of two different tags one is newer, whichever is asked about first, and what is
// newer than something is newer than all that this is newer than.
func TestNewestFirstIsTotal(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 3000 {
		some := someCandidates(r)
		for _, a := range some {
			for _, b := range some {
				ab := newestFirst(a, b)
				if ab != -newestFirst(b, a) {
					t.Fatalf("%v and %v: %d and %d", a, b, ab, newestFirst(b, a))
				}
				if (ab == 0) != (a.Name == b.Name && a.Tagged.Equal(b.Tagged)) {
					t.Fatalf("%v and %v are equal: %d", a, b, ab)
				}
				for _, c := range some {
					if ab <= 0 && newestFirst(b, c) <= 0 && newestFirst(a, c) > 0 {
						t.Fatalf("%v before %v before %v, but not the first before the last", a, b, c)
					}
				}
			}
		}
		slices.SortFunc(some, newestFirst)
		again := slices.Clone(some)
		r.Shuffle(len(again), func(i, j int) { again[i], again[j] = again[j], again[i] })
		slices.SortFunc(again, newestFirst)
		if d := cmp.Diff(names(revisionsOf(some)), names(revisionsOf(again))); d != "" {
			t.Fatalf("the order depends on chance:\n%s", d)
		}
		unversioned := slices.IndexFunc(some, func(c candidate) bool { return !c.versioned })
		if unversioned >= 0 && slices.ContainsFunc(some[unversioned:], func(c candidate) bool { return c.versioned }) {
			t.Fatalf("a tag without a version before one with: %v", names(revisionsOf(some)))
		}
	}
}

func revisionsOf(candidates []candidate) []Revision {
	revisions := make([]Revision, len(candidates))
	for i, c := range candidates {
		revisions[i] = c.Revision
	}
	return revisions
}

// FuzzVersion: whatever a tag is named, its version is equal to itself and a leading v means nothing.
func FuzzVersion(f *testing.F) {
	for _, text := range slices.Concat(ascending...) {
		f.Add(text, "1.0")
	}
	f.Add("hghj", "v")
	f.Add(strings.Repeat("1.", 400)+"1", "1.0-"+strings.Repeat("a.", 200)+"a")
	f.Fuzz(func(t *testing.T, a, b string) {
		va, ok := parseVersion(a)
		vb, ok2 := parseVersion(b)
		if !ok || !ok2 {
			return
		}
		if va.compare(va) != 0 || min(1, max(-1, va.compare(vb))) != -min(1, max(-1, vb.compare(va))) {
			t.Errorf("%q and %q", a, b)
		}
		if with, ok := parseVersion("v" + strings.TrimLeft(a, "vV")); !ok || with.compare(va) != 0 {
			t.Errorf("%q with a v", a)
		}
	})
}
