package configs

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/databricks/databricks-sdk-go/config"
	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

const kept = "CANARY-s3cr3t"

// holder has a Secret in every position that a formatter treats differently.
type holder struct {
	Exported   Secret
	Pointer    *Secret
	List       []Secret
	Map        map[string]Secret
	Any        any
	unexported Secret
	nested     struct{ deep *Secret }
}

func holding() holder {
	s := NewSecret(kept)
	h := holder{Exported: s, Pointer: &s, List: []Secret{s}, Map: map[string]Secret{"k": s}, Any: s, unexported: s}
	h.nested.deep = &s
	return h
}

func TestSecretDoesNotPrint(t *testing.T) {
	printed := map[string]string{}
	h := holding()
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "% x", "%d", "%t", "%T", "%p", "%10s", "%-10v", "%!", "%w"} {
		for name, v := range map[string]any{"secret": h.Exported, "pointer": h.Pointer, "holder": h, "holder pointer": &h, "list": h.List, "map": h.Map} {
			printed[verb+" "+name] = fmt.Sprintf(verb, v)
		}
	}
	printed["error"] = fmt.Errorf("log in: %w", errors.New(fmt.Sprint(h))).Error()
	printed["println"] = fmt.Sprintln(h.Exported, h)
	printed["diff"] = cmp.Diff(h.Exported, NewSecret("CANARY-other"))
	printed["diff of maps"] = cmp.Diff(h.Map, map[string]Secret{"k": NewSecret("CANARY-other")})

	encode := func(name string, data []byte, err error) {
		if err != nil {
			printed[name] = err.Error()
			return
		}
		printed[name] = string(data)
	}
	data, err := json.Marshal(h)
	encode("json", data, err)
	data, err = json.Marshal(map[string]any{"k": h.Pointer})
	encode("json map", data, err)
	data, err = xml.Marshal(h.List)
	encode("xml", data, err)
	data, err = yaml.Marshal(h)
	encode("yaml", data, err)
	var b bytes.Buffer
	err = gob.NewEncoder(&b).Encode(h)
	encode("gob", b.Bytes(), err)

	var logged bytes.Buffer
	for _, handler := range []slog.Handler{slog.NewJSONHandler(&logged, nil), slog.NewTextHandler(&logged, nil)} {
		slog.New(handler).Info("x", "secret", h.Exported, "pointer", h.Pointer, "holder", h, "list", h.List)
	}
	printed["slog"] = logged.String()

	var zapped bytes.Buffer
	for _, encoder := range []zapcore.Encoder{zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()), zapcore.NewConsoleEncoder(zap.NewDevelopmentEncoderConfig())} {
		log := zap.New(zapcore.NewCore(encoder, zapcore.AddSync(&zapped), zap.DebugLevel))
		log.Info("x", zap.Any("secret", h.Exported), zap.Any("pointer", h.Pointer), zap.Any("holder", h), zap.Reflect("list", h.List),
			zap.Stringer("stringer", h.Exported), zap.Any("map", h.Map))
		log.Sugar().Infow("x", "secret", h.Exported, "holder", h)
		log.Sugar().Infof("%v %+v %#v", h.Exported, h, h)
	}
	printed["zap"] = zapped.String()
	core, seen := observer.New(zap.DebugLevel)
	zap.New(core).Info("x", zap.Any("secret", h.Exported))
	printed["zap observed"] = fmt.Sprintf("%+v", seen.All()[0].ContextMap())

	for name, text := range printed {
		for _, form := range []string{kept, "CANARY", fmt.Sprintf("%x", kept), fmt.Sprintf("%X", kept), fmt.Sprintf("% x", kept)} {
			if strings.Contains(text, form) {
				t.Errorf("%s prints the secret: %s", name, text)
			}
		}
	}
	if len(printed) < 100 {
		t.Errorf("only %d ways of printing were tried", len(printed))
	}
	if printed["%v secret"] != redacted || printed["%s secret"] != redacted || printed["json map"] != `{"k":"[redacted]"}` {
		t.Errorf("%q %q", printed["%v secret"], printed["json map"])
	}
	if printed["diff"] == "" {
		t.Error("two secrets are equal")
	}
}

func TestSecret(t *testing.T) {
	s, zero := NewSecret(kept), NewSecret("")
	if s.Reveal() != kept || s.IsZero() || s.Source() != "" {
		t.Errorf("%q %v", s.Reveal(), s.IsZero())
	}
	if zero.Reveal() != "" || !zero.IsZero() || zero.String() != unset {
		t.Errorf("%q %v", zero.Reveal(), zero.IsZero())
	}
	if !s.Equal(NewSecret(kept)) || s.Equal(zero) || s.Equal(NewSecret("other")) || !zero.Equal(Secret{}) {
		t.Error("Equal")
	}
}

// TestConfigDoesNotPrint prints a whole configuration.
func TestConfigDoesNotPrint(t *testing.T) {
	c, err := Load("testdata/good/full.yaml", testOptions())
	if err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range c.Fabrics {
		for _, text := range []string{fmt.Sprintf("%+v", *f.Databricks), fmt.Sprintf("%#v", *f.Databricks), fmt.Sprintf("%+v", f), string(data)} {
			if strings.Contains(text, "CANARY-of") {
				t.Error(text)
			}
		}
	}
	if !strings.Contains(string(data), redacted) {
		t.Errorf("no secret in %s", data)
	}
}

// TestAttributes compares our names with those of the SDK, and asks it which of them are secret.
func TestAttributes(t *testing.T) {
	theirs := map[string]config.ConfigAttribute{}
	for _, a := range config.ConfigAttributes {
		theirs[a.Name] = a
	}
	for _, name := range attributeNames {
		a, ok := theirs[name]
		if !ok {
			t.Errorf("the SDK has no attribute %s", name)
		}
		if secret := slices.Contains(secretAttributes, name); secret != a.Sensitive {
			t.Errorf("%s: secret %v here, %v in the SDK", name, secret, a.Sensitive)
		}
	}
	for _, w := range logins {
		for _, name := range append(append([]string{}, w.required...), w.optional...) {
			if !slices.Contains(attributeNames, name) {
				t.Errorf("%s wants %s, which no file may hold", w.name, name)
			}
		}
	}
}

// TestLogins hands each way of logging in to the SDK, which must take the attributes as they are.
func TestLogins(t *testing.T) {
	c, err := Load("testdata/good/logins.yaml", testOptions())
	if err != nil {
		t.Fatal(err)
	}
	used := map[string]bool{}
	for name, f := range c.Fabrics {
		used[f.Databricks.Attributes["auth_type"].Reveal()] = true
		cfg := &config.Config{Host: f.Databricks.Host, Loaders: []config.Loader{nothing{}}, HTTPTransport: nothing{}}
		for _, a := range config.ConfigAttributes {
			if s, ok := f.Databricks.Attributes[a.Name]; ok {
				if err := a.SetS(cfg, s.Reveal()); err != nil {
					t.Errorf("%s: set %s: %v", name, a.Name, err)
				}
			}
		}
		if err := cfg.EnsureResolved(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, w := range logins {
		if !used[w.name] {
			t.Errorf("no file logs in by %s", w.name)
		}
	}
}

// nothing is an SDK without profile, environment and network.
type nothing struct{}

func (nothing) Name() string                   { return "nothing" }
func (nothing) Configure(*config.Config) error { return nil }

// RoundTrip keeps the SDK, which asks the host about itself, off the network.
func (nothing) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusNotFound, Status: "404 Not Found", Header: http.Header{}, Body: http.NoBody, Request: r}, nil
}
