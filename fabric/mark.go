package fabric

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// Owner says whose a resource is: a deployment and its key there.
type Owner struct {
	Deployment string
	Key        Key
}

// Mark stands on a live resource and says that it is ours. Nothing in it changes with a release.
// Each value is portable over every cloud's tag rules: [a-z0-9-], at most 63 characters.
type Mark struct {
	Installation string
	Deployment   string // Slug of the deployment's name
	Key          string // Slug of the key
	Nonce        string // of the intent that created it
}

// MarkOf is the mark of a resource of an installation.
func MarkOf(installation string, o Owner, nonce string) Mark {
	return Mark{Installation: installation, Deployment: Slug(o.Deployment), Key: Slug(string(o.Key)), Nonce: nonce}
}

// Owns reports that the mark says: made by this installation for this owner.
func (m Mark) Owns(installation string, o Owner) bool {
	return m.Installation == installation && m.Deployment == Slug(o.Deployment) && m.Key == Slug(string(o.Key))
}

// Slug turns a name into [a-z0-9-]{1,63} that a person recognises and that no other name shares: the
// readable part of the name, then the first 12 hex digits of its SHA-256.
func Slug(name string) string {
	var b strings.Builder
	dash := true // no leading dash
	for _, r := range strings.ToLower(name) {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			b.WriteRune(r)
			dash = false
		} else if !dash {
			b.WriteByte('-')
			dash = true
		}
	}
	readable := strings.Trim(b.String(), "-")
	if len(readable) > 50 {
		readable = strings.TrimRight(readable[:50], "-")
	}
	sum := sha256.Sum256([]byte(name))
	if readable == "" {
		return hex.EncodeToString(sum[:6])
	}
	return readable + "-" + hex.EncodeToString(sum[:6])
}

// NewNonce returns 128 random bits in hex. It names one intent for ever.
func NewNonce() string {
	var b [16]byte
	rand.Read(b[:]) // never fails, see crypto/rand
	return hex.EncodeToString(b[:])
}
