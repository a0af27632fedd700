package gitwatch

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// polls records when a repository was polled, in the time of a synctest bubble.
type polls struct {
	mu    sync.Mutex
	start time.Time
	at    []time.Duration
	err   error
	slow  time.Duration
}

func newPolls() *polls { return &polls{start: time.Now()} }

func (p *polls) poll(ctx context.Context) (*Sighting, error) {
	p.mu.Lock()
	p.at = append(p.at, time.Since(p.start))
	slow, err := p.slow, p.err
	p.mu.Unlock()
	select {
	case <-time.After(slow):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if err != nil {
		return nil, err
	}
	return &Sighting{}, nil
}

func (p *polls) times() []time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]time.Duration(nil), p.at...)
}

// run starts a Watcher in the bubble, and gives a function that ends it and waits for it.
func run(w *Watcher) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		w.Run(ctx)
		close(done)
	}()
	return func() {
		cancel()
		<-done
	}
}

func TestWatcherPollsAtJitteredIntervals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPolls()
		reports := 0
		w := NewWatcher(func(name string, s *Sighting, err error) {
			if reports++; name != "shop" || s == nil || err != nil {
				t.Errorf("report %s, %v, %v", name, s, err)
			}
		}, Watch{"shop", time.Minute, p.poll})
		stop := run(w)
		time.Sleep(24 * time.Hour)
		stop()
		at := p.times()
		if at[0] != 0 || len(at) < 24*60*100/105 || len(at) > 24*60*100/95 || reports != len(at) {
			t.Errorf("%d polls, %d reports, the first at %v", len(at), reports, at[0])
		}
		gaps := map[time.Duration]bool{}
		for i := 1; i < len(at); i++ {
			gap := at[i] - at[i-1]
			gaps[gap] = true
			if gap < 54*time.Second || gap > 66*time.Second {
				t.Errorf("poll %d after %v", i, gap)
			}
		}
		if len(gaps) < len(at)/2 {
			t.Errorf("%d gaps of %d differ", len(gaps), len(at))
		}
	})
}

func TestWatcherBacksOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPolls()
		p.err = errors.New("down")
		w := NewWatcher(func(string, *Sighting, error) {}, Watch{"shop", time.Minute, p.poll})
		stop := run(w)
		defer stop()
		time.Sleep(2 * time.Hour)
		at := p.times()
		for i, want := range []time.Duration{1, 2, 4, 8, 10, 10, 10} {
			gap := at[i+1] - at[i]
			if want *= time.Minute; gap < want*9/10 || gap > want*11/10 {
				t.Errorf("poll %d after %v, want about %v", i+1, gap, want)
			}
		}
		p.mu.Lock()
		p.err = nil
		p.mu.Unlock()
		time.Sleep(11 * time.Minute) // the one that works again
		before := len(p.times())
		time.Sleep(10 * time.Minute)
		if n := len(p.times()) - before; n < 8 {
			t.Errorf("%d polls in ten minutes after it was back", n)
		}
	})
}

func TestBackedOff(t *testing.T) {
	tests := []struct {
		interval time.Duration
		failures int
		want     time.Duration
	}{
		{time.Minute, 0, time.Minute},
		{time.Minute, 1, time.Minute},
		{time.Minute, 2, 2 * time.Minute},
		{time.Minute, 1 << 30, 10 * time.Minute},
		{10 * time.Second, 99, 100 * time.Second},
		{5 * time.Minute, 99, 15 * time.Minute},
		{time.Hour, 99, time.Hour},
	}
	for _, test := range tests {
		if got := backedOff(test.interval, test.failures); got != test.want {
			t.Errorf("%v after %d errors: %v, want %v", test.interval, test.failures, got, test.want)
		}
	}
}

func TestHintsAreOnePoll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPolls()
		w := NewWatcher(func(string, *Sighting, error) {}, Watch{"shop", time.Hour, p.poll})
		stop := run(w)
		defer stop()
		time.Sleep(hintGap / 2) // none of the hints is taken before all have come
		for range 1000 {
			if !w.Hint("shop") {
				t.Fatal("no such repository")
			}
		}
		time.Sleep(10*time.Second - hintGap/2)
		w.Hint("shop")
		synctest.Wait()
		if at := p.times(); len(at) != 3 || at[1] != hintGap || at[2] != 10*time.Second {
			t.Errorf("polls at %v", at)
		}
		// One that comes while a poll is running asks for another one: the running one may have looked too early.
		p.mu.Lock()
		p.slow = 5 * time.Second
		p.mu.Unlock()
		time.Sleep(10 * time.Second)
		w.Hint("shop")
		time.Sleep(2 * time.Second)
		w.Hint("shop")
		time.Sleep(time.Minute)
		if at := p.times(); len(at) != 5 || at[4] != 26*time.Second {
			t.Errorf("polls at %v", at)
		}
		if w.Hint("nobody") {
			t.Error("a repository that isn't watched took a hint")
		}
	})
}

func TestHintFloodIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPolls()
		w := NewWatcher(func(string, *Sighting, error) {}, Watch{"shop", time.Hour, p.poll})
		stop := run(w)
		defer stop()
		for range 10_000 {
			w.Hint("shop")
			time.Sleep(time.Millisecond)
		}
		if n := len(p.times()); n > 12 {
			t.Errorf("%d polls in ten seconds", n)
		}
	})
}

func TestManyRepositoriesPollFewAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		running, most := 0, 0
		one := func(context.Context) (*Sighting, error) {
			mu.Lock()
			running++
			most = max(most, running)
			mu.Unlock()
			time.Sleep(time.Second)
			mu.Lock()
			running--
			mu.Unlock()
			return &Sighting{}, nil
		}
		var watches []Watch
		for i := range 200 {
			watches = append(watches, Watch{fmt.Sprint(i), time.Hour, one})
		}
		seen := map[string]bool{}
		w := NewWatcher(func(name string, _ *Sighting, _ error) {
			mu.Lock()
			defer mu.Unlock()
			seen[name] = true
		}, watches...)
		stop := run(w)
		time.Sleep(time.Minute)
		stop()
		if most != maxPolling || len(seen) != 200 {
			t.Errorf("%d at once, %d repositories seen", most, len(seen))
		}
	})
}

// Run returns only when nothing of it is left, also if a poll is under way; synctest fails on a goroutine that stays.
func TestWatcherStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPolls()
		p.slow = time.Hour
		w := NewWatcher(func(string, *Sighting, error) { t.Error("a poll that was cut off is reported") },
			Watch{"shop", time.Minute, p.poll})
		stop := run(w)
		time.Sleep(time.Second)
		stop()
	})
}

// Exchanging the repositories touches none but those that are exchanged.
func TestWatcherSet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kept, faster, left, added := newPolls(), newPolls(), newPolls(), newPolls()
		var mu sync.Mutex
		reports := map[string]int{}
		w := NewWatcher(func(name string, _ *Sighting, _ error) {
			mu.Lock()
			defer mu.Unlock()
			reports[name]++
		}, Watch{"kept", time.Hour, kept.poll}, Watch{"faster", time.Hour, faster.poll}, Watch{"left", time.Hour, left.poll})
		stop := run(w)
		time.Sleep(10 * time.Minute)
		left.mu.Lock()
		left.slow = time.Minute
		left.mu.Unlock()
		w.Hint("left")
		time.Sleep(time.Second)
		w.Set(Watch{"kept", time.Hour, kept.poll}, Watch{"faster", 20 * time.Minute, faster.poll}, Watch{"added", time.Hour, added.poll})
		synctest.Wait()
		if at := added.times(); len(at) != 1 || at[0] != 10*time.Minute+time.Second {
			t.Errorf("the new one was polled at %v", at)
		}
		if w.Hint("left") || !w.Hint("added") {
			t.Error("hints are taken for what is not watched, or not for what is")
		}
		time.Sleep(39 * time.Minute)
		for range 1000 { // however often it is set, the rhythm stays
			w.Set(Watch{"kept", time.Hour, kept.poll}, Watch{"faster", 20 * time.Minute, faster.poll}, Watch{"added", time.Hour, added.poll})
		}
		time.Sleep(30 * time.Minute)
		if at := kept.times(); len(at) != 2 || at[1] < 54*time.Minute || at[1] > 66*time.Minute {
			t.Errorf("the one that stayed was polled at %v", at)
		}
		if at := faster.times(); len(at) < 4 || at[1] < 18*time.Minute || at[1] > 22*time.Minute {
			t.Errorf("the one that is polled more often was polled at %v", at)
		}
		if at := left.times(); len(at) != 2 {
			t.Errorf("the one that was left out was polled at %v", at)
		}
		stop()
		w.Set(Watch{"late", time.Hour, func(context.Context) (*Sighting, error) { panic("polled after the end") }})
		if reports["left"] != 1 || reports["added"] != len(added.times()) {
			t.Errorf("reports %v", reports)
		}
	})
}

// A credential that was replaced keeps the mirror and what was seen.
func TestLogin(t *testing.T) {
	r, err := Open(Options{Dir: t.TempDir(), URL: "ssh://git@git.example.com/hello.git", Auth: Auth{SSHKey: "old", KnownHosts: "/known"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Login(Auth{SSHKey: "new"}); err == nil {
		t.Error("a login that Open would refuse is taken")
	}
	change, err := r.Login(Auth{SSHKey: "new", KnownHosts: "/known"})
	if err != nil || r.auth().SSHKey != "old" {
		t.Fatalf("%v; logs in with %q before the change", err, r.auth().SSHKey)
	}
	change()
	if r.auth().SSHKey != "new" {
		t.Errorf("logs in with %q", r.auth().SSHKey)
	}
}
