package databricks

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"selvage/configs"
	"selvage/fabric"
	"selvage/fabric/databricks/emulator"
)

// wire is a server that remembers what reaches it and answers everything alike.
type wire struct {
	*httptest.Server
	mu   sync.Mutex
	seen []string // every request: method, path, all headers
}

func newWire(t *testing.T, answer http.HandlerFunc) *wire {
	w := &wire{}
	w.Server = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.mu.Lock()
		w.seen = append(w.seen, fmt.Sprint(r.Method, " ", r.URL, " ", r.Header))
		w.mu.Unlock()
		answer(rw, r)
	}))
	t.Cleanup(w.Close)
	return w
}

func (w *wire) all() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Join(w.seen, "\n")
}

// TestNothingAmbient: what the environment and the profile say about some workspace never reaches another.
func TestNothingAmbient(t *testing.T) {
	stray := newWire(t, func(rw http.ResponseWriter, r *http.Request) {})
	home := t.TempDir()
	profile := "[DEFAULT]\nhost = " + stray.URL + "\ntoken = ambient-profile\nclient_id = ambient-id\nclient_secret = ambient-secret\n"
	if err := os.WriteFile(filepath.Join(home, ".databrickscfg"), []byte(profile), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("HOME", home)
	for name, v := range map[string]string{
		"DATABRICKS_HOST": stray.URL, "DATABRICKS_TOKEN": "ambient-token", "DATABRICKS_CONFIG_FILE": filepath.Join(home, ".databrickscfg"),
		"DATABRICKS_CONFIG_PROFILE": "DEFAULT", "DATABRICKS_CLIENT_ID": "ambient-id", "DATABRICKS_CLIENT_SECRET": "ambient-secret",
		"DATABRICKS_USERNAME": "ambient-user", "DATABRICKS_PASSWORD": "ambient-password", "DATABRICKS_AUTH_TYPE": "oauth-m2m",
		"DATABRICKS_RATE_LIMIT": "1", "ARM_CLIENT_SECRET": "ambient-azure", "DATABRICKS_DISCOVERY_URL": stray.URL, "DATABRICKS_DEBUG_HEADERS": "true",
	} {
		t.Setenv(name, v)
	}
	answer := func(rw http.ResponseWriter, r *http.Request) { fmt.Fprint(rw, `{"userName":"me"}`) }
	a, b := newWire(t, answer), newWire(t, answer)
	for _, x := range []struct {
		*wire
		own, others string
	}{{a, "token-of-a", "token-of-b"}, {b, "token-of-b", "token-of-a"}} {
		w, err := New(Options{Name: "x", Config: pat(x.URL, x.own)})
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		if _, err := w.Observe(t.Context(), fabric.Scope{}); err != nil {
			t.Fatal(err)
		}
		got := x.all()
		if !strings.Contains(got, "Bearer "+x.own) || strings.Contains(got, x.others) || strings.Contains(strings.ToLower(got), "ambient") {
			t.Errorf("on the wire:\n%s", got)
		}
	}
	half := pat(a.URL, "")
	half.Attributes = map[string]configs.Secret{"auth_type": configs.NewSecret("oauth-m2m"), "client_id": configs.NewSecret("id-of-a")}
	w, err := New(Options{Name: "x", Config: half})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if _, err := w.send(t.Context(), call{method: http.MethodGet, path: listPath}); err == nil || strings.Contains(strings.ToLower(a.all()), "ambient") {
		t.Errorf("what selvage.yaml leaves out comes from the environment: %v\n%s", err, a.all())
	}
	if got := stray.all(); got != "" {
		t.Errorf("the workspace of the environment was called:\n%s", got)
	}
}

func m2m(host, secret string) configs.Databricks {
	c := pat(host, "")
	c.Attributes = map[string]configs.Secret{"auth_type": configs.NewSecret("oauth-m2m"), "client_id": configs.NewSecret("service-principal"), "client_secret": configs.NewSecret(secret)}
	return c
}

func TestAccessTokens(t *testing.T) {
	const secret = "dosecanarysecret"
	eo := emulator.Options{ClientID: "service-principal", ClientSecret: secret}
	inBubble(t, eo, Options{Config: configs.Databricks{Attributes: m2m("", secret).Attributes}}, func(t *testing.T, r *rig) {
		r.create(t, "jobs/daily", "daily")
		if n := r.e.Count("POST /oidc/*"); n != 1 {
			t.Errorf("%d tokens were asked for", n)
		}
	})
	inBubble(t, eo, Options{Config: configs.Databricks{Attributes: m2m("", "wrong-canary").Attributes}}, func(t *testing.T, r *rig) {
		_, err := r.w.Observe(t.Context(), fabric.Scope{})
		if err == nil {
			t.Fatal("logged in with a wrong secret")
		}
		t.Log(err)
		canaryIn(t, err.Error())
		o := r.w.Do(t.Context(), step(creation(t, "jobs/daily", "daily")), r.journal)
		if o.Status != fabric.Later || len(r.journal.open) != 0 {
			t.Errorf("%+v", o)
		}
	})
}

func TestAccessTokensUnreachable(t *testing.T) {
	s := httptest.NewServer(nil)
	s.Close()
	w, err := New(Options{Name: "test", Config: m2m(s.URL, "canary")})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	_, err = w.send(t.Context(), call{method: http.MethodGet, path: listPath})
	if err == nil || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("got %v", err)
	}
	canaryIn(t, err.Error())
}

// TestLoginSendsOnlyLogins: the way of the token requests is no way around the ledger.
func TestLoginSendsOnlyLogins(t *testing.T) {
	sent := newWire(t, func(http.ResponseWriter, *http.Request) {})
	for _, tt := range []struct {
		method, path, contentType string
		ok                        bool
	}{
		{"GET", "/.well-known/databricks-config", "", true},
		{"POST", "/oidc/v1/token", "application/x-www-form-urlencoded", true},
		{"POST", "/oidc/v1/token", "application/json", false},
		{"POST", createPath, "application/x-www-form-urlencoded", false},
		{"DELETE", "/oidc/v1/token", "", false},
	} {
		r, err := http.NewRequest(tt.method, sent.URL+tt.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", tt.contentType)
		resp, err := loginTransport{http.DefaultTransport}.RoundTrip(r)
		if err == nil {
			resp.Body.Close()
		}
		if (err == nil) != tt.ok {
			t.Errorf("%+v: %v", tt, err)
		}
	}
}

// TestRedirects: neither a request nor a credential follows one.
func TestRedirects(t *testing.T) {
	elsewhere := newWire(t, func(rw http.ResponseWriter, _ *http.Request) { fmt.Fprint(rw, `{}`) })
	for _, status := range []int{301, 302, 303, 307, 308} {
		w := newWire(t, func(rw http.ResponseWriter, r *http.Request) {
			http.Redirect(rw, r, elsewhere.URL+"/stolen", status)
		})
		for _, c := range []configs.Databricks{pat(w.URL, token), m2m(w.URL, "canary")} {
			d, err := New(Options{Name: "test", Config: c})
			if err != nil {
				t.Fatal(err)
			}
			_, err = d.send(t.Context(), call{method: http.MethodGet, path: listPath})
			if err == nil || !strings.Contains(err.Error(), "it redirects to "+elsewhere.URL) {
				t.Errorf("%d: %v", status, err)
			}
			d.Close()
		}
	}
	if got := elsewhere.all(); got != "" {
		t.Errorf("followed:\n%s", got)
	}
}

// TestNothingPrints: a service that echoes everything it is sent, into everything that it says.
func TestNothingPrints(t *testing.T) {
	const password = "p&ss word/canary\"x"
	encoded := base64.StdEncoding.EncodeToString([]byte("user:" + password))
	echo := newWire(t, func(rw http.ResponseWriter, r *http.Request) {
		known := []string{token}
		if _, _, ok := r.BasicAuth(); ok {
			known = []string{`p&ss word/canary\"x`, "p%26ss+word%2Fcanary%22x", "p&ss%20word%2Fcanary%22x"}
		}
		rw.WriteHeader(http.StatusBadRequest)
		fmt.Fprintf(rw, `{"error_code":"%s","message":"you sent %s and %s \u001b[31m %s"}`,
			known[0], r.Header.Get("Authorization"), strings.Join(known, " and "), strings.Repeat("long ", 1000))
	})
	core, logs := observer.New(zapcore.DebugLevel)
	basic := pat(echo.URL, "")
	basic.Attributes = map[string]configs.Secret{"auth_type": configs.NewSecret("basic"), "username": configs.NewSecret("user"), "password": configs.NewSecret(password)}
	for _, c := range []configs.Databricks{pat(echo.URL, token), basic} {
		w, err := New(Options{Name: "test", Config: c, Logger: zap.New(core)})
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		ctx := fabric.WithPermit(context.Background(), fabric.Intent{Nonce: "n", Op: fabric.OpCreate}, nil)
		for _, c := range []call{{method: http.MethodGet, path: listPath}, {method: http.MethodPost, path: createPath, body: []byte(`{"x":"canary"}`)}} {
			_, err := w.send(ctx, c)
			if err == nil {
				t.Fatal("no error")
			}
			said := fmt.Sprintf("%v %+v %q", err, err, err)
			canaryIn(t, said)
			if strings.Contains(said, encoded) || strings.Contains(said, "\x1b") || len(err.Error()) > 2*maxMessage {
				t.Errorf("%s", said)
			}
		}
	}
	if logs.Len() == 0 {
		t.Error("nothing is logged at all")
	}
	for _, l := range logs.All() {
		canaryIn(t, fmt.Sprint(l.Message, l.ContextMap()))
	}
}

func TestHugeAnswer(t *testing.T) {
	b := &bounded{ReadCloser: endless{}, left: 1000}
	buf := make([]byte, 300)
	total := 0
	for {
		n, err := b.Read(buf)
		total += n
		if err != nil {
			break
		}
		if total > 2000 {
			t.Fatal("no end")
		}
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }
func (endless) Close() error               { return nil }

func TestCheck(t *testing.T) {
	r := overTCP(t, emulator.Options{}, Options{})
	r.create(t, "jobs/daily", "daily")
	for _, root := range []string{"", "/Volumes/main/selvage/artifacts"} {
		r.w.root = root
		r.e.ResetJournal()
		checks := r.w.Check(t.Context())
		var names []string
		for _, c := range checks {
			names = append(names, c.Name)
			if !c.OK || c.Next != "" {
				t.Errorf("%+v", c)
			}
		}
		if got := strings.Join(names, ", "); got != "reach, log in, list jobs, see jobs, read jobs, artifacts, clock" {
			t.Errorf("checks: %s", got)
		}
		if n := r.e.Count("GET *") + r.e.Count("HEAD *"); n != r.e.Count("*") {
			t.Error("a check writes")
		}
	}

	wrong, err := New(Options{Name: "test", Config: pat(r.w.host, "wrong-canary")})
	if err != nil {
		t.Fatal(err)
	}
	defer wrong.Close()
	checks := wrong.Check(t.Context())
	if last := checks[len(checks)-1]; len(checks) != 2 || last.Name != "log in" || last.OK || last.Next == "" {
		t.Errorf("a wrong token: %+v", checks)
	}
	canaryIn(t, fmt.Sprint(checks))
}

func TestCheckUnreachable(t *testing.T) {
	inBubble(t, emulator.Options{}, Options{}, func(t *testing.T, r *rig) {
		r.e.Fault(emulator.Fault{Pattern: "*", Close: true, Times: -1})
		checks := r.w.Check(t.Context())
		if len(checks) != 1 || checks[0].OK || checks[0].Name != "reach" || checks[0].Next == "" {
			t.Errorf("%+v", checks)
		}
	})
}
