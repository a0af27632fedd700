package databricks

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/databricks/databricks-sdk-go/client"
	"github.com/databricks/databricks-sdk-go/config"
	"go.uber.org/zap"

	"selvage/configs"
	"selvage/fabric"
)

// Options say which workspace, and who we are there.
type Options struct {
	Name string // of the fabric, for messages
	// Config is where the workspace is and how to log in; auth_type is among its attributes.
	Config configs.Databricks
	// Root is the folder that artifacts are uploaded to, below /Workspace or /Volumes. Empty: a
	// folder of the principal that logs in.
	Root string
	// Installation is whose mark the jobs carry.
	Installation string
	// Blobs holds the artifacts.
	Blobs Blobs
	// Transport carries the requests; nil for one of our own.
	Transport http.RoundTripper
	Logger    *zap.Logger // nil for none
}

// Blobs is where artifacts are read from, by the SHA-256 of their content in hex. artifacts.Store is one.
type Blobs interface {
	Open(sha256 string) (io.ReadSeekCloser, error)
}

// Workspace is a fabric.Fabric.
type Workspace struct {
	name         string
	host         string // scheme and authority
	attributes   map[string]string
	installation string
	blobs        Blobs

	base      http.RoundTripper
	transport *apiTransport
	pace      *pace
	secrets   *strings.Replacer

	connecting sync.Mutex // guards api
	api        *client.DatabricksClient

	mu       sync.Mutex // guards what follows
	me       identity
	root     string
	uploaded map[string]int64 // path -> size of what is known to be there
	expect   expectations

	reads      map[string]fabric.Doc    // jobs that were read one by one since the last list, by id
	differing  map[string]reading       // by id
	accords    map[string]fabric.Accord // of jobs that were compared since the start, by id
	passedOver map[string]bool          // jobs that could not be read to be compared, since the start

	lists lists
}

var _ fabric.Fabric = (*Workspace)(nil)

// New returns the workspace. It sends nothing: whether the host answers shows on first use. Close it.
func New(o Options) (*Workspace, error) {
	u, err := url.Parse(o.Config.Host)
	if err != nil || u.Host == "" || u.User != nil || u.Scheme != "https" && u.Scheme != "http" {
		return nil, fmt.Errorf("fabric %s: host %q is not an address such as https://NAME", o.Name, o.Config.Host)
	}
	root := strings.TrimRight(o.Root, "/")
	if root != "" && (path.Clean(root) != root || !strings.HasPrefix(root, "/Workspace/") && !strings.HasPrefix(root, "/Volumes/")) {
		return nil, fmt.Errorf("fabric %s: artifacts %q is not a folder below /Workspace or /Volumes", o.Name, o.Root)
	}
	known := map[string]bool{}
	for _, a := range config.ConfigAttributes {
		known[a.Name] = true
	}
	attributes := make(map[string]string, len(o.Config.Attributes))
	for name, secret := range o.Config.Attributes {
		if !known[name] {
			return nil, fmt.Errorf("fabric %s: %s is not an attribute of the vendor's SDK", o.Name, name)
		}
		attributes[name] = secret.Reveal()
	}
	if attributes["auth_type"] == "" {
		return nil, fmt.Errorf("fabric %s: auth_type is not set, and selvage guesses no login", o.Name)
	}
	w := &Workspace{
		name:         o.Name,
		host:         u.Scheme + "://" + strings.ToLower(u.Host),
		attributes:   attributes,
		installation: o.Installation,
		blobs:        o.Blobs,
		base:         o.Transport,
		secrets:      redactor(attributes),
		root:         root,
		uploaded:     map[string]int64{},
		reads:        map[string]fabric.Doc{},
		differing:    map[string]reading{},
		accords:      map[string]fabric.Accord{},
		passedOver:   map[string]bool{},
	}
	if w.base == nil {
		w.base = newTransport()
	}
	log := o.Logger
	if log == nil {
		log = zap.NewNop()
	}
	w.pace = newPace(w.host, o.Config.RequestsPerSecond)
	w.transport = &apiTransport{base: w.base, pace: w.pace, log: log.With(zap.String("fabric", o.Name))}
	return w, nil
}

// Close closes idle connections. Requests under way end by their contexts.
func (w *Workspace) Close() {
	w.pace.leave()
	if c, ok := w.base.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// Settled says Settled: what the Jobs API answered to is done. Whether it agrees is seen by looking.
func (w *Workspace) Settled(context.Context, fabric.Step) (fabric.State, time.Time, error) {
	return fabric.Settled, time.Time{}, nil
}

// artifactRoot is the folder that artifacts are uploaded to. Without one configured it asks once who
// logs in.
func (w *Workspace) artifactRoot(ctx context.Context) (string, error) {
	w.mu.Lock()
	root := w.root
	w.mu.Unlock()
	if root != "" {
		return root, nil
	}
	me, err := w.whoAmI(ctx)
	if err != nil {
		return "", err
	}
	root = "/Workspace/Users/" + me + "/.selvage/artifacts"
	w.mu.Lock()
	w.root = root
	w.mu.Unlock()
	return root, nil
}

// sourcesRoot is the folder for what can't lie in a volume: one of the principal's own. It is empty where the artifacts
// lie in the workspace anyway. No other fabric has its artifacts there, so that what is collected of those never is of these.
func sourcesRoot(root, principal string) string {
	if !strings.HasPrefix(root, "/Volumes/") || principal == "" {
		return ""
	}
	return "/Workspace/Users/" + principal + "/.selvage/sources"
}
