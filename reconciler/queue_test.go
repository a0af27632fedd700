package reconciler

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

func TestQueueCoalesces(t *testing.T) {
	q := newQueue()
	ctx := t.Context()
	for range 10 {
		q.wake("a")
	}
	q.wake("b")
	for _, want := range []string{"a", "b"} {
		if got, ok := q.next(ctx); !ok || got != want {
			t.Fatalf("next = %q, %v, want %q", got, ok, want)
		}
	}
	q.wake("a") // while it is served: once more after that, however often
	q.wake("a")
	if len(q.ready) != 0 {
		t.Error("a name that is served is handed out again")
	}
	q.done("a", time.Time{})
	if got, _ := q.next(ctx); got != "a" {
		t.Errorf("next = %q, want a", got)
	}
	q.done("a", time.Time{})
	if len(q.ready) != 0 {
		t.Errorf("left in the queue: %v", q.ready)
	}
}

func TestQueueWakesInTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := newQueue()
		q.wake("a")
		q.next(t.Context())
		begin := time.Now()
		q.done("a", begin.Add(time.Hour))
		if _, ok := q.next(t.Context()); !ok || time.Since(begin) != time.Hour {
			t.Errorf("woken after %s, want 1h", time.Since(begin))
		}
		q.done("a", begin.Add(3*time.Hour))
		q.wake("a") // a sooner reason takes the later one's place
		q.next(t.Context())
		q.done("a", time.Time{})
		time.Sleep(10 * time.Hour)
		if len(q.ready) != 0 {
			t.Error("the timer of a wait that was overtaken still fires")
		}
		q.stop()
	})
}

func TestQueueHold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := newQueue()
		q.wake("a")
		q.next(t.Context())
		held := make(chan error)
		go func() { held <- q.hold(t.Context(), "a") }()
		synctest.Wait()
		select {
		case <-held:
			t.Fatal("held while it is served")
		default:
		}
		q.done("a", time.Time{})
		if err := <-held; err != nil {
			t.Fatal(err)
		}
		q.wake("a")
		if len(q.ready) != 0 {
			t.Error("a held name is handed out")
		}
		q.done("a", time.Time{})
		if got, _ := q.next(t.Context()); got != "a" {
			t.Error("what woke it while it was held is lost")
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := q.hold(ctx, "a"); err == nil {
			t.Error("hold outlives its context")
		}
	})
}
