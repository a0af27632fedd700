package reconciler

import (
	"os"
	"runtime/debug"
	"runtime/metrics"
)

const (
	garbage      = 64 << 20 // bytes that may wait to be collected
	leastGarbage = 25       // percent of what is in use
)

// tend has the collector run the more often the more is in use, so that a daemon of ten thousand jobs does not hold as
// much again of what it no longer needs, and one of a hundred does not collect all the time. GOGC in the environment
// stands.
func tend() {
	if os.Getenv("GOGC") != "" {
		return
	}
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(live)
	inUse := max(live[0].Value.Uint64(), garbage)
	debug.SetGCPercent(int(max(100*garbage/inUse, leastGarbage)))
}
