package emulator

import (
	"context"
	"net"
	"net/http"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Fault makes some requests fail. The first fault in the order of declaration that matches a request
// and is not used up strikes it.
type Fault struct {
	Pattern string `json:"pattern"` // as for Count
	Offset  int    `json:"offset"`  // so many matching requests pass first
	Times   int    `json:"times"`   // strikes so often; 0 is once, negative for ever

	After  bool              `json:"after"`  // the handler runs first, and its effect stays: a lost answer
	Status int               `json:"status"` // this status instead of the answer
	Body   string            `json:"body"`   // with this body; default an error of the API's shape
	Header map[string]string `json:"header"` // and these headers, as Retry-After
	Reset  bool              `json:"reset"`  // no answer: the connection is reset (only closed, on a pipe)
	Close  bool              `json:"close"`  // no answer: the connection is closed, the client reads EOF
	Cut    int               `json:"cut"`    // the answer breaks off after so many bytes of its body

	Delay time.Duration `json:"delay"` // waits, in nanoseconds, before or after the handler
	Hook  func()        `json:"-"`     // runs after the delay; may call the workspace
}

// faults are those declared, and how often each has matched.
type faults struct {
	mu   sync.Mutex
	list []*armed
}

type armed struct {
	Fault
	seen int
}

// Fault declares a fault.
func (w *Workspace) Fault(f Fault) {
	w.faults.mu.Lock()
	defer w.faults.mu.Unlock()
	w.faults.list = append(w.faults.list, &armed{Fault: f})
}

// ClearFaults forgets all faults.
func (w *Workspace) ClearFaults() {
	w.faults.mu.Lock()
	defer w.faults.mu.Unlock()
	w.faults.list = nil
}

// take is the fault that strikes this request, or nil.
func (fs *faults) take(method, path, query string) *Fault {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	for _, a := range fs.list {
		if !matches(a.Pattern, method, path, query) {
			continue
		}
		a.seen++
		if a.seen <= a.Offset || a.Times >= 0 && a.seen > a.Offset+max(a.Times, 1) {
			continue
		}
		f := a.Fault
		return &f
	}
	return nil
}

// strike waits and runs the hook.
func (f *Fault) strike(ctx context.Context) {
	wait(ctx, f.Delay)
	if f.Hook != nil {
		f.Hook()
	}
}

// replaces tells whether the fault stands in for the answer.
func (f *Fault) replaces() bool { return f.Status != 0 || f.Reset || f.Close }

func (f *Fault) answer() answer {
	if f.Status == 0 {
		return answer{} // the connection is closed, nothing is sent
	}
	ans := refused(f.Status, faultCode(f.Status), "the emulator was told to fail").answer()
	if f.Body != "" {
		ans.body = []byte(f.Body)
	}
	ans.header = f.Header
	return ans
}

// faultCode is the error code that goes with a status when a fault names no body.
func faultCode(status int) string {
	switch status {
	case http.StatusBadRequest:
		return "INVALID_PARAMETER_VALUE"
	case http.StatusUnauthorized:
		return "UNAUTHENTICATED"
	case http.StatusForbidden:
		return "PERMISSION_DENIED"
	case http.StatusNotFound:
		return "RESOURCE_DOES_NOT_EXIST"
	case http.StatusTooManyRequests:
		return "REQUEST_LIMIT_EXCEEDED"
	case http.StatusServiceUnavailable:
		return "TEMPORARILY_UNAVAILABLE"
	}
	return "INTERNAL_ERROR"
}

// hangUp ends the connection without a word. It does not return.
func hangUp(rw http.ResponseWriter, reset bool) {
	if reset {
		if conn, _, err := http.NewResponseController(rw).Hijack(); err == nil {
			if tcp, isTCP := conn.(*net.TCPConn); isTCP {
				_ = tcp.SetLinger(0) // close then sends RST instead of FIN
			}
			_ = conn.Close()
		}
	}
	panic(http.ErrAbortHandler) // net/http's own way to drop a connection; it is not logged
}

// limiter is a rate limit on the workspace's clock.
type limiter struct{ bucket *rate.Limiter }

func newLimiter(l Limit) *limiter {
	return &limiter{rate.NewLimiter(rate.Limit(l.PerSecond), max(l.Burst, 1))}
}

// withinRate counts a request against the limit of its endpoint and that of all.
func (w *Workspace) withinRate(label string, now time.Time) bool {
	if len(w.limiters) == 0 {
		return true
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, name := range []string{"*", label} {
		if l := w.limiters[name]; l != nil && !l.bucket.AllowN(now, 1) {
			return false
		}
	}
	return true
}
