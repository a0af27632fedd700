package reconciler

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"selvage/configs"
	"selvage/fabric/databricks/emulator"
)

// A field that is still different after it was written, here the node type beside a pool, which the workspace drops: it
// is reported once, and left alone until the release changes.
func TestFieldStaysDifferent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newBubbleSite(t, emulator.Options{})
		s.yaml = strings.Replace(s.yaml, "overlay: {", `overlay: {job_clusters: {"*": {instance_pool_id: pool-1, node_type_id: m5d.large, aws_attributes: null}}, `, 1)
		s.commit("HelloSelvage/1.0.0")
		s.open()
		s.round()
		d := s.approve("")
		reported := func() (n int) {
			for e, err := range s.log.Entries(0) {
				if err != nil {
					t.Fatal(err)
				}
				if e.Kind == kindRead && e.Code == string(configs.Unstable) {
					n++
					if !strings.Contains(e.Text, "node_type_id") {
						t.Errorf("it is not named: %s", e.Text)
					}
				}
			}
			return n
		}
		if n := reported(); n != 1 {
			t.Errorf("reported %d times after the first apply: %s, %s", n, d.Phase, d.Result.Text)
		}
		writes := s.workspace.Count("POST /api/2.2/jobs/*")
		for range 5 {
			time.Sleep(10 * time.Minute)
			if d = s.round(); d.Plan.Digest != "" {
				t.Errorf("still to do: %v", lines(d.Plan))
			}
		}
		if n, now := reported(), s.workspace.Count("POST /api/2.2/jobs/*"); n != 1 || now != writes {
			t.Errorf("five rounds later it is reported %d times, and %d more requests were sent", n, now-writes)
		}
		s.replace("jobs/month_end/code/databricks-job.json", `"max_retries" : 0`, `"max_retries" : 1`)
		s.commit("HelloSelvage/1.1.0")
		time.Sleep(time.Minute)
		s.round()
		if n, now := reported(), s.workspace.Count("POST /api/2.2/jobs/*"); n != 2 || now != writes+1 {
			t.Errorf("with another release it is reported %d times in all, and %d requests were sent", n, now-writes)
		}
		s.shut()
		s.sound()
	})
}
