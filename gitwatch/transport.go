package gitwatch

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/sideband"
)

// remote is a git server that one transport reaches. We bring our own three small transports, with
// go-git's encoding of the protocol, because go-git's dial without a deadline (ssh), read answers
// and error pages without an end, follow redirects to other hosts, and look into ~/.ssh and at an agent.
type remote interface {
	// list makes one list-refs request.
	list(ctx context.Context) (*advertisement, error)
	// pack asks for what wants reach and haves don't. The caller closes the stream, whose end is checked
	// by whoever reads a pack: a pack ends with its own checksum.
	pack(ctx context.Context, capabilities string, wants, haves []string) (io.ReadCloser, error)
	// at is where list was finally answered, if a redirect on the same host led there.
	at() address
}

func newRemote(a address, auth Auth, limits Limits) remote {
	switch a.scheme {
	case "ssh":
		return &streamRemote{address: a, limits: limits, open: sshOpener(a, auth)}
	case "file":
		return &streamRemote{address: a, limits: limits, open: fileOpener(a)}
	default:
		return &httpRemote{address: a, auth: auth, limits: limits}
	}
}

// listBytes bounds the answer to a list-refs request: a line holds an id and a name, and tags have two.
func listBytes(maxRefs int) int64 { return 1<<20 + int64(maxRefs)*512 }

// packRequest is the body of an upload-pack request. All haves go out at once, followed by "done":
// one round trip, at the price of a pack that may be somewhat larger than negotiating would give.
func packRequest(w io.Writer, capabilities string, wants, haves []string) (*packp.UploadPackRequest, error) {
	offered := capability.NewList()
	if err := offered.Decode([]byte(capabilities)); err != nil {
		return nil, fmt.Errorf("read the capabilities of the remote: %w", err)
	}
	if f := offered.Get("object-format"); len(f) > 0 && f[0] != "sha1" {
		return nil, fmt.Errorf("the remote names objects by %s; only repositories with SHA-1 are supported", printable(f[0], 20))
	}
	req := packp.NewUploadPackRequest()
	for _, c := range []capability.Capability{capability.OFSDelta, capability.NoProgress} {
		if offered.Supports(c) {
			if err := req.Capabilities.Set(c); err != nil {
				return nil, err
			}
		}
	}
	for _, c := range []capability.Capability{capability.Sideband64k, capability.Sideband} {
		if offered.Supports(c) {
			if err := req.Capabilities.Set(c); err != nil {
				return nil, err
			}
			break
		}
	}
	if offered.Supports(capability.Agent) {
		if err := req.Capabilities.Set(capability.Agent, capability.DefaultAgent()); err != nil {
			return nil, err
		}
	}
	for _, id := range wants {
		req.Wants = append(req.Wants, plumbing.NewHash(id))
	}
	for _, id := range haves {
		req.Haves = append(req.Haves, plumbing.NewHash(id))
	}
	if err := req.UploadRequest.Encode(w); err != nil {
		return nil, err
	}
	if err := req.UploadHaves.Encode(w, false); err != nil {
		return nil, err
	}
	_, err := io.WriteString(w, "0009done\n")
	return req, err
}

// packResponse finds the pack in the answer to req.
func packResponse(req *packp.UploadPackRequest, answer io.ReadCloser) (io.ReadCloser, error) {
	res := packp.NewUploadPackResponse(req)
	if err := res.Decode(answer); err != nil {
		return nil, errors.Join(fmt.Errorf("ask for a pack: %s", printable(err.Error(), 200)), answer.Close())
	}
	kind := sideband.Sideband64k
	switch {
	case req.Capabilities.Supports(capability.Sideband64k):
	case req.Capabilities.Supports(capability.Sideband):
		kind = sideband.Sideband
	default:
		return res, nil
	}
	return struct {
		io.Reader
		io.Closer
	}{sideband.NewDemuxer(kind, res), res}, nil
}

// cappedReader fails with a LimitError once more than left bytes were read.
type cappedReader struct {
	r     io.Reader
	left  int64
	limit LimitError
}

func capped(r io.Reader, allowed int64, limit, subject string) *cappedReader {
	return &cappedReader{r, allowed, LimitError{Limit: limit, Allowed: allowed, Subject: subject}}
}

func (c *cappedReader) Read(p []byte) (int, error) {
	if c.left < 0 {
		return 0, &c.limit
	}
	if int64(len(p)) > c.left+1 {
		p = p[:c.left+1]
	}
	n, err := c.r.Read(p)
	if c.left -= int64(n); c.left < 0 {
		return n - 1, &c.limit
	}
	return n, err
}
