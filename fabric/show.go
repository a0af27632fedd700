package fabric

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

const redacted = "(redacted)"

// shown is a value as a person may see it: canonical JSON, secrets redacted, and nothing in it that
// a terminal would obey.
func shown(v any, secret bool) json.RawMessage {
	if v == nil {
		return nil
	}
	text := canonical(redact(v, secret))
	var b []byte
	for i, r := range text {
		if strconv.IsPrint(r) && (r != utf8.RuneError || strings.HasPrefix(text[i:], "\uFFFD")) {
			if b != nil {
				b = utf8.AppendRune(b, r)
			}
			continue
		}
		if b == nil {
			b = append(make([]byte, 0, len(text)+16), text[:i]...)
		}
		for _, u := range utf16.Encode([]rune{r}) { // only strings hold such runes
			b = fmt.Appendf(b, `\u%04x`, u)
		}
	}
	if b == nil {
		b = []byte(text)
	}
	return b
}

// redact returns v without its secrets. secret says that v stands below the name of one.
func redact(v any, secret bool) any {
	switch v := v.(type) {
	case map[string]any:
		m := make(map[string]any, len(v))
		pair := secretPair(v)
		for k, e := range v {
			name := k
			if clean := scrub(k); clean != k {
				name = clean + digestOf(k)
			}
			m[name] = redact(e, secret || sensitive(k) || pair && pairValue(k))
		}
		return m
	case []any:
		s := make([]any, len(v))
		for i, e := range v {
			s[i] = redact(e, secret || i > 0 && secretFlag(v[i-1]))
		}
		return s
	case string:
		switch {
		case reference(v):
			return v
		case secret && v != "":
			return redacted
		}
		return scrub(v)
	case json.Number:
		if secret {
			return redacted
		}
	}
	return v
}

var secretWords = []string{"password", "passwd", "pwd", "passphrase", "secret", "token", "credential",
	"privatekey", "apikey", "accesskey", "accountkey", "sharedkey", "connectionstring", "authorization"}

var joiners = strings.NewReplacer("_", "", "-", "", ".", "", " ", "")

// sensitive reports that a field by its name may hold a secret.
func sensitive(key string) bool {
	k := strings.ToLower(joiners.Replace(key))
	for _, word := range secretWords {
		if strings.Contains(k, word) {
			return true
		}
	}
	return false
}

// secretFlag reports an argument that announces a secret as the next one: --db-password.
func secretFlag(v any) bool {
	s, ok := v.(string)
	return ok && strings.HasPrefix(s, "-") && !strings.Contains(s, "=") && sensitive(s)
}

// secretPair reports an object that gives a secret by name: {"name": "db_password", "default": "..."}.
func secretPair(m map[string]any) bool {
	if m["value"] == nil && m["default"] == nil {
		return false
	}
	for _, k := range [...]string{"name", "key"} {
		if s, ok := m[k].(string); ok && sensitive(s) {
			return true
		}
	}
	return false
}

// pairValue reports the keys under which such an object holds the secret.
func pairValue(key string) bool { return key == "value" || key == "default" }

// reference reports a Databricks secret reference, which names a secret and is none.
func reference(s string) bool {
	return strings.HasPrefix(s, "{{secrets/") && strings.HasSuffix(s, "}}") && strings.Count(s, "{{") == 1
}

var (
	// named finds password=..., "apiKey": "..." and the like in text, as in JDBC addresses, query
	// strings and JSON inside a string.
	named = regexp.MustCompile(`(?i)((?:password|passwd|pwd|passphrase|secret|token|credential|private[_.-]?key|api[_.-]?key|access[_.-]?key|account[_.-]?key|shared[_.-]?key|\bsig)[a-z0-9_.-]*(?:\\*["'])?\s*[=:]\s*(?:\\*["'])?)([^"'&;,\s}\\]+)`)
	// login finds the password of scheme://user:password@host.
	login = regexp.MustCompile(`(://[^/\s:@]*:)([^/\s@]+)(@)`)
	// alone finds what is a secret wherever it stands: access tokens of Databricks, GitHub and AWS, JSON web tokens, private keys.
	alone = regexp.MustCompile(`dapi[0-9a-f]{32}(?:-\d+)?|gh[pousr]_[A-Za-z0-9]{20,}|AKIA[0-9A-Z]{16}|eyJ[\w-]{8,}\.[\w-]+\.[\w-]*|\b(?:[Bb]earer|BEARER)\s+[\w.~+/-]{8,}=*|-----BEGIN [A-Z ]*PRIVATE KEY-----(?s:.*)`)
)

// scrub takes secrets out of a text that is not one as a whole.
func scrub(s string) string {
	if !suspect(s) {
		return s
	}
	s = alone.ReplaceAllString(s, redacted)
	s = login.ReplaceAllString(s, "${1}"+redacted+"${3}")
	return named.ReplaceAllStringFunc(s, func(hit string) string {
		m := named.FindStringSubmatch(hit)
		if strings.HasPrefix(m[2], "{{secrets/") {
			return hit
		}
		return m[1] + redacted
	})
}

// suspect reports a text that the expressions of scrub could match. It keeps them off the many that they can't.
func suspect(s string) bool {
	if strings.Contains(s, "://") && strings.Contains(s, "@") {
		return true
	}
	if strings.ContainsAny(s, "=:") && mayBeNamed(s) {
		return true
	}
	for _, start := range [...]string{"dapi", "gh", "AKIA", "eyJ", "earer", "EARER", "-----BEGIN"} {
		if strings.Contains(s, start) {
			return true
		}
	}
	return false
}

// mayBeNamed reports a text that holds a word of which a secret's name is made.
func mayBeNamed(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf { // there are letters whose lower case is one of ours
			return true
		}
	}
	s = strings.ToLower(s)
	for _, word := range [...]string{"pass", "pwd", "secret", "token", "credential", "key", "sig"} {
		if strings.Contains(s, word) {
			return true
		}
	}
	return false
}
