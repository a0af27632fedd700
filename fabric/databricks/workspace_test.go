package databricks

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"selvage/artifacts"
	"selvage/configs"
	"selvage/fabric"
	"selvage/fabric/databricks/emulator"
)

const (
	installation = "test-installation"
	token        = "dapi0123456789abcdefcanary"
)

func pat(host, token string) configs.Databricks {
	return configs.Databricks{
		Host:              host,
		Attributes:        map[string]configs.Secret{"auth_type": configs.NewSecret("pat"), "token": configs.NewSecret(token)},
		RequestsPerSecond: 1e6,
	}
}

// rig is an emulated workspace, our view of it, and a journal in a file that the emulator reads: it
// refuses what is not in there.
type rig struct {
	e       *emulator.Workspace
	w       *Workspace
	store   *artifacts.Store
	journal *journal
}

// overTCP serves the emulator on a loopback port.
func overTCP(t *testing.T, eo emulator.Options, o Options) *rig {
	t.Helper()
	r := newRig(t, &eo)
	url, stop, err := r.e.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	r.open(t, url, o)
	t.Cleanup(r.w.Close)
	return r
}

// inBubble runs fn with an emulator behind pipes, where time passes as fast as nobody works.
func inBubble(t *testing.T, eo emulator.Options, o Options, fn func(t *testing.T, r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, &eo)
		l := emulator.NewPipeListener()
		stop := r.e.Serve(l)
		o.Transport = &http.Transport{DialContext: l.DialContext}
		r.open(t, "http://emulator", o)
		defer stop()
		defer r.w.Close()
		fn(t, r)
	})
}

func newRig(t *testing.T, eo *emulator.Options) *rig {
	t.Helper()
	dir := t.TempDir()
	if eo.Token == "" {
		eo.Token = token
	}
	eo.IntentLog = dir
	store, err := artifacts.OpenStore(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{e: emulator.New(*eo), store: store, journal: &journal{file: filepath.Join(dir, "1.jsonl"), open: map[string]fabric.Intent{}}}
	t.Cleanup(func() {
		for _, v := range r.e.Violations() {
			t.Errorf("the real API would reject: %s", v)
		}
	})
	return r
}

func (r *rig) open(t *testing.T, host string, o Options) {
	t.Helper()
	o.Name, o.Installation, o.Blobs = "test", installation, r.store
	if o.Config.Host == "" {
		attributes, rate := o.Config.Attributes, o.Config.RequestsPerSecond
		o.Config = pat(host, token)
		if attributes != nil {
			o.Config.Attributes = attributes
		}
		if rate != 0 {
			o.Config.RequestsPerSecond = rate
		}
	}
	w, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	r.w = w
}

// journal is a ledger of intents in one file.
type journal struct {
	file   string
	refuse bool         // the disk is full
	still  func() error // whether a request may still be sent

	mu      sync.Mutex
	open    map[string]fabric.Intent
	intents []fabric.Intent
	results []fabric.Result
}

func (j *journal) Begin(ctx context.Context, i fabric.Intent) (context.Context, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.refuse {
		return nil, errors.New("no space left on device")
	}
	line, err := json.Marshal(map[string]any{"intent": i.Nonce, "op": i.Op, "text": i.Text})
	if err != nil {
		return nil, err
	}
	f, err := os.OpenFile(j.file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if _, err := f.Write(append(line, '\n')); err != nil {
		return nil, err
	}
	j.open[i.Nonce] = i
	j.intents = append(j.intents, i)
	return fabric.WithPermit(ctx, i, j.still), nil
}

func (j *journal) End(_ context.Context, nonce string, rs ...fabric.Result) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if _, ok := j.open[nonce]; !ok {
		return fmt.Errorf("no open intent %s", nonce)
	}
	delete(j.open, nonce)
	j.results = append(j.results, rs...)
	return nil
}

func doc(t *testing.T, s string) fabric.Doc {
	t.Helper()
	d, err := fabric.ParseDoc([]byte(s))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func settings(name string, tasks int) string {
	var b strings.Builder
	fmt.Fprintf(&b, `{"name":%q,"format":"MULTI_TASK","queue":{"enabled":true},"max_concurrent_runs":1,"tasks":[`, name)
	for i := range tasks {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"task_key":"t%04d","spark_python_task":{"python_file":"/Workspace/x.py"},"existing_cluster_id":"c"}`, i)
	}
	b.WriteString(`]}`)
	return b.String()
}

func creation(t *testing.T, key, name string) fabric.Change {
	return fabric.Change{Key: fabric.Key(key), Kind: Job, Name: name, Action: fabric.Create,
		Owner: fabric.Owner{Deployment: "shop@test", Key: fabric.Key(key)}, Desired: doc(t, settings(name, 2))}
}

// create makes a job of ours and returns it as Observe gives it.
func (r *rig) create(t *testing.T, key, name string) fabric.Object {
	t.Helper()
	o := r.w.Do(t.Context(), fabric.Step{ID: "create", Changes: []fabric.Change{creation(t, key, name)}}, r.journal)
	if o.Status != fabric.Done {
		t.Fatalf("create %s: %s: %v", key, o.Status, o.Err)
	}
	return r.object(t, o.Results[0].ID)
}

func (r *rig) object(t *testing.T, id string) fabric.Object {
	t.Helper()
	for _, o := range r.look(t).Objects() {
		if o.ID == id {
			return o
		}
	}
	t.Fatalf("job %s is not listed", id)
	return fabric.Object{}
}

func (r *rig) look(t *testing.T) *fabric.Live {
	t.Helper()
	live, err := r.w.Observe(t.Context(), fabric.Scope{})
	if err != nil {
		t.Fatal(err)
	}
	return live
}

// canaryIn fails when a credential stands in what was said.
func canaryIn(t *testing.T, said string) {
	t.Helper()
	for _, secret := range []string{token, "canary"} {
		if strings.Contains(said, secret) {
			t.Errorf("a credential is printed: %s", said)
		}
	}
}

func TestNewRefusesWhatCannotWork(t *testing.T) {
	good := pat("https://w.example", token)
	for name, tt := range map[string]struct {
		change func(*Options)
		want   string
	}{
		"no scheme":        {func(o *Options) { o.Config.Host = "w.example" }, `fabric test: host "w.example" is not an address such as https://NAME`},
		"a user":           {func(o *Options) { o.Config.Host = "https://me@w.example" }, `is not an address`},
		"odd folder":       {func(o *Options) { o.Root = "/Workspace/../etc" }, `is not a folder below /Workspace or /Volumes`},
		"dbfs":             {func(o *Options) { o.Root = "/dbfs/x" }, `is not a folder below /Workspace or /Volumes`},
		"no login":         {func(o *Options) { o.Config.Attributes = nil }, "auth_type is not set, and selvage guesses no login"},
		"an odd attribute": {func(o *Options) { o.Config.Attributes["tokn"] = configs.NewSecret(token) }, "tokn is not an attribute of the vendor's SDK"},
	} {
		t.Run(name, func(t *testing.T) {
			o := Options{Name: "test", Config: configs.Databricks{Host: good.Host, Attributes: map[string]configs.Secret{}}}
			for k, v := range good.Attributes {
				o.Config.Attributes[k] = v
			}
			tt.change(&o)
			w, err := New(o)
			if err == nil {
				w.Close()
				t.Fatal("accepted")
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %q, want %q in it", err, tt.want)
			}
			canaryIn(t, err.Error())
		})
	}
}

func blobIn(t *testing.T, s *artifacts.Store, content []byte, root string) fabric.Blob {
	t.Helper()
	sum, size, err := s.Put(bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	const name = "clean_orders-1.0-py3-none-any.whl"
	return fabric.Blob{SHA256: sum, Name: name, Size: size, Path: root + "/" + sum + "/" + name}
}
