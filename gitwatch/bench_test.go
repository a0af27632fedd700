package gitwatch

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
)

// BenchmarkPollIdle is one round of polls in which nothing has moved, over loopback HTTP, as many at a time as a
// Watcher runs. cpu-ms/op is this process: our side, and the Go part of the server; git-cpu-ms/op is the
// git processes of the server.
func BenchmarkPollIdle(b *testing.B) {
	const repos = 200
	b.Run(fmt.Sprintf("repos=%d", repos), func(b *testing.B) {
		o := newOrigin(b)
		for i, id := range o.history(20) {
			o.tag(fmt.Sprintf("Shop/1.%d.0", i), id)
		}
		url, requests := o.serve()
		dir := b.TempDir()
		all := make([]*Repository, repos)
		for i := range all {
			// One repository under many names: what differs between them is not measured.
			name := fmt.Sprintf("r%d.git", i)
			if err := os.Symlink(o.dir, filepath.Join(o.root, name)); err != nil {
				b.Fatal(err)
			}
			if i > 0 {
				if err := os.CopyFS(filepath.Join(dir, name), os.DirFS(all[0].Dir())); err != nil {
					b.Fatal(err)
				}
			}
			all[i] = openAt(b, url[:len(url)-len("shop.git")]+name, func(o *Options) { o.Dir = filepath.Join(dir, name) })
			if i == 0 {
				poll(b, all[0], followMain, followTags)
			}
		}
		round := func() {
			var g errgroup.Group
			g.SetLimit(maxPolling)
			for _, r := range all {
				g.Go(func() error {
					s, err := r.Poll(b.Context(), []Follow{followMain, followTags})
					if err == nil && s.Fetched > 0 {
						err = fmt.Errorf("an idle poll fetched %d bytes", s.Fetched)
					}
					return err
				})
			}
			if err := g.Wait(); err != nil {
				b.Fatal(err)
			}
		}
		round()
		before, self, children := requests.Total(), cpu(b, syscall.RUSAGE_SELF), cpu(b, syscall.RUSAGE_CHILDREN)
		for b.Loop() {
			round()
		}
		n := float64(b.N)
		b.ReportMetric(float64(requests.Total()-before)/n, "requests/op")
		b.ReportMetric((cpu(b, syscall.RUSAGE_SELF)-self).Seconds()*1000/n, "cpu-ms/op")
		b.ReportMetric((cpu(b, syscall.RUSAGE_CHILDREN)-children).Seconds()*1000/n, "git-cpu-ms/op")
	})
}

func cpu(b *testing.B, who int) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(who, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkTree reads every file of a commit: 2,000 small ones.
func BenchmarkTree(b *testing.B) {
	o := newOrigin(b)
	files := map[string]string{}
	for i := range 2000 {
		files[fmt.Sprintf("d%d/e%d/f%d", i%10, i%50, i)] = fmt.Sprintf("content of file %d\n", i)
	}
	id := o.commit("main", files)
	r := openAt(b, "file://"+o.dir)
	poll(b, r, followMain)
	for b.Loop() {
		tree, err := r.Tree(b.Context(), id)
		if err != nil {
			b.Fatal(err)
		}
		err = fs.WalkDir(tree, ".", func(name string, e fs.DirEntry, err error) error {
			if err == nil && !e.IsDir() {
				_, err = tree.ReadFile(name)
			}
			return err
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/2000, "µs/file")
}

// BenchmarkAncestor is the dearest question, one that is answered with no, over a history of 20,000 commits.
func BenchmarkAncestor(b *testing.B) {
	o := newOrigin(b)
	line := o.history(20_000)
	r := openAt(b, "file://"+o.dir)
	poll(b, r, followMain)
	for b.Loop() {
		clear(r.ancestry)
		if ok, err := r.Ancestor(b.Context(), line[19_999], line[19_998]); ok || err != nil {
			b.Fatal(ok, err)
		}
	}
}
