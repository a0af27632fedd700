package databricks

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/databricks/databricks-sdk-go/client"
	"github.com/databricks/databricks-sdk-go/common"
	"github.com/databricks/databricks-sdk-go/config"
	"github.com/databricks/databricks-sdk-go/httpclient"
	"github.com/databricks/databricks-sdk-go/logger"

	"selvage/fabric"
)

const (
	readAttempts = 4
	firstBackoff = 500 * time.Millisecond
	idleTimeout  = 60 * time.Second // of a request that makes no progress
	loginTimeout = 30 * time.Second
	unpaced      = 1 << 30 // the SDK's own rate limit, out of the way of ours
)

// call is one request.
type call struct {
	method, path string
	query        map[string]any // of a GET
	body         []byte
	stream       io.Reader // in place of body
	length       int64     // of stream
	contentType  string    // of body or stream; default application/json
}

// answer is what came back, with a status below 300.
type answer struct {
	header http.Header
	body   []byte
}

// send makes one attempt. Its error is a *CallError.
func (w *Workspace) send(ctx context.Context, c call) (answer, error) {
	api, err := w.connect()
	if err != nil {
		return answer{}, w.failed(c, &exchange{err: err})
	}
	x := &exchange{}
	ctx = logger.NewContext(seen(ctx, x), silent{})
	var data any
	headers := map[string]string{"Accept": "application/json"}
	switch {
	case c.stream != nil:
		data = c.stream
	case c.body != nil:
		data = c.body
	case len(c.query) > 0:
		data = c.query
	}
	if c.stream != nil || c.body != nil {
		headers["Content-Type"] = c.contentType
		if c.contentType == "" {
			headers["Content-Type"] = "application/json"
		}
	}
	var body []byte
	err = api.Do(ctx, c.method, c.path, headers, nil, data, &body, func(r *http.Request) error {
		if c.stream != nil {
			r.ContentLength = c.length
		}
		return nil
	})
	var refused *CallError
	switch {
	case err == nil:
		return answer{header: x.header, body: body}, nil
	case errors.As(err, &refused):
		refused.Request, refused.until = c.method+" "+c.path, x.until
		return answer{}, refused
	case x.err == nil: // logging in went wrong, or the answer broke off
		x.err = err
	}
	return answer{}, w.failed(c, x)
}

// failed is the error of a call that has no whole answer.
func (w *Workspace) failed(c call, x *exchange) *CallError {
	e := &CallError{Request: c.method + " " + c.path, Status: x.status, Sent: x.sent, Message: w.redact(x.err.Error())}
	for _, known := range []error{context.Canceled, context.DeadlineExceeded, fabric.ErrNoIntent, fabric.ErrSpent} {
		if errors.Is(x.err, known) {
			e.cause = known
		}
	}
	if busy := new(fabric.Busy); errors.As(x.err, &busy) {
		e.cause = busy
	}
	return e
}

// read sends a request that changes nothing, again where that may help.
func (w *Workspace) read(ctx context.Context, c call) (answer, error) {
	pause := backoff.NewExponentialBackOff()
	pause.InitialInterval = firstBackoff
	for attempt := 1; ; attempt++ {
		a, err := w.send(ctx, c)
		var e *CallError
		if err == nil || !errors.As(err, &e) || !e.passing() || attempt == readAttempts || ctx.Err() != nil {
			return a, err
		}
		if sleep(ctx, pause.NextBackOff()) != nil {
			return a, err
		}
	}
}

// get reads JSON into v.
func (w *Workspace) get(ctx context.Context, path string, query map[string]any, v any) error {
	c := call{method: http.MethodGet, path: path, query: query}
	a, err := w.read(ctx, c)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(a.body, v); err != nil {
		return w.failed(c, &exchange{sent: true, status: http.StatusOK, err: fmt.Errorf("the answer is not the JSON that the API promises: %w", err)})
	}
	return nil
}

// connect makes the SDK's client on first use. With access tokens that needs the network, so a
// failure is not kept: the next call tries again.
func (w *Workspace) connect() (*client.DatabricksClient, error) {
	w.connecting.Lock()
	defer w.connecting.Unlock()
	if w.api != nil {
		return w.api, nil
	}
	cfg := &config.Config{
		Host:                     w.host,
		Loaders:                  []config.Loader{explicit(w.attributes)},
		HTTPTransport:            loginTransport{w.base},
		HTTPTimeoutSeconds:       int(loginTimeout / time.Second),
		RetryTimeoutSeconds:      1, // token requests; the loop comes again
		DisableAsyncTokenRefresh: true,
	}
	// Where to ask for access tokens is published by the host. Who has a token needs not know.
	var unreachable error
	cfg.HostMetadataResolver = func(ctx context.Context, host string) (*config.HostMetadata, error) {
		if static(w.attributes) {
			return nil, nil
		}
		x := &exchange{}
		meta, err := cfg.DefaultHostMetadataResolver()(logger.NewContext(seen(ctx, x), silent{}), host)
		unreachable = x.err
		if err != nil {
			return nil, nil // an older host does not publish it
		}
		return meta, nil
	}
	clientCfg, err := config.HTTPClientConfigFromConfig(cfg)
	if err == nil {
		err = unreachable
	}
	if err != nil {
		return nil, fmt.Errorf("log in: %w", err)
	}
	clientCfg.Transport = w.transport
	clientCfg.HTTPTimeout = idleTimeout
	clientCfg.RateLimitPerSecond = unpaced
	clientCfg.ErrorMapper = w.mapError
	clientCfg.ErrorRetriable = func(context.Context, error) bool { return false }
	clientCfg.TransientErrors = nil
	api, err := client.NewWithClient(cfg, httpclient.NewApiClient(clientCfg))
	if err != nil {
		return nil, fmt.Errorf("log in: %w", err)
	}
	w.api = api
	return api, nil
}

// explicit is a config.Loader: the attributes that the configuration names, and no other source.
type explicit map[string]string

func (explicit) Name() string { return "selvage.yaml" }

func (e explicit) Configure(cfg *config.Config) error {
	return config.ConfigAttributes.ResolveFromStringMap(cfg, e)
}

// static reports a login that needs no access token.
func static(attributes map[string]string) bool {
	return attributes["auth_type"] == "pat" || attributes["auth_type"] == "basic"
}

// mapError turns an answer of 400 and above into a *CallError.
func (w *Workspace) mapError(_ context.Context, resp common.ResponseWrapper) error {
	if resp.Response.StatusCode < 400 {
		return nil
	}
	defer resp.ReadCloser.Close()
	e := &CallError{Status: resp.Response.StatusCode, Sent: true}
	raw, err := io.ReadAll(io.LimitReader(resp.ReadCloser, 64<<10))
	if err != nil {
		e.Message = "the answer broke off"
		return e
	}
	var body struct {
		Code    any    `json:"error_code"`
		Message string `json:"message"`
		Detail  string `json:"detail"` // SCIM
	}
	if json.Unmarshal(raw, &body) == nil {
		if body.Code != nil {
			e.Code = w.redact(fmt.Sprint(body.Code))
		}
		e.Message = w.redact(body.Message)
		if e.Message == "" {
			e.Message = w.redact(body.Detail)
		}
	}
	return e
}

// silent keeps the SDK from logging.
type silent struct{}

func (silent) Enabled(context.Context, logger.Level) bool     { return false }
func (silent) Tracef(context.Context, string, ...interface{}) {}
func (silent) Debugf(context.Context, string, ...interface{}) {}
func (silent) Infof(context.Context, string, ...interface{})  {}
func (silent) Warnf(context.Context, string, ...interface{})  {}
func (silent) Errorf(context.Context, string, ...interface{}) {}
