package reconciler

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime/debug"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"selvage/fabric/databricks"
	"selvage/fabric/databricks/emulator"
	"selvage/gitwatch"
)

// bundlesRequests are how many requests the vendor's bundles make for 1,000 jobs that have not changed, without
// and with permissions, by their own published request logs. Their client sends 15 a second.
var bundlesRequests = map[bool]float64{false: 1020, true: 3020}

// peak is the most memory in MB, by the kernel's count, that this process held while run was running. What it
// held before is given back first.
func peak(b *testing.B, run func()) float64 {
	debug.FreeOSMemory()
	if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0); err != nil {
		b.Log("peaks are those since the process began:", err)
	}
	run()
	f, err := os.Open("/proc/self/status")
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if rest, ok := strings.CutPrefix(lines.Text(), "VmHWM:"); ok {
			var kb float64
			if _, err := fmt.Sscan(rest, &kb); err != nil {
				b.Fatal(err)
			}
			return kb / 1024
		}
	}
	b.Fatal("the kernel does not say how much memory was held")
	return 0
}

// spent is the processor time of this process so far.
func spent(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// bare is how long so many requests of no content take, as many at once as we change jobs at once: what the emulated
// workspace, the connection and the machine take by themselves.
func (e *emulated) bare(n int) time.Duration {
	e.t.Helper()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: databricks.ChangesAtOnce}}
	defer client.CloseIdleConnections()
	var g errgroup.Group
	g.SetLimit(databricks.ChangesAtOnce)
	begin := time.Now()
	for range n {
		g.Go(func() error {
			r, err := http.NewRequest(http.MethodGet, e.url+"/api/2.2/jobs/get?job_id=1", nil)
			if err != nil {
				return err
			}
			r.Header.Set("Authorization", "Bearer canary-token-1")
			resp, err := client.Do(r)
			if err != nil {
				return err
			}
			defer resp.Body.Close()
			_, err = io.Copy(io.Discard, resp.Body)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		e.t.Fatal(err)
	}
	return time.Since(begin)
}

// The first deploy of a thousand, to a workspace that takes 20 ms for an answer and has no rate limit. The least that
// it can take is that of the creates, so many at once: by computation, and as bare requests measured in the same run.
func BenchmarkFirstDeploy(b *testing.B) {
	const n, latency = 1000, 20 * time.Millisecond
	least := n * latency / databricks.ChangesAtOnce
	var took, cpu, bare time.Duration
	for b.Loop() {
		b.StopTimer()
		f := newFleet(b, fleetOf{projects: 1, jobs: n}, emulator.Options{Latency: latency})
		bare += f.emulated.bare(n)
		f.emulated.resetJournal()
		b.StartTimer()
		before := spent(b)
		d := f.applyAll()
		b.StopTimer()
		took, cpu = took+d, cpu+spent(b)-before
		if made := f.emulated.count("POST /api/2.2/jobs/create"); made != n {
			b.Fatalf("%d jobs were made", made)
		}
		b.ReportMetric(float64(f.emulated.count("*"))/n, "requests/job")
		f.close()
		b.StartTimer()
	}
	took /= time.Duration(b.N)
	b.ReportMetric(took.Seconds(), "s/deploy")
	b.ReportMetric(cpu.Seconds()/float64(b.N), "cpu-s/deploy") // on a busy machine, what to go by
	b.ReportMetric(float64(took)/float64(least), "times-the-least")
	b.ReportMetric(float64(took)/(float64(bare)/float64(b.N)), "times-bare-requests")
}

// Ten thousand jobs in fifty deployments of one fabric, converged: a round of all of them, by a daemon that was started
// anew.
func BenchmarkFabric(b *testing.B) {
	const projects, jobs = 50, 200
	const mostRequests, mostMB = 110, 400
	f := newFleet(b, fleetOf{projects: projects, jobs: jobs, lists: true}, emulator.Options{})
	first := peak(b, func() { f.applyAll() })
	f.compareAll()
	f.again(false)
	if _, err := f.Repositories["p00"].Poll(b.Context(), []gitwatch.Follow{follow(f.Config.Deployments[0])}); err != nil {
		b.Fatal(err)
	}
	f.noop()
	f.emulated.resetJournal()
	rounds := 0
	var mb float64
	b.ResetTimer()
	for b.Loop() {
		mb = max(mb, peak(b, f.noop))
		rounds++
	}
	b.StopTimer()
	requests := float64(f.emulated.count("*")) / float64(rounds)
	b.ReportMetric(requests, "requests/round")
	b.ReportMetric(mb, "MB-peak")
	b.ReportMetric(first, "MB-peak-first")
	if requests >= mostRequests {
		b.Errorf("%.0f requests a round, want fewer than %d", requests, mostRequests)
	}
	if mb >= mostMB {
		b.Errorf("%.0f MB at the peak, want less than %d", mb, mostMB)
	}
	f.close()
}
