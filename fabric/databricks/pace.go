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

const (
	defaultRate = 15.0            // requests per second and host, the default of the vendor's SDK too
	maxHold     = 5 * time.Minute // longest wait that a Retry-After may ask for
	firstHold   = time.Second     // after a 429 that names no time; doubled by each further one
	longestHold = 30 * time.Second
)

// pace is how fast requests to one host may follow each other, and until when none may. The service
// counts per workspace, whatever fabrics we call it by, so all fabrics of a host share one.
type pace struct {
	limiter *rate.Limiter

	mu      sync.Mutex
	rates   map[*Workspace]float64
	until   time.Time
	refused int // 429s in a row
}

// paces is the one thing that workspaces of a process have in common: how the service sees them.
var paces = struct {
	mu     sync.Mutex
	byHost map[string]*pace
}{byHost: map[string]*pace{}}

// joinPace enters w among those that send to host; the slowest rate of them counts.
func joinPace(host string, w *Workspace, perSecond float64) *pace {
	if perSecond <= 0 {
		perSecond = defaultRate
	}
	paces.mu.Lock()
	defer paces.mu.Unlock()
	p := paces.byHost[host]
	if p == nil {
		p = &pace{limiter: rate.NewLimiter(rate.Limit(perSecond), burst(perSecond)), rates: map[*Workspace]float64{}}
		paces.byHost[host] = p
	}
	p.rates[w] = perSecond
	p.slowest()
	return p
}

func leavePace(host string, w *Workspace) {
	paces.mu.Lock()
	defer paces.mu.Unlock()
	p := paces.byHost[host]
	if p == nil {
		return
	}
	delete(p.rates, w)
	if len(p.rates) == 0 {
		delete(paces.byHost, host)
		return
	}
	p.slowest()
}

// slowest sets the limiter. The caller holds paces.mu, which guards rates.
func (p *pace) slowest() {
	least := 0.0
	for _, r := range p.rates {
		if least == 0 || r < least {
			least = r
		}
	}
	p.limiter.SetLimit(rate.Limit(least))
	p.limiter.SetBurst(burst(least))
}

func burst(perSecond float64) int { return int(min(max(perSecond, 1), 1e6)) }

// patience is how long a read waits out a hold; for a longer one, whoever reads has better things to do.
const patience = 3 * time.Second

// wait returns when a read may be sent, and a *fabric.Busy where that would take longer than patience.
func (p *pace) wait(ctx context.Context) error {
	if err := p.limiter.Wait(ctx); err != nil {
		return err
	}
	for {
		until := p.held()
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

// turn returns when a changing request may be sent. It waits out no hold: by then the change may not
// be wanted any more.
func (p *pace) turn(ctx context.Context) error {
	if err := p.limiter.Wait(ctx); err != nil {
		return err
	}
	if until := p.held(); time.Now().Before(until) {
		return &fabric.Busy{Until: until}
	}
	return nil
}

// held is until when no request is sent.
func (p *pace) held() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.until
}

// heed takes the answer to a request into account.
func (p *pace) heed(resp *http.Response, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if resp.StatusCode != http.StatusTooManyRequests {
		p.refused = 0
		return
	}
	d, ok := retryAfter(resp.Header.Get("Retry-After"), now)
	if !ok {
		d = min(firstHold<<min(p.refused, 10), longestHold)
	}
	p.refused++
	if until := now.Add(d); until.After(p.until) {
		p.until = until
	}
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
