package emulator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// call is one request, read to its end.
type call struct {
	method, path string
	query        map[string][]string
	header       http.Header
	host         string
	body         []byte
	user         string
	now          time.Time
}

func (c *call) param(name string) string {
	if v := c.query[name]; len(v) > 0 {
		return v[0]
	}
	return ""
}

// answer is what goes back, before any fault touches it.
type answer struct {
	status int
	header map[string]string
	body   []byte
}

// failure is an answer that is an error of the API.
type failure struct {
	status    int
	code      string
	message   string
	violation bool // no careful client causes it
}

// invalid is a request that the API rejects for its values.
func invalid(format string, a ...any) *failure {
	return &failure{http.StatusBadRequest, "INVALID_PARAMETER_VALUE", fmt.Sprintf(format, a...), true}
}

// malformed is a request that the API can't parse.
func malformed(format string, a ...any) *failure {
	return &failure{http.StatusBadRequest, "MALFORMED_REQUEST", fmt.Sprintf(format, a...), true}
}

// refused is an error that also a careful client meets, as a missing file.
func refused(status int, code, format string, a ...any) *failure {
	return &failure{status, code, fmt.Sprintf(format, a...), false}
}

func (f *failure) answer() answer {
	body, err := marshal(map[string]any{"error_code": f.code, "message": f.message})
	if err != nil {
		body = nil // two strings always encode
	}
	return answer{status: f.status, body: body}
}

// ok is status 200 with v as JSON.
func ok(v any) (answer, *failure) {
	body, err := marshal(v)
	if err != nil {
		return answer{}, &failure{status: http.StatusInternalServerError, code: "INTERNAL_ERROR", message: err.Error()}
	}
	return answer{status: http.StatusOK, body: body}, nil
}

// maxBody is the most that we read of any request. What an endpoint accepts is less.
const maxBody = 1 << 30

// ServeHTTP answers one request of the API, or of the control paths below /__emulator/.
func (w *Workspace) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	// The body is read before anything else: the server notices a caller that went away only after
	// that, and a fault that closes the connection must not look like a body cut short.
	body, err := io.ReadAll(http.MaxBytesReader(rw, r.Body, maxBody))
	if err != nil {
		status := http.StatusBadRequest
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			status = http.StatusRequestEntityTooLarge
		}
		http.Error(rw, err.Error(), status)
		return
	}
	c := &call{method: r.Method, path: r.URL.Path, query: r.URL.Query(), header: r.Header, host: r.Host, body: body, now: w.o.Now()}
	if strings.HasPrefix(c.path, controlRoot) {
		send(rw, r, w.control(c), nil)
		return
	}
	entry := w.journal.open(Request{Method: r.Method, Path: r.URL.Path, Query: r.URL.RawQuery, Bytes: len(body),
		Intent: r.Header.Get(IntentHeader), At: c.now})
	f := w.faults.take(r.Method, r.URL.Path, r.URL.RawQuery)
	ans := w.serve(r.Context(), c, f)
	w.journal.close(entry, ans.status, f != nil)
	send(rw, r, ans, f)
}

// serve runs the handler in the middle of the latency.
func (w *Workspace) serve(ctx context.Context, c *call, f *Fault) answer {
	due := time.Now().Add(w.o.Latency)
	wait(ctx, w.o.Latency/2)
	ans := w.answer(ctx, c, f)
	wait(ctx, time.Until(due))
	return ans
}

// answer runs the handler, with the fault before or after it.
func (w *Workspace) answer(ctx context.Context, c *call, f *Fault) answer {
	if f == nil {
		return w.handle(c)
	}
	if !f.After {
		f.strike(ctx)
		if f.replaces() {
			return f.answer()
		}
		return w.handle(c)
	}
	ans := w.handle(c)
	f.strike(ctx)
	if f.replaces() {
		return f.answer()
	}
	return ans
}

// handle answers one request as the service would.
func (w *Workspace) handle(c *call) answer {
	h, label := route(c.method, c.path)
	f := w.admit(c, h, label)
	var ans answer
	if f == nil {
		ans, f = h.serve(w, c)
	}
	if f == nil {
		return ans
	}
	if f.violation {
		w.journal.violate(fmt.Sprintf("%s %s: %d %s: %s", c.method, c.path, f.status, f.code, f.message))
	}
	ans = f.answer()
	if f.status == http.StatusTooManyRequests && w.o.Unverified.RetryAfter {
		ans.header = map[string]string{"Retry-After": "1"}
	}
	return ans
}

// admit is everything that stands before an endpoint: does it exist, the rate, the caller, the intent.
func (w *Workspace) admit(c *call, h endpoint, label string) *failure {
	if h.serve == nil {
		return &failure{http.StatusNotFound, "ENDPOINT_NOT_FOUND",
			fmt.Sprintf("No API found for '%s %s'", c.method, c.path), true}
	}
	if !w.withinRate(label, c.now) {
		return refused(http.StatusTooManyRequests, "REQUEST_LIMIT_EXCEEDED",
			"Your request was rejected since your organization has exceeded the rate limit of %s.", label)
	}
	if h.open {
		return nil
	}
	if f := w.authenticate(c); f != nil {
		return f
	}
	if c.method == http.MethodGet || c.method == http.MethodHead {
		return nil
	}
	if err := w.intents.check(c.header.Get(IntentHeader)); err != nil {
		return &failure{http.StatusInternalServerError, "INTENT_MISSING", err.Error(), true}
	}
	return nil
}

// send writes the answer, or breaks the connection as the fault asks.
func send(rw http.ResponseWriter, r *http.Request, ans answer, f *Fault) {
	if f != nil && (f.Reset || f.Close) {
		hangUp(rw, f.Reset)
	}
	h := rw.Header()
	h.Set("Content-Type", "application/json")
	for k, v := range ans.header {
		h.Set(k, v)
	}
	if h.Get("Content-Length") == "" && ans.status != http.StatusNoContent {
		h.Set("Content-Length", fmt.Sprint(len(ans.body)))
	}
	rw.WriteHeader(ans.status)
	if r.Method == http.MethodHead {
		return
	}
	if f != nil && f.Cut > 0 && f.Cut < len(ans.body) {
		_, _ = rw.Write(ans.body[:f.Cut])
		_ = http.NewResponseController(rw).Flush()
		hangUp(rw, false)
	}
	_, _ = rw.Write(ans.body) // the caller may have gone; nobody is left to tell
}

// marshal writes JSON as the service does: numbers as they came, no escapes for <, > and &.
func marshal(v any) ([]byte, error) {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, fmt.Errorf("encode answer: %w", err)
	}
	return []byte(strings.TrimSuffix(b.String(), "\n")), nil
}

// wait sleeps for d on the process's clock (the bubble's, under synctest), or until the caller is gone.
func wait(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
