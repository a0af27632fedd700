package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"syscall"

	"selvage/reconciler"
)

// ErrNotRunning is returned by Dial when no daemon listens on the socket.
var ErrNotRunning = errors.New("no daemon is running")

// Client asks a daemon. It implements reconciler.Operator.
type Client struct{ http http.Client }

var _ reconciler.Operator = (*Client)(nil)

// Dial finds out that a daemon listens on the socket at path, and returns a client for it.
func Dial(ctx context.Context, path string) (*Client, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", path)
	switch {
	case errors.Is(err, os.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED), len(path) > longestPath:
		return nil, fmt.Errorf("%w (%s)", ErrNotRunning, path)
	case errors.Is(err, os.ErrPermission):
		return nil, fmt.Errorf("the control socket %s is not open to %s", path, Person(os.Getuid()))
	case err != nil:
		return nil, fmt.Errorf("control socket: %w", err)
	}
	conn.Close()
	return &Client{http: http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return d.DialContext(ctx, "unix", path) },
	}}}, nil
}

// Close gives the connection back.
func (c *Client) Close() error {
	c.http.CloseIdleConnections()
	return nil
}

// remoteError is an error that the daemon answered.
type remoteError struct {
	text string
	kind error
}

func (e *remoteError) Error() string { return e.text }
func (e *remoteError) Unwrap() error { return e.kind }

func (c *Client) do(ctx context.Context, method, path string, query url.Values, in, out any) error {
	var body bytes.Buffer
	if in != nil {
		if err := json.NewEncoder(&body).Encode(in); err != nil {
			return err
		}
	}
	r, err := http.NewRequestWithContext(ctx, method, "http://selvage"+path+"?"+query.Encode(), &body)
	if err != nil {
		return err
	}
	resp, err := c.http.Do(r)
	if err != nil {
		return fmt.Errorf("ask the daemon: %w", err)
	}
	defer resp.Body.Close()
	var a answer
	if err := json.NewDecoder(resp.Body).Decode(&a); err != nil {
		return fmt.Errorf("ask the daemon: it answered %s: %w", resp.Status, err)
	}
	if out != nil && len(a.Result) > 0 {
		if err := json.Unmarshal(a.Result, out); err != nil {
			return fmt.Errorf("read the daemon's answer: %w", err)
		}
	}
	if a.Error != "" {
		e := &remoteError{text: strings.TrimSpace(a.Error)}
		if a.Unknown {
			e.kind = reconciler.ErrUnknownDeployment
		}
		return e
	}
	return nil
}

// Status implements reconciler.Operator.
func (c *Client) Status(ctx context.Context, deployment string) (list []reconciler.Status, err error) {
	err = c.do(ctx, http.MethodGet, "/v1/status", url.Values{"deployment": {deployment}}, nil, &list)
	return list, err
}

// Configuration implements reconciler.Operator.
func (c *Client) Configuration(ctx context.Context) (running reconciler.Configuration, err error) {
	err = c.do(ctx, http.MethodGet, "/v1/configuration", nil, nil, &running)
	return running, err
}

// Plan implements reconciler.Operator.
func (c *Client) Plan(ctx context.Context, deployment, revision string) (d reconciler.Decision, err error) {
	err = c.do(ctx, http.MethodGet, "/v1/plan", url.Values{"deployment": {deployment}, "revision": {revision}}, nil, &d)
	return d, err
}

// Apply implements reconciler.Operator. The daemon sees for itself who asks: By is not sent.
func (c *Client) Apply(ctx context.Context, a reconciler.ApplyRequest) (d reconciler.Decision, err error) {
	a.By = ""
	err = c.do(ctx, http.MethodPost, "/v1/apply", nil, a, &d)
	return d, err
}

// Why implements reconciler.Operator.
func (c *Client) Why(ctx context.Context, deployment string) (d reconciler.Decision, err error) {
	err = c.do(ctx, http.MethodGet, "/v1/why", url.Values{"deployment": {deployment}}, nil, &d)
	return d, err
}

// Suspend implements reconciler.Operator. By is not sent.
func (c *Client) Suspend(ctx context.Context, s reconciler.Suspension) error {
	s.By = ""
	return c.do(ctx, http.MethodPost, "/v1/suspend", nil, s, nil)
}

// ResumeJob implements reconciler.Operator. by is not sent.
func (c *Client) ResumeJob(ctx context.Context, deployment, job, _ string) error {
	return c.do(ctx, http.MethodPost, "/v1/resume-job", nil, resumeJob{deployment, job}, nil)
}

// Resume implements reconciler.Operator. by is not sent.
func (c *Client) Resume(ctx context.Context, target, _ string) error {
	return c.do(ctx, http.MethodPost, "/v1/resume", nil, reconciler.Suspension{Target: target}, nil)
}

// Collect implements reconciler.Operator. By is not sent.
func (c *Client) Collect(ctx context.Context, r reconciler.CollectRequest) (found reconciler.Collected, err error) {
	r.By = ""
	err = c.do(ctx, http.MethodPost, "/v1/collect", nil, r, &found)
	return found, err
}

// Hold implements reconciler.Operator. By is not sent.
func (c *Client) Hold(ctx context.Context, q reconciler.HoldRequest) (h reconciler.Holding, err error) {
	q.By = ""
	err = c.do(ctx, http.MethodPost, "/v1/hold", nil, q, &h)
	return h, err
}

// Unhold implements reconciler.Operator. by is not sent.
func (c *Client) Unhold(ctx context.Context, deployment, _ string) error {
	return c.do(ctx, http.MethodPost, "/v1/unhold", nil, reconciler.HoldRequest{Deployment: deployment}, nil)
}

// Adopt implements reconciler.Operator. By is not sent.
func (c *Client) Adopt(ctx context.Context, q reconciler.AdoptRequest) (t reconciler.Takeover, err error) {
	q.By = ""
	err = c.do(ctx, http.MethodPost, "/v1/adopt", nil, q, &t)
	return t, err
}

// Disown implements reconciler.Operator. By is not sent.
func (c *Client) Disown(ctx context.Context, q reconciler.DisownRequest) (h reconciler.Handover, err error) {
	q.By = ""
	err = c.do(ctx, http.MethodPost, "/v1/disown", nil, q, &h)
	return h, err
}
