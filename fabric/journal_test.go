package fabric

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
)

func TestPermit(t *testing.T) {
	if _, err := UsePermit(t.Context()); !errors.Is(err, ErrNoIntent) {
		t.Errorf("without a permit: %v", err)
	}
	for _, op := range []Op{OpCreate, OpUpdate, OpDelete, OpCommit} {
		ctx := WithPermit(t.Context(), Intent{Nonce: "n", Op: op}, nil)
		if nonce, err := UsePermit(ctx); nonce != "n" || err != nil {
			t.Errorf("%s: %q, %v", op, nonce, err)
		}
		child, cancel := context.WithCancel(ctx)
		defer cancel()
		if nonce, err := UsePermit(child); nonce != "" || !errors.Is(err, ErrSpent) {
			t.Errorf("%s, second request: %q, %v", op, nonce, err)
		}
	}
	ctx := WithPermit(t.Context(), Intent{Nonce: "n", Op: OpUpload}, nil)
	for range 3 {
		if nonce, err := UsePermit(ctx); nonce != "n" || err != nil {
			t.Errorf("upload: %q, %v", nonce, err)
		}
	}
	outer := WithPermit(t.Context(), Intent{Nonce: "outer", Op: OpCreate}, nil)
	inner := WithPermit(outer, Intent{Nonce: "inner", Op: OpCreate}, nil)
	if nonce, _ := UsePermit(inner); nonce != "inner" {
		t.Errorf("the innermost permit counts, got %q", nonce)
	}
}

func TestPermitIsSpentOnce(t *testing.T) {
	ctx := WithPermit(t.Context(), Intent{Nonce: "n", Op: OpCreate}, nil)
	var granted atomic.Int32
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if _, err := UsePermit(ctx); err == nil {
				granted.Add(1)
			}
		})
	}
	wg.Wait()
	if granted.Load() != 1 {
		t.Errorf("granted %d times", granted.Load())
	}
}

// TestZeroValuesAreCautious: what nobody set is never good news (law 1).
func TestZeroValuesAreCautious(t *testing.T) {
	var p Presence
	var s Status
	var st State
	if p != Unknown || s != Doubtful || st != Unsettled {
		t.Errorf("zero values: %v, %v, %v", p, s, st)
	}
	d := NewDesired()
	d.Add(Resource{Key: "jobs/a"})
	d.Add(Resource{Key: "jobs/b"})
	d.Block("jobs/b", findingFor("jobs/b"))
	d.Block("jobs/c", findingFor("jobs/c"))
	d.Unselect("jobs/d")
	for key, want := range map[Key]Presence{"jobs/a": Present, "jobs/b": Unknown, "jobs/c": Unknown, "jobs/d": Absent, "jobs/e": Absent} {
		if _, got := d.Lookup(key); got != want {
			t.Errorf("Lookup(%s) = %v, want %v", key, got, want)
		}
	}
	if !d.Unselected("jobs/d") || d.Unselected("jobs/e") {
		t.Error("unselected")
	}
	if why, ok := d.Why("jobs/b"); !ok || why.Subject != "jobs/b" {
		t.Errorf("why: %v", why)
	}
	keys := d.Keys()
	if len(keys) != 3 || keys[0] != "jobs/a" || keys[1] != "jobs/b" || keys[2] != "jobs/c" {
		t.Errorf("keys: %v", keys)
	}
}
