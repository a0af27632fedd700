package gitwatch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
)

// httpTransport is shared by all polls of the process, so that repositories of one server share
// connections. Proxies come from the environment (HTTPS_PROXY, NO_PROXY), as the daemon's unit
// file sets them; nothing else does. Every request carries a deadline of its own.
var httpTransport = &http.Transport{
	Proxy:                  http.ProxyFromEnvironment,
	DialContext:            (&net.Dialer{Timeout: 20 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
	TLSHandshakeTimeout:    20 * time.Second,
	MaxIdleConns:           64,
	MaxIdleConnsPerHost:    8,
	IdleConnTimeout:        90 * time.Second,
	ForceAttemptHTTP2:      true,
	MaxResponseHeaderBytes: 256 << 10,
	DisableCompression:     true, // a list of refs that unpacks to gigabytes is not worth having
}

// httpRemote speaks smart HTTP (git's Documentation/gitprotocol-http.txt).
type httpRemote struct {
	address address // moves along with a redirect on the same host
	auth    Auth
	limits  Limits
}

func (h *httpRemote) at() address { return h.address }

// base is the address without credentials and without a slash at its end.
func (h *httpRemote) base() string {
	u := url.URL{Scheme: h.address.scheme, Host: h.address.host, Path: strings.TrimRight(h.address.path, "/")}
	return u.String()
}

const infoRefs = "/info/refs"

func (h *httpRemote) list(ctx context.Context) (*advertisement, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, h.base()+infoRefs+"?service=git-upload-pack", nil)
	if err != nil {
		return nil, err
	}
	res, err := h.do(req, "application/x-git-upload-pack-advertisement", sameOrigin)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	moved, ok := strings.CutSuffix(res.Request.URL.Path, infoRefs)
	if !ok {
		return nil, fmt.Errorf("the server redirects to %s, which is not a git repository", bare(res.Request.URL))
	}
	h.address.path = moved
	body := capped(res.Body, listBytes(h.limits.MaxRefs), "MaxRefs", "the list of refs of "+h.address.String())
	return readAdvertisement(body, h.address.String(), h.limits.MaxRefs)
}

func (h *httpRemote) pack(ctx context.Context, capabilities string, wants, haves []string) (io.ReadCloser, error) {
	var body bytes.Buffer
	ask, err := packRequest(&body, capabilities, wants, haves)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, h.base()+"/git-upload-pack", &body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/x-git-upload-pack-request")
	res, err := h.do(req, "application/x-git-upload-pack-result", func(to *http.Request, _ []*http.Request) error {
		return fmt.Errorf("the server redirects a fetch to %s", bare(to.URL))
	})
	if err != nil {
		return nil, err
	}
	return packResponse(ask, res.Body)
}

// do sends a request with our credentials and takes only an answer of the wanted content type: a login
// page that answers 200 is not a git server.
func (h *httpRemote) do(req *http.Request, contentType string, redirect func(*http.Request, []*http.Request) error) (*http.Response, error) {
	req.Header.Set("User-Agent", capability.DefaultAgent())
	req.Header.Set("Accept", contentType)
	if user := h.user(); user != "" || h.auth.Password != "" {
		req.SetBasicAuth(user, h.auth.Password)
	}
	client := http.Client{Transport: httpTransport, CheckRedirect: redirect}
	res, err := client.Do(req)
	if err != nil {
		var wrapped *url.Error // its text repeats the address
		if errors.As(err, &wrapped) {
			err = wrapped.Err
		}
		return nil, err
	}
	if err := checkAnswer(res, contentType); err != nil {
		return nil, errors.Join(err, res.Body.Close())
	}
	return res, nil
}

func (h *httpRemote) user() string {
	if h.auth.Username != "" {
		return h.auth.Username
	}
	return h.address.user
}

func checkAnswer(res *http.Response, contentType string) error {
	switch res.StatusCode {
	case http.StatusOK:
		if got := res.Header.Get("Content-Type"); got != contentType {
			return fmt.Errorf("the server does not speak git's smart protocol there: it answers with %q", printable(got, 80))
		}
		return nil
	case http.StatusUnauthorized, http.StatusForbidden:
		return fmt.Errorf("%w: the server answers %d; check the user name and password or token", ErrDenied, res.StatusCode)
	case http.StatusNotFound, http.StatusGone:
		return fmt.Errorf("%w: the server answers %d; check the address, and that the credential may read it", ErrNoRepository, res.StatusCode)
	}
	// The page itself is left out: it can be long, and an intermediary may have put anything in it.
	return fmt.Errorf("the server answers %d %s", res.StatusCode, http.StatusText(res.StatusCode))
}

// sameOrigin lets a list-refs request follow a redirect on the same scheme, host and port, as a forge
// answers to an address without ".git". Another host is never dialled: it isn't in the configuration,
// and it would be handed our credentials.
func sameOrigin(to *http.Request, via []*http.Request) error {
	first := via[0].URL
	if to.URL.Scheme != first.Scheme || !strings.EqualFold(to.URL.Host, first.Host) {
		return fmt.Errorf("the server redirects to %s: if that is where the repository is now, configure that address", bare(to.URL))
	}
	if len(via) >= 5 {
		return errors.New("the server redirects in circles")
	}
	return nil
}

// bare prints the scheme, host and path of a URL that a server chose, which is all that may be shown of it.
func bare(u *url.URL) string {
	b := url.URL{Scheme: u.Scheme, Host: u.Host, Path: strings.TrimSuffix(u.Path, infoRefs)}
	return printable(b.String(), 200)
}
