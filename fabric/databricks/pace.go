package databricks

import (
	"context"
	"net/http"
	"strconv"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"selvage/fabric"
)

// ChangesAtOnce is how many requests of one fabric that change something are under way at once. Before and after
// each of them the ledger is written, so that the loop has more steps than that in hand.
const ChangesAtOnce = 8

const (
	defaultRate = 15.0            // requests per second of one fabric, the default of the vendor's SDK too
	leastRate   = 1.0             // to which refusals bring a class down, per second
	maxHold     = 5 * time.Minute // longest wait that a Retry-After may ask for
	firstHold   = time.Second     // after a 429 that names no time; doubled by each further one
	longestHold = 30 * time.Second
)

// pace is how fast the requests of one fabric may follow each other: all together at the rate that the
// configuration says, and those of each class by the lane that they are in.
//
// The service counts per workspace, whatever fabrics we call it by, so the fabrics of one host share what is
// known of its lanes. They share no tokens: each that is busy in a lane has a bucket of its own there, which
// fills at its part of the lane's rate. The thousand creates of one delay no create of another.
type pace struct {
	limiter *rate.Limiter
	slots   chan struct{} // one for each changing request under way
	host    string
	lanes   *lanes

	mu      sync.Mutex // before those of lanes
	buckets map[class]*bucket
}

// newPace enters a fabric among those that send to host.
func newPace(host string, perSecond float64) *pace {
	if perSecond <= 0 {
		perSecond = defaultRate
	}
	p := &pace{limiter: rate.NewLimiter(rate.Limit(perSecond), burst(perSecond)), slots: make(chan struct{}, ChangesAtOnce), host: host, buckets: map[class]*bucket{}}
	p.lanes = joinLanes(host, p, perSecond)
	return p
}

// leave is for a fabric that is closed: the others get its part.
func (p *pace) leave() {
	p.mu.Lock()
	defer p.mu.Unlock()
	leaveLanes(p.host, p)
}

// burst is how many requests may be sent at once after a second without any.
func burst(perSecond float64) int { return int(min(max(perSecond, 1), 1e6)) }

// patience is how long a read waits out a hold; for a longer one, whoever reads has better things to do.
const patience = 3 * time.Second

// wait returns when a read may be sent, and a *fabric.Busy where that would take longer than patience.
func (p *pace) wait(ctx context.Context, c class) error {
	if err := p.queue(ctx, c); err != nil {
		return err
	}
	for {
		until := p.held(c)
		switch d := time.Until(until); {
		case d <= 0:
			return ctx.Err()
		case d > patience:
			return &fabric.Busy{Until: until}
		default:
			if err := sleep(ctx, d); err != nil {
				return err
			}
		}
	}
}

// turn returns when a changing request may be sent, and what to call once it is answered. It waits out no hold: by
// then the change may not be wanted any more.
func (p *pace) turn(ctx context.Context, c class) (answered func(), err error) {
	if err := p.queue(ctx, c); err != nil {
		return nil, err
	}
	select {
	case p.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	answered = func() { <-p.slots }
	if err := p.busy(c); err != nil {
		answered()
		return nil, err
	}
	return answered, nil
}

// busy is a *fabric.Busy while requests of the class are held.
func (p *pace) busy(c class) error {
	if until := p.held(c); time.Now().Before(until) {
		return &fabric.Busy{Until: until}
	}
	return nil
}

// queue waits for a token of the fabric's own, and for one in the lane. In that order: what waits for the
// former leaves the latter to others.
func (p *pace) queue(ctx context.Context, c class) error {
	if err := p.limiter.Wait(ctx); err != nil {
		return err
	}
	return p.bucket(c).wait(ctx)
}

func (p *pace) bucket(c class) *bucket {
	p.mu.Lock()
	defer p.mu.Unlock()
	b := p.buckets[c]
	if b == nil {
		b = p.lanes.lane(c).enter()
		p.buckets[c] = b
	}
	return b
}

// held is until when no request of the class is sent.
func (p *pace) held(c class) time.Time { return p.lanes.lane(c).held() }

// heed takes the answer to a request that was sent then into account. It returns until when no more of them
// are sent, where the answer asks for that.
func (p *pace) heed(c class, resp *http.Response, sent, now time.Time) (until time.Time) {
	return p.lanes.lane(c).heed(resp, sent, now)
}

// retryAfter reads the header, seconds or a date (RFC 9110, 10.2.3).
func retryAfter(header string, now time.Time) (time.Duration, bool) {
	if header == "" {
		return 0, false
	}
	if s, err := strconv.ParseInt(header, 10, 64); err == nil {
		if s < 0 {
			return 0, false
		}
		return time.Duration(min(s, int64(maxHold/time.Second))) * time.Second, true
	}
	at, err := http.ParseTime(header)
	if err != nil {
		return 0, false
	}
	return min(max(at.Sub(now), 0), maxHold), true
}

// sleep waits for d or until ctx ends.
func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 || ctx.Err() != nil {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
