package configs

import (
	"crypto/subtle"
	"fmt"
	"io"
	"log/slog"
)

const (
	redacted = "[redacted]"
	unset    = "[unset]"
)

// Secret is a value that does not print: every formatter, encoder and logger that asks it for its
// text gets "[redacted]", and one that walks memory by reflection (go-cmp, spew, fmt on an unexported
// field) finds a closure, not the text. Only Reveal returns it.
type Secret struct {
	reveal func() string
	source string
}

// NewSecret keeps value. An empty value is the zero Secret.
func NewSecret(value string) Secret { return secretFrom(value, "") }

func secretFrom(value, source string) Secret {
	if value == "" {
		return Secret{}
	}
	return Secret{reveal: func() string { return value }, source: source}
}

// Reveal returns the value itself, for the one call that needs it.
func (s Secret) Reveal() string {
	if s.reveal == nil {
		return ""
	}
	return s.reveal()
}

// IsZero reports that there is no value.
func (s Secret) IsZero() bool { return s.reveal == nil }

// Source says where the value comes from, as selvage.yaml writes it: "${credential:prod_token}". It is
// safe to print and tells a person which credential a workspace refused. Empty for NewSecret.
func (s Secret) Source() string { return s.source }

// Equal compares the values. go-cmp uses it too.
func (s Secret) Equal(o Secret) bool {
	return subtle.ConstantTimeCompare([]byte(s.Reveal()), []byte(o.Reveal())) == 1
}

func (s Secret) String() string {
	if s.reveal == nil {
		return unset
	}
	return redacted
}

func (s Secret) GoString() string { return "configs.Secret(" + s.String() + ")" }

// Format answers every verb alike, so that %x and %q don't reach the fields.
func (s Secret) Format(f fmt.State, verb rune) {
	if verb == 'v' && f.Flag('#') {
		io.WriteString(f, s.GoString())
		return
	}
	io.WriteString(f, s.String())
}

func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
func (s Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + s.String() + `"`), nil }
func (s Secret) MarshalYAML() (any, error)    { return s.String(), nil }
func (s Secret) LogValue() slog.Value         { return slog.StringValue(s.String()) }
