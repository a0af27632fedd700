package gitwatch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"time"
)

// ChildMain is the whole program of a fetching child: it reads one request from stdin, brings the refs
// it names into the mirror, and prints one result. The exit status is 0 if a result was printed,
// also that of a fetch that went wrong.
func ChildMain(stdin io.Reader, stdout, stderr io.Writer) int {
	var req fetchRequest
	d := json.NewDecoder(stdin)
	d.DisallowUnknownFields()
	if err := d.Decode(&req); err != nil {
		// The decoder's error can quote what it read, which holds credentials.
		fmt.Fprintln(stderr, "read the request on standard input: it is not one that the selvage daemon writes")
		return 2
	}
	var once sync.Once
	done := make(chan struct{})
	report := func(result fetchResult) {
		once.Do(func() {
			_ = json.NewEncoder(stdout).Encode(result) // if nobody reads it, nobody waits for it
			close(done)
		})
	}
	go func() {
		bytes, err := runFetch(context.Background(), req)
		report(resultOf(bytes, err))
	}()
	go func() {
		report(resultOf(0, watchMemory(req.Memory, done)))
	}()
	<-done
	return 0
}

func resultOf(bytes int64, err error) fetchResult {
	result := fetchResult{Bytes: bytes}
	if err != nil {
		result.Error = err.Error()
		errors.As(err, &result.Limit)
		for kind, is := range errorKinds {
			if errors.Is(err, is) {
				result.Kind = kind
			}
		}
	}
	return result
}

// watchMemory returns an error once this process occupies more than allowed bytes. Go's own memory limit
// comes first and makes the collector work harder; the kernel is told to take this process
// before any other.
func watchMemory(allowed int64, done <-chan struct{}) error {
	if allowed <= 0 {
		<-done
		return nil
	}
	debug.SetMemoryLimit(allowed / 4 * 3)
	_ = os.WriteFile("/proc/self/oom_score_adj", []byte("1000"), 0) // a wish; some containers refuse it
	every := time.NewTicker(50 * time.Millisecond)
	defer every.Stop()
	for {
		select {
		case <-done:
			return nil
		case <-every.C:
			if resident() > allowed {
				return &LimitError{Limit: "FetchMemory", Allowed: allowed, Subject: "the fetch, by the bytes of memory it needs,"}
			}
		}
	}
}

// resident is the number of bytes of memory that this process occupies, or 0 if the system doesn't say.
func resident() int64 {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(text))
	if len(fields) < 2 {
		return 0
	}
	pages, err := strconv.ParseInt(fields[1], 10, 64)
	if err != nil {
		return 0
	}
	return pages * int64(os.Getpagesize())
}
