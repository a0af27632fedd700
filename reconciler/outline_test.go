package reconciler

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"selvage/fabric/databricks/emulator"
)

// Of a release that was rendered only its outline stays in memory. What is rendered anew, because the configuration is
// another one, comes from the repository again; and a release that is another one there is told, and gone by.
func TestOutline(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := appliedSite(t, emulator.Options{})
		outlines := func() (n int) {
			for _, m := range s.releases {
				if m.outline && len(m.release.Jobs) == 3 && m.release.Jobs[0].Raw == nil {
					n++
				}
			}
			return n
		}
		s.round()
		if outlines() != 1 || len(s.releases) != 1 {
			t.Fatalf("%d outlines of %d releases", outlines(), len(s.releases))
		}
		s.edit("tags: {env: prod}", "tags: {env: live}")
		s.reload()
		time.Sleep(time.Minute)
		s.verified(s.round())
		if !strings.Contains(s.setting("month_end", "tags", "env"), "live") || outlines() != 1 {
			t.Errorf("tag %s, %d outlines", s.setting("month_end", "tags", "env"), outlines())
		}

		for key, m := range s.releases { // as if it had been built from something else
			other := *m.release
			other.Digest = strings.Repeat("0", 64)
			m.release = &other
			s.releases[key] = m
		}
		s.edit("tags: {env: live}", "tags: {env: prod}")
		s.reload()
		time.Sleep(time.Minute)
		if _, err := s.try(); err == nil || !strings.Contains(err.Error(), "the same commit was built as 000000000000 before and as ") {
			t.Errorf("error %v", err)
		}
		time.Sleep(time.Hour)
		s.verified(s.round())
		if !strings.Contains(s.setting("month_end", "tags", "env"), "prod") {
			t.Errorf("tag %s", s.setting("month_end", "tags", "env"))
		}
		s.shut()
		s.sound()
	})
}
