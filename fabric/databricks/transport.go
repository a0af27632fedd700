package databricks

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"go.uber.org/zap"

	"selvage/fabric"
)

// IntentHeader carries the nonce of the intent that a changing request belongs to, for whoever reads
// the workspace's access log beside our ledger.
const IntentHeader = "X-Selvage-Intent"

// maxAnswer bounds one answer, in bytes. A page of 100 jobs with 100 tasks each is far below it.
const maxAnswer = 256 << 20

// exchange is what the transport saw of one request. It travels in the request's context, past the
// SDK, which would turn some of it into retries and lose the rest.
type exchange struct {
	sent   bool // whether a byte may have reached the service
	status int  // 0: no answer
	header http.Header
	until  time.Time // before which the service wants no more of the kind
	err    error     // why there is no answer
}

type exchangeKey struct{}

// apiTransport is the way of all API requests. It paces them, refuses what changes the workspace
// without a permit, and follows no redirect. It logs neither bodies nor headers.
type apiTransport struct {
	base http.RoundTripper
	pace *pace
	log  *zap.Logger
}

// errNoAnswer is what the SDK gets to see in place of every network error: by its text it can't take
// it for one that it should retry.
var errNoAnswer = errors.New("no answer")

func (t *apiTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx := r.Context()
	x, _ := ctx.Value(exchangeKey{}).(*exchange)
	if x == nil {
		x = &exchange{}
	}
	fail := func(err error) (*http.Response, error) {
		x.err = err
		if r.Body != nil {
			r.Body.Close()
		}
		return nil, errNoAnswer
	}
	kind := classOf(r.Method, r.URL.Path)
	if !changes(r.Method) {
		if err := t.pace.wait(ctx, kind); err != nil {
			return fail(err)
		}
	} else {
		answered, err := t.pace.turn(ctx, kind)
		if err != nil {
			return fail(err)
		}
		defer answered()
		nonce, err := fabric.UsePermit(ctx)
		if err != nil {
			return fail(err)
		}
		r = r.Clone(ctx)
		r.Header.Set(IntentHeader, nonce)
	}
	begin := time.Now()
	x.sent = true
	resp, err := t.base.RoundTrip(r)
	if err != nil {
		x.sent = !neverSent(err)
		x.err = err
		t.log.Debug("request", zap.String("method", r.Method), zap.String("path", r.URL.Path), zap.Bool("answered", false), zap.Duration("took", time.Since(begin)))
		return nil, errNoAnswer
	}
	t.log.Debug("request", zap.String("method", r.Method), zap.String("path", r.URL.Path), zap.Int("status", resp.StatusCode), zap.Duration("took", time.Since(begin)))
	x.status, x.header = resp.StatusCode, resp.Header
	x.until = t.pace.heed(kind, resp, begin, time.Now())
	if err := refuseRedirect(resp); err != nil {
		x.err = err
		return nil, errNoAnswer
	}
	resp.Body = &bounded{ReadCloser: resp.Body, left: maxAnswer}
	return resp, nil
}

// changes reports a method that may change the workspace.
func changes(method string) bool {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		return false
	}
	return true
}

// neverSent reports an error that came before the first byte of the request could leave. net/http
// itself sends a POST again only when nothing of it was written.
func neverSent(err error) bool {
	var op *net.OpError
	var certificate *tls.CertificateVerificationError
	return errors.As(err, &op) && op.Op == "dial" || errors.As(err, &certificate)
}

// refuseRedirect keeps net/http from following one: it could take a request, or credentials, elsewhere.
func refuseRedirect(resp *http.Response) error {
	if resp.StatusCode < 300 || resp.StatusCode > 399 {
		return nil
	}
	resp.Body.Close()
	where := "another address"
	if u, err := url.Parse(resp.Header.Get("Location")); err == nil && u.Host != "" {
		where = u.Scheme + "://" + u.Host
	}
	return fmt.Errorf("it redirects to %s, which selvage does not follow; set host to the workspace's own address", where)
}

// bounded fails where an answer is longer than any should be, instead of ending it there.
type bounded struct {
	io.ReadCloser
	left int64
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, fmt.Errorf("the answer is longer than %d MB", maxAnswer>>20)
	}
	n, err := b.ReadCloser.Read(p)
	b.left -= int64(n)
	return n, err
}

// loginTransport is the way of requests for access tokens, and of nothing else.
type loginTransport struct{ base http.RoundTripper }

func (t loginTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	form := strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded")
	if changes(r.Method) && (!form || strings.HasPrefix(r.URL.Path, "/api/")) {
		if r.Body != nil {
			r.Body.Close()
		}
		return nil, fabric.ErrNoIntent
	}
	resp, err := t.base.RoundTrip(r)
	if err == nil {
		err = refuseRedirect(resp)
	}
	if err != nil {
		if x, _ := r.Context().Value(exchangeKey{}).(*exchange); x != nil {
			x.err = err
		}
		return nil, err
	}
	return resp, nil
}

// newTransport is our own, so that closing one workspace's idle connections leaves others alone. It
// verifies certificates as Go does and takes a proxy from the usual environment variables.
func newTransport() *http.Transport {
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 30 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		ForceAttemptHTTP2:     true,
		MaxIdleConns:          32,
		MaxIdleConnsPerHost:   16,
		IdleConnTimeout:       90 * time.Second,
		TLSHandshakeTimeout:   15 * time.Second,
		ExpectContinueTimeout: time.Second,
	}
}

// seen returns a context that carries x to the transport.
func seen(ctx context.Context, x *exchange) context.Context {
	return context.WithValue(ctx, exchangeKey{}, x)
}
