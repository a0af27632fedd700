package databricks

import (
	"context"
	"net/http"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// lanes are what is known of how fast one host takes requests, by their class.
type lanes struct {
	mu      sync.Mutex
	rates   map[*pace]float64 // of the fabrics that send there
	byClass map[class]*lane
}

// hosts is the one thing that workspaces of a process have in common: how the service sees them.
var hosts = struct {
	mu     sync.Mutex
	byName map[string]*lanes
}{byName: map[string]*lanes{}}

func joinLanes(host string, p *pace, perSecond float64) *lanes {
	hosts.mu.Lock()
	defer hosts.mu.Unlock()
	h := hosts.byName[host]
	if h == nil {
		h = &lanes{rates: map[*pace]float64{}, byClass: map[class]*lane{}}
		hosts.byName[host] = h
	}
	h.change(func() { h.rates[p] = perSecond })
	return h
}

func leaveLanes(host string, p *pace) {
	hosts.mu.Lock()
	defer hosts.mu.Unlock()
	h := hosts.byName[host]
	if h == nil {
		return
	}
	if len(h.rates) == 1 { // what is still under way ends at the pace that it has
		delete(hosts.byName, host)
		return
	}
	h.change(func() { delete(h.rates, p) })
	for _, b := range p.buckets {
		b.lane.exit(b)
	}
}

// change changes who sends, and what that means for each lane.
func (h *lanes) change(rates func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	rates()
	for c, l := range h.byClass {
		l.limit(h.ceiling(c))
	}
}

func (h *lanes) lane(c class) *lane {
	h.mu.Lock()
	defer h.mu.Unlock()
	l := h.byClass[c]
	if l == nil {
		top := h.ceiling(c)
		l = &lane{top: top, rate: top, quick: !c.changing(), buckets: map[*bucket]bool{}}
		h.byClass[c] = l
	}
	return l
}

// ceiling is the most that a lane is ever given: what is published, or what one fabric is configured to
// send, for who configures more than that knows the workspace; and without either figure as much as all fabrics
// may send together.
func (h *lanes) ceiling(c class) float64 {
	most, all := 0.0, 0.0
	for _, r := range h.rates {
		most, all = max(most, r), all+r
	}
	if limit, ok := published[c]; ok {
		return max(limit, most)
	}
	return all
}

// lane is how fast one host takes the requests of one class. It begins at the top, is halved by a 429, and
// gets a little faster with each second without one.
type lane struct {
	quick bool // it may send a second's worth at once, instead of a quarter's

	mu      sync.Mutex
	top     float64   // per second
	rate    float64   // now
	changed time.Time // when the rate was changed last, and
	slowed  time.Time // when by a refusal
	until   time.Time // no request is sent before it
	refused int       // refusals in a row
	buckets map[*bucket]bool
}

// bucket is the tokens of one fabric in a lane.
type bucket struct {
	lane    *lane
	limiter *rate.Limiter

	// The lane's mu guards what follows.
	waiting int
	used    time.Time // when its last token was taken
}

// lately is how long ago a fabric took its last token when others get its part too.
const lately = time.Second

func (l *lane) enter() *bucket {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := &bucket{lane: l, limiter: rate.NewLimiter(rate.Limit(l.rate), l.atOnce(l.rate))}
	l.buckets[b] = true
	return b
}

func (l *lane) exit(b *bucket) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.buckets, b)
}

// atOnce is how many requests may follow each other without a pause, at a rate.
func (l *lane) atOnce(perSecond float64) int {
	if l.quick {
		return burst(perSecond)
	}
	return burst(perSecond / 4)
}

// limit gives the lane another top. One that nobody has slowed down follows it.
func (l *lane) limit(top float64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.rate == l.top {
		l.rate = top
	}
	l.top, l.rate = top, min(l.rate, top)
}

// wait takes a token. It gives it back if ctx ends before.
func (b *bucket) wait(ctx context.Context) error {
	l := b.lane
	l.mu.Lock()
	b.waiting++
	l.share(time.Now())
	l.mu.Unlock()
	err := b.limiter.Wait(ctx)
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	b.waiting--
	if err == nil {
		b.used = now
	}
	return err
}

// share divides the rate among the fabrics that are busy here.
func (l *lane) share(now time.Time) {
	busy := func(b *bucket) bool { return b.waiting > 0 || now.Sub(b.used) < lately }
	n := 0
	for b := range l.buckets {
		if busy(b) {
			n++
		}
	}
	part := l.rate / float64(max(n, 1))
	atOnce := l.atOnce(part)
	for b := range l.buckets { // an idle one keeps what it has, until it is busy again
		if busy(b) && (b.limiter.Limit() != rate.Limit(part) || b.limiter.Burst() != atOnce) {
			b.limiter.SetLimitAt(now, rate.Limit(part))
			b.limiter.SetBurstAt(now, atOnce)
		}
	}
}

func (l *lane) held() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.until
}

// heed takes the answer to a request that was sent then into account, and returns until when no more are sent
// where the answer asks for that; zero where it does not. Of the requests that were under way when one was refused,
// the others' refusals say nothing new: they lengthen a hold, and slow nothing down again.
func (l *lane) heed(resp *http.Response, sent, now time.Time) (until time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	news := !sent.Before(l.slowed)
	if resp.StatusCode != http.StatusTooManyRequests {
		if news {
			l.refused = 0
			if l.rate < l.top && now.Sub(l.changed) >= time.Second {
				l.rate, l.changed = min(l.top, l.rate+max(1, l.top/20)), now
				l.share(now)
			}
		}
		return time.Time{}
	}
	d, named := retryAfter(resp.Header.Get("Retry-After"), now)
	if !named {
		before := l.refused
		if !news {
			before = max(before-1, 0)
		}
		d = min(firstHold<<min(before, 10), longestHold)
	}
	if news {
		l.refused++
		l.rate = max(min(leastRate, l.top), l.rate/2)
		l.changed, l.slowed = now, now
		l.share(now)
	}
	if until = now.Add(d); until.After(l.until) {
		l.until = until
	}
	return l.until
}
