package ledger_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"selvage/reconciler/ledger"
)

// sample is an entry of the usual size: 480 bytes as a line.
func sample() ledger.Entry {
	return ledger.Entry{Kind: "plan", Deployment: "hello@production", Fabric: "production", Code: "planned", By: "reconciler",
		Text: "5c1f9e: 1 update, 1 create, 1 deferred; waits for approvals, window",
		Data: json.RawMessage(`{"plan":"5c1f9e0d5c1f9e0d5c1f9e0d5c1f9e0d5c1f9e0d5c1f9e0d5c1f9e0d5c1f9e0d","changes":3}`)}
}

// BenchmarkAppend writes to the disk of the temporary folder, with real fsyncs.
func BenchmarkAppend(b *testing.B) {
	for _, writers := range []int{1, 16} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			var syncs atomic.Int64
			l := open(b, b.TempDir(), ledger.Options{Sync: func(f *os.File) error { syncs.Add(1); return f.Sync() }})
			e := sample()
			before := syncs.Load()
			b.ReportAllocs()
			b.ResetTimer()
			var next atomic.Int64
			var wg sync.WaitGroup
			for range writers {
				wg.Go(func() {
					for next.Add(1) <= int64(b.N) {
						if _, err := l.Append(b.Context(), e); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "entries/s")
			b.ReportMetric(float64(syncs.Load()-before)/float64(b.N), "fsyncs/entry")
		})
	}
}

// BenchmarkVerify reads 20,000 entries, and BenchmarkOpen opens a log of as many in eight segments.
func BenchmarkVerify(b *testing.B) {
	dir, bytes := filled(b, 20_000)
	b.SetBytes(bytes)
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		r, err := ledger.Verify(dir)
		if err != nil {
			b.Fatal(err)
		}
		n += r.Entries
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "entries/s")
}

func BenchmarkOpen(b *testing.B) {
	dir, _ := filled(b, 20_000)
	for b.Loop() {
		l, err := ledger.Open(dir, ledger.Options{Writer: "w"})
		if err != nil {
			b.Fatal(err)
		}
		l.Close()
	}
}

func filled(b *testing.B, n int) (dir string, size int64) {
	b.Helper()
	dir = b.TempDir()
	l := open(b, dir, ledger.Options{Sync: noSync, SegmentBytes: 1 << 20})
	for range n / 100 {
		es := make([]ledger.Entry, 100)
		for i := range es {
			es[i] = sample()
		}
		add(b, l, es...)
	}
	closeLog(b, l)
	for _, f := range segmentFiles(b, dir) {
		st, err := os.Stat(filepath.Clean(f))
		if err != nil {
			b.Fatal(err)
		}
		size += st.Size()
	}
	return dir, size
}
