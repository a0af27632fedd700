// Package ledger is the reconcile log: the append-only record of every decision, and of every request that
// changes a fabric, before it is sent.
//
// The log is a folder of segment files of JSON lines, each named by the sequence number of its first entry:
//
//	000000000001.jsonl
//	000000020417.jsonl
//	lock
//
// A line is one [Entry] with its keys in a fixed order, so cat, grep, tail -f and jq read it. The key "prev" holds the
// SHA-256 of the exact bytes of the line before, across segments: whoever changes, adds or removes a line has to
// rewrite all lines after it, and a copy of one later hash, kept elsewhere, gives that away ([Verify]). The last line
// has no successor: only such a copy protects it.
//
// [Open] takes the log for writing, one process at a time. [Log.Append] returns when its entries are on disk. [Read],
// [Follow] and [Verify] need no lock and work while another process writes; they may see entries a moment before those
// are durable.
//
// The package knows nothing of what the entries mean, but for two kinds: an entry of [KindIntent] opens the nonce it
// carries, and one of [KindOutcome] closes it. Entries hold digests and redacted text; the caller keeps secrets out.
package ledger

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// An Entry is one line of the log. The caller of [Log.Append] gives Kind, Deployment, Fabric, Code, Text, Intent, By and
// Data; the log sets the rest, whatever the caller put there. The order of the fields is the order of the keys.
type Entry struct {
	// Seq counts from 1 without gaps.
	Seq uint64 `json:"seq"`
	// Time is in UTC and never before that of the entry ahead: where the clock was set back, it stands still.
	Time time.Time `json:"time"`
	// Writer names the installation and process that wrote the entry.
	Writer string `json:"writer"`
	// Epoch grows by one each time the log is opened for writing.
	Epoch uint64 `json:"epoch"`
	// Kind is the caller's word for what happened: lower case letters, digits and underscores.
	Kind Kind `json:"kind"`
	// Deployment is project@fabric, where the entry is about one.
	Deployment string `json:"deployment,omitempty"`
	Fabric     string `json:"fabric,omitempty"`
	// Code is the stable code of the decision.
	Code string `json:"code,omitempty"`
	// Text is the sentence a person reads.
	Text string `json:"text"`
	// Intent is the nonce of an intent: printable ASCII that JSON does not escape, so that grep finds it.
	Intent string `json:"intent,omitempty"`
	// By is the person or part that acted.
	By string `json:"by,omitempty"`
	// Data is any JSON value, stored without insignificant space.
	Data json.RawMessage `json:"data,omitempty"`
	// Prev is the SHA-256, in hex, of the line before without its newline; zeros in the first entry of the log.
	Prev string `json:"prev"`
}

// A Kind says what sort of thing an entry records. Callers declare their own beside the three of this package.
type Kind string

const (
	// KindOpen is written by [Open] alone, as the first entry of each epoch.
	KindOpen Kind = "open"
	// KindIntent opens the nonce in Entry.Intent: what is about to be done.
	KindIntent Kind = "intent"
	// KindOutcome closes the nonce in Entry.Intent: what became of it.
	KindOutcome Kind = "outcome"
)

var (
	// ErrLocked is returned by [Open] when another process has the log open for writing.
	ErrLocked = errors.New("the reconcile log is in use")
	// ErrBroken is what every [*Broken] is: a log whose lines are not what was written.
	ErrBroken = errors.New("the reconcile log is broken")
	// ErrFailed is returned by [Log.Append] once a write or fsync has failed, then and ever after. The entries of the
	// call that met the failure may be in the log or not; those of later calls are not. Every other error of Append
	// means that nothing was written.
	ErrFailed = errors.New("the reconcile log can't be written")
	// ErrClosed is returned by [Log.Append] after [Log.Close].
	ErrClosed = errors.New("the reconcile log is closed")
	// ErrInvalid is returned by [Log.Append] for entries that can't be recorded as they are.
	ErrInvalid = errors.New("invalid log entry")
	// ErrNoLog is returned by [Read] and [Verify] for a folder without segment files.
	ErrNoLog = errors.New("no reconcile log")
)

// normal checks the parts of e that the caller gives, and returns it as it will be read back.
func (e Entry) normal() (Entry, error) {
	if e.Kind == KindOpen {
		return e, fmt.Errorf("%w: kind %q is written by the log itself", ErrInvalid, e.Kind)
	}
	if !e.Kind.valid() {
		return e, fmt.Errorf("%w: kind %q: want 1 to 32 lower case letters, digits and underscores", ErrInvalid, e.Kind)
	}
	for _, f := range []struct{ key, value string }{
		{"deployment", e.Deployment}, {"fabric", e.Fabric}, {"code", e.Code}, {"text", e.Text}, {"by", e.By},
	} {
		if !utf8.ValidString(f.value) {
			return e, fmt.Errorf("%w: kind %s: %s is not valid UTF-8: %q", ErrInvalid, e.Kind, f.key, clip(f.value))
		}
	}
	if e.Intent == "" && (e.Kind == KindIntent || e.Kind == KindOutcome) {
		return e, fmt.Errorf("%w: kind %s without the nonce of an intent", ErrInvalid, e.Kind)
	}
	if len(e.Intent) > 128 || strings.ContainsFunc(e.Intent, notNonce) {
		return e, fmt.Errorf("%w: nonce %q: want at most 128 ASCII letters, digits and any of ._:/@+=-", ErrInvalid, clip(e.Intent))
	}
	if len(e.Data) == 0 {
		e.Data = nil
		return e, nil
	}
	if len(e.Data) > MaxLine {
		return e, fmt.Errorf("%w: kind %s: %w", ErrInvalid, e.Kind, tooLong(len(e.Data)))
	}
	var b bytes.Buffer
	if err := json.Compact(&b, e.Data); err != nil {
		return e, fmt.Errorf("%w: kind %s: data: %w", ErrInvalid, e.Kind, err)
	}
	if !utf8.Valid(b.Bytes()) {
		return e, fmt.Errorf("%w: kind %s: data is not valid UTF-8", ErrInvalid, e.Kind)
	}
	e.Data = escapeUnseen(b.Bytes())
	return e, nil
}

func (k Kind) valid() bool {
	for _, c := range []byte(k) {
		if c != '_' && (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return len(k) > 0 && len(k) <= 32
}

func notNonce(r rune) bool {
	switch {
	case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9':
		return false
	}
	return !strings.ContainsRune("._:/@+=-", r)
}

// clip shortens a value that is quoted in an error.
func clip(s string) string {
	if len(s) > 80 {
		return s[:80]
	}
	return s
}
